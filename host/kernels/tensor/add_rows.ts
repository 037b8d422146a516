/** `y[i] += x[i mod period]`: a bias to every row, or one set of rows to another. `count` and `period` are multiples of 4. */
import source from '../../../gpu-kernels/tensor/add_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';
import { spread } from './spread.js';

export const addRows = defineKernel({
  name: 'addRows',
  buffers: {
    /** [period] */
    x: ['f32', 'read'],
    /** [count] */
    y: ['f32', 'read-write'],
  },
  scalars: { count: 'u32', period: 'u32' },
  elements: (s) => ({ x: s.period, y: s.count }),
  oracle({ x, y, count, period }) {
    for (let i = 0; i < count; i++) y[i]! += x[i % period]!;
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil(s.count / size)),
});
