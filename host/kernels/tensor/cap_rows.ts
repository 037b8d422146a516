/** `x <- cap tanh(x / cap)`, element by element (Gemma 2's logits). */
import source from '../../../gpu-kernels/tensor/cap_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { expF32 } from './exp.js';
import { tensorModule } from './module.js';
import { spread } from './spread.js';

const f = Math.fround;

export const capRows = defineKernel({
  name: 'capRows',
  buffers: {
    /** [count] */
    x: ['f32', 'read-write'],
  },
  scalars: { count: 'u32', cap: 'f32' },
  elements: (s) => ({ x: s.count }),
  oracle({ x, count, cap }) {
    const most = f(cap);
    for (let i = 0; i < count; i++) x[i] = f(most * f(1 - f(2 / f(expF32(f(f(x[i]! / most) * 2)) + 1))));
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil(s.count / size)),
});
