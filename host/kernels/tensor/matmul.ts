/**
 * Rows times the rows of a weight matrix: `y[t][n] = sum over i of x[t][i] weights[n][i]`, added to y when `accumulate` is 1. A sum is
 * made of 16 sums of every 16th product, added up pairwise, so that a token's result does not depend on the tokens beside it. `inner` is a multiple of 4.
 */
import rowsSource from '../../../gpu-kernels/tensor/matmul.wgsl';
import subgroupShares from '../../../gpu-kernels/tensor/shares.subgroups.wgsl';
import shares from '../../../gpu-kernels/tensor/shares.wgsl';
import bf16 from '../../../gpu-kernels/tensor/weights_bf16.wgsl';
import halves from '../../../gpu-kernels/tensor/weights_f16.shader-f16.wgsl';
import f16 from '../../../gpu-kernels/tensor/weights_f16.wgsl';
import f32 from '../../../gpu-kernels/tensor/weights_f32.wgsl';
import type { WgslVariant } from '../../device/device.js';
import { defineKernel } from '../kernel.js';
import { wgslVariant } from '../wgsl-variant.js';
import { tensorModule } from './module.js';
import { rowWords, weightAt, type WeightFormat } from './weight-formats.js';

const f = Math.fround;
/** Dispatches are at most 65,535 workgroups wide. */
const WIDEST = 32_768;
/** Of the WGSL bodies: invocations that share a product, and rows of x that share weights. */
const SHARE = 8;
const TILE = 4;

/** Rows of weights on x and z, tiles of rows on y. */
export function matmulWorkgroups(
  s: { readonly rows: number; readonly outer: number },
  size: number,
): readonly [number, number, number] {
  const groups = Math.ceil(s.outer / Math.max(1, Math.floor(size / SHARE)));
  return [Math.min(groups, WIDEST), Math.ceil(s.rows / TILE), Math.ceil(groups / WIDEST)];
}

/** With subgroups and without; `halves` reads the weights of a device with shader-f16. */
export function matmulVariants(name: string, products: string, weights: string, halves?: string): WgslVariant[] {
  const [quick, plain] = [subgroupShares, shares].map((source) => source.replace('matmulRows', name)) as [
    string,
    string,
  ];
  const variants = [wgslVariant(['subgroups'], products, weights, quick), wgslVariant([], products, weights, plain)];
  if (halves === undefined) return variants;
  return [
    wgslVariant(['subgroups', 'shader-f16'], products, halves, quick),
    wgslVariant(['shader-f16'], products, halves, plain),
    ...variants,
  ];
}

function floatMatmul(name: string, format: WeightFormat, weightsSource: string, halvesSource?: string) {
  return defineKernel({
    name,
    buffers: {
      /** [rows][inner] */
      x: ['f32', 'read'],
      /** [outer][rowWords] */
      weights: ['u32', 'read'],
      /** [rows][outer] */
      y: ['f32', 'read-write'],
    },
    scalars: { rows: 'u32', inner: 'u32', outer: 'u32', accumulate: 'u32' },
    elements: (s) => ({ x: s.rows * s.inner, weights: s.outer * rowWords(format, s.inner), y: s.rows * s.outer }),
    oracle({ x, weights, y, rows, inner, outer, accumulate }) {
      const sums = new Float32Array(16);
      const row = new Float32Array(inner);
      for (let n = 0; n < outer; n++) {
        const from = n * rowWords(format, inner);
        for (let i = 0; i < inner; i++) row[i] = weightAt(format, weights, from, inner, i);
        for (let t = 0; t < rows; t++) {
          sums.fill(0);
          for (let i = 0; i < inner; i++) sums[i & 15]! += f(x[t * inner + i]! * row[i]!);
          const lane = (l: number): number => f(f(sums[l]! + sums[4 + l]!) + f(sums[8 + l]! + sums[12 + l]!));
          const sum = f(f(lane(0) + lane(1)) + f(lane(2) + lane(3)));
          y[t * outer + n] = accumulate ? f(y[t * outer + n]! + sum) : sum;
        }
      }
    },
    wasm: tensorModule,
    wgsl: matmulVariants(name, rowsSource, weightsSource, halvesSource),
    workgroupSize: 64,
    workgroups: matmulWorkgroups,
  });
}

export const matmulF32 = floatMatmul('matmulF32', 'f32', f32);
export const matmulF16 = floatMatmul('matmulF16', 'f16', f16, halves);
export const matmulBf16 = floatMatmul('matmulBf16', 'bf16', bf16);
