/**
 * Rows of activations as whole numbers of -16384 .. 16384, for products with quantised weights: `q = round(x / scale)`, halves to even, where a row's
 * scale is a power of two, so that every backend comes to the same numbers. Sums of 32 consecutive numbers stand beside them, for weights that have minima.
 * `inner` is a multiple of 32. A row of nothing but numbers below 2^-113 becomes zeros.
 */
import source from '../../../gpu-kernels/tensor/quantise_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';
import { wordOf } from './weight-formats.js';

const f = Math.fround;
/** Adding and subtracting it rounds to a whole number, halves to even. */
const ROUNDER = 12_582_912;

/** Scale of a row whose largest magnitude this is, and its inverse. */
function scaleOf(largest: number): readonly [number, number] {
  const exponent = wordOf(largest) >>> 23;
  return exponent <= 13 ? [0, 0] : [2 ** (exponent - 140), 2 ** (140 - exponent)];
}

export const quantiseRows = defineKernel({
  name: 'quantiseRows',
  buffers: {
    /** [rows][inner] */
    x: ['f32', 'read'],
    /** [rows][inner / 2]: two numbers to a word. */
    q: ['u32', 'read-write'],
    /** [rows] */
    scales: ['f32', 'read-write'],
    /** [rows][inner / 32] */
    sums: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', inner: 'u32' },
  elements: (s) => ({
    ...{ x: s.rows * s.inner, q: (s.rows * s.inner) / 2, scales: s.rows, sums: (s.rows * s.inner) / 32 },
  }),
  oracle({ x, q, scales, sums, rows, inner }) {
    const halves = new Int16Array(q.buffer, q.byteOffset, rows * inner);
    for (let t = 0; t < rows; t++) {
      let largest = 0;
      for (let i = 0; i < inner; i++) largest = Math.max(largest, Math.abs(x[t * inner + i]!));
      const [scale, inverse] = scaleOf(largest);
      scales[t] = scale;
      for (let b = 0; b < inner; b += 32) {
        let sum = 0;
        for (let i = t * inner + b; i < t * inner + b + 32; i++) {
          halves[i] = f(f(f(x[i]! * inverse) + ROUNDER) - ROUNDER);
          sum += halves[i]!;
        }
        sums[(t * inner + b) / 32] = sum;
      }
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroupSize: 64,
  workgroups: (s) => [1, s.rows, 1],
});
