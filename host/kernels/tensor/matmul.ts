/**
 * Rows times the rows of a weight matrix: `y[t][n] = sum over i of x[t][i] weights[n][i]`, added to y when `accumulate` is 1. A sum is
 * made of 16 sums of every 16th product, added up pairwise, so that a token's result does not depend on the tokens beside it. `inner` is a multiple of 4.
 */
import source from '../../../gpu-kernels/tensor/matmul.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';

const f = Math.fround;
/** Dispatches are at most 65,535 workgroups wide. */
const WIDEST = 32_768;
/** Of the WGSL body: invocations that share a product. */
const SHARE = 8;

export const matmulF32 = defineKernel({
  name: 'matmulF32',
  buffers: {
    /** [rows][inner] */
    x: ['f32', 'read'],
    /** [outer][inner] */
    weights: ['f32', 'read'],
    /** [rows][outer] */
    y: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', inner: 'u32', outer: 'u32', accumulate: 'u32' },
  elements: (s) => ({ x: s.rows * s.inner, weights: s.outer * s.inner, y: s.rows * s.outer }),
  oracle({ x, weights, y, rows, inner, outer, accumulate }) {
    const sums = new Float32Array(16);
    for (let t = 0; t < rows; t++) {
      for (let n = 0; n < outer; n++) {
        sums.fill(0);
        for (let i = 0; i < inner; i++) sums[i & 15]! += f(x[t * inner + i]! * weights[n * inner + i]!);
        const lane = (l: number): number => f(f(sums[l]! + sums[4 + l]!) + f(sums[8 + l]! + sums[12 + l]!));
        const sum = f(f(lane(0) + lane(1)) + f(lane(2) + lane(3)));
        y[t * outer + n] = accumulate ? f(y[t * outer + n]! + sum) : sum;
      }
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroupSize: 64,
  workgroups(s, size) {
    const groups = Math.ceil(s.outer / Math.max(1, Math.floor(size / SHARE)));
    return [Math.min(groups, WIDEST), s.rows, Math.ceil(groups / WIDEST)];
  },
});
