/** `out = silu(x + y)`, element by element: the condition of a block from time and class. */
import source from '../../../gpu-kernels/dit/silu_sum.wgsl';
import { defineKernel } from '../kernel.js';
import { spread } from '../tensor/spread.js';
import { activate } from './activation.js';
import { ditModule } from './module.js';

export const siluSum = defineKernel({
  name: 'siluSum',
  buffers: {
    /** [count] */
    x: ['f32', 'read'],
    y: ['f32', 'read'],
    out: ['f32', 'read-write'],
  },
  scalars: { count: 'u32' },
  elements: (s) => ({ x: s.count, y: s.count, out: s.count }),
  oracle({ x, y, out, count }) {
    for (let i = 0; i < count; i++) out[i] = activate(Math.fround(x[i]! + y[i]!), 1);
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil(s.count / size)),
});
