/** Root-mean-square normalisation: `y = x / sqrt(mean(x^2) + epsilon) * weight`, row by row. `width` is a multiple of 4. */
import source from '../../../gpu-kernels/tensor/rms_norm.wgsl';
import subgroupSum from '../../../gpu-kernels/tensor/workgroup_sum.subgroups.wgsl';
import sum from '../../../gpu-kernels/tensor/workgroup_sum.wgsl';
import { defineKernel } from '../kernel.js';
import { wgslVariant } from '../wgsl-variant.js';
import { tensorModule } from './module.js';

const f = Math.fround;

export const rmsNormF32 = defineKernel({
  name: 'rmsNormF32',
  buffers: {
    /** [rows][width] */
    x: ['f32', 'read'],
    /** [width] */
    weight: ['f32', 'read'],
    /** [rows][width] */
    y: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', width: 'u32', epsilon: 'f32' },
  elements: (s) => ({ x: s.rows * s.width, weight: s.width, y: s.rows * s.width }),
  oracle({ x, weight, y, rows, width, epsilon }) {
    for (let t = 0; t < rows; t++) {
      const row = x.subarray(t * width, (t + 1) * width);
      const squares = new Float32Array(4);
      row.forEach((value, i) => (squares[i & 3]! += f(value * value)));
      const sum = f(f(squares[0]! + squares[1]!) + f(squares[2]! + squares[3]!));
      const scale = f(1 / f(Math.sqrt(f(f(sum / width) + f(epsilon)))));
      row.forEach((value, i) => (y[t * width + i] = f(f(value * scale) * weight[i]!)));
    }
  },
  wasm: tensorModule,
  wgsl: [wgslVariant(['subgroups'], source, subgroupSum), wgslVariant([], source, sum)],
  workgroupSize: 64,
  workgroups: (s) => [1, s.rows, 1],
});
