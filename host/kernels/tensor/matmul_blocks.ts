/**
 * `matmulF32` over quantised weights (`weight-formats.ts`) and rows that `quantiseRows` made: whole-number products within a part that has one scale, in four
 * sums (of elements 2l and 2l + 1 of every eight), times that scale in f32, added up over the row's parts, pairwise at the end, times the row's scale.
 * Nothing is unpacked to memory.
 */
import blocks from '../../../gpu-kernels/tensor/matmul_blocks.wgsl';
import q4 from '../../../gpu-kernels/tensor/weights_q4.wgsl';
import q4k from '../../../gpu-kernels/tensor/weights_q4k.wgsl';
import q6k from '../../../gpu-kernels/tensor/weights_q6k.wgsl';
import q8 from '../../../gpu-kernels/tensor/weights_q8.wgsl';
import { defineKernel } from '../kernel.js';
import { matmulVariants, matmulWorkgroups } from './matmul.js';
import { tensorModule } from './module.js';
import { byteAt, floatOf, nibbleAt, rowWords, type WeightFormat } from './weight-formats.js';

const f = Math.fround;

/** A part of a row of weights that has one scale (and minimum): its numbers, and the f32 factors. */
interface Parts {
  readonly size: number;
  readonly number: (words: Uint32Array, row: number, i: number) => number;
  readonly factors: (words: Uint32Array, row: number, inner: number, part: number) => readonly [number, number];
}

const PARTS = {
  q8: {
    size: 32,
    number: byteAt,
    factors: (words, row, inner, part) => [floatOf(words[row + inner / 4 + part]!), 0],
  },
  q4: {
    size: 32,
    number: (words, row, i) => (nibbleAt(words, row, i) << 28) >> 28,
    factors: (words, row, inner, part) => [floatOf(words[row + inner / 8 + part]!), 0],
  },
  q4k: {
    size: 32,
    number: nibbleAt,
    factors(words, row, inner, part) {
      const head = row + inner / 8 + 6 * (part >> 3);
      const scale = f(floatOf(words[head]!) * (byteAt(words, head + 2, part & 7) & 255));
      return [scale, f(floatOf(words[head + 1]!) * (byteAt(words, head + 4, part & 7) & 255))];
    },
  },
  q6k: {
    size: 16,
    number: byteAt,
    factors(words, row, inner, part) {
      const head = row + inner / 4 + 5 * (part >> 4);
      return [f(floatOf(words[head]!) * byteAt(words, head + 1, part & 15)), 0];
    },
  },
} satisfies Partial<Record<WeightFormat, Parts>>;

function blockMatmul(name: string, format: keyof typeof PARTS, weightsSource: string) {
  const { size, number, factors }: Parts = PARTS[format];
  const minima = format === 'q4k';
  return defineKernel({
    name,
    buffers: {
      /** [rows][inner / 2], [rows], [rows][inner / 32]: of `quantiseRows`. */
      q: ['u32', 'read'],
      scales: ['f32', 'read'],
      sums: ['f32', 'read'],
      /** [outer][rowWords] */
      weights: ['u32', 'read'],
      /** [rows][outer] */
      y: ['f32', 'read-write'],
    },
    scalars: { rows: 'u32', inner: 'u32', outer: 'u32', accumulate: 'u32' },
    elements: (s) => ({
      ...{ q: (s.rows * s.inner) / 2, scales: s.rows, sums: (s.rows * s.inner) / 32 },
      ...{ weights: s.outer * rowWords(format, s.inner), y: s.rows * s.outer },
    }),
    oracle({ q, scales, sums, weights, y, rows, inner, outer, accumulate }) {
      const halves = new Int16Array(q.buffer, q.byteOffset, rows * inner);
      const lanes = new Float32Array(4);
      const whole = new Int32Array(4);
      const parts = inner / size;
      for (let t = 0; t < rows; t++) {
        for (let n = 0; n < outer; n++) {
          const row = n * rowWords(format, inner);
          lanes.fill(0);
          let subtract = 0;
          for (let part = 0; part < parts; part++) {
            whole.fill(0);
            for (let k = 0; k < size; k++) {
              const i = part * size + k;
              whole[(k & 7) >> 1]! += number(weights, row, i) * halves[t * inner + i]!;
            }
            const [scale, minimum] = factors(weights, row, inner, part);
            for (let l = 0; l < 4; l++) lanes[l]! += f(f(whole[l]!) * scale);
            if (minima) subtract = f(subtract + f(minimum * sums[t * parts + part]!));
          }
          let sum = f(f(lanes[0]! + lanes[1]!) + f(lanes[2]! + lanes[3]!));
          if (minima) sum = f(sum - subtract);
          sum = f(sum * scales[t]!);
          y[t * outer + n] = accumulate ? f(y[t * outer + n]! + sum) : sum;
        }
      }
    },
    wasm: tensorModule,
    wgsl: matmulVariants(name, blocks, weightsSource),
    workgroupSize: 64,
    workgroups: matmulWorkgroups,
  });
}

export const matmulQ8 = blockMatmul('matmulQ8', 'q8', q8);
export const matmulQ4 = blockMatmul('matmulQ4', 'q4', q4);
export const matmulQ4K = blockMatmul('matmulQ4K', 'q4k', q4k);
export const matmulQ6K = blockMatmul('matmulQ6K', 'q6k', q6k);
