/**
 * Modulated layer norm (adaLN, Peebles and Xie 2023): `y = (x - mean) / sqrt(variance + epsilon) (1 + scale) + shift`, shift and scale being those of the row's
 * sequence, at `shiftFirst` and `scaleFirst` of its row of modulations. `width` is a multiple of 4.
 */
import source from '../../../gpu-kernels/dit/modulate_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { ditModule } from './module.js';

const f = Math.fround;
const pairwise = (a: Float32Array): number => f(f(a[0]! + a[1]!) + f(a[2]! + a[3]!));

export const modulateRows = defineKernel({
  name: 'modulateRows',
  buffers: {
    /** [rows][width] */
    x: ['f32', 'read'],
    /** [sequences][stride] */
    modulation: ['f32', 'read'],
    /** [rows][width] */
    y: ['f32', 'read-write'],
  },
  scalars: {
    ...{ rows: 'u32', width: 'u32', tokens: 'u32', stride: 'u32', shiftFirst: 'u32', scaleFirst: 'u32' },
    epsilon: 'f32',
  },
  elements: (s) => ({
    x: s.rows * s.width,
    modulation:
      Math.max(0, Math.ceil(s.rows / s.tokens) - 1) * s.stride + Math.max(s.shiftFirst, s.scaleFirst) + s.width,
    y: s.rows * s.width,
  }),
  oracle({ x, modulation, y, rows, width, tokens, stride, shiftFirst, scaleFirst, epsilon }) {
    const lanes = new Float32Array(4);
    for (let t = 0; t < rows; t++) {
      const row = x.subarray(t * width, (t + 1) * width);
      const sequence = Math.floor(t / tokens) * stride;
      lanes.fill(0);
      row.forEach((value, i) => (lanes[i & 3]! += value));
      const mean = f(pairwise(lanes) / width);
      lanes.fill(0);
      row.forEach((value, i) => {
        const off = f(value - mean);
        lanes[i & 3]! += f(off * off);
      });
      const factor = f(1 / f(Math.sqrt(f(f(pairwise(lanes) / width) + f(epsilon)))));
      row.forEach((value, i) => {
        const scale = f(1 + modulation[sequence + scaleFirst + i]!);
        y[t * width + i] = f(f(f(f(value - mean) * factor) * scale) + modulation[sequence + shiftFirst + i]!);
      });
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroupSize: 64,
  workgroups: (s) => [1, s.rows, 1],
});
