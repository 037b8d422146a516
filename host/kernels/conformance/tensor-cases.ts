/** Conformance cases of the dense kernels of transformers. */
import * as tensor from '../tensor/index.js';
import { FORMAT_BLOCK, rowWords, WEIGHT_FORMATS, wordOf, type WeightFormat } from '../tensor/index.js';
import type { KernelCase } from './case.js';
import { floats, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const names = Object.keys(WEIGHT_FORMATS) as WeightFormat[];

/** Random weights of a format: numbers and scales of every kind that files have. */
function randomWeights(d: Dice, format: WeightFormat, rows: number, inner: number): Uint32Array {
  const width = rowWords(format, inner);
  const out = new Uint32Array(rows * width);
  const scale = (): number => wordOf(d.float(-0.05, 0.05));
  const half = (): number => (d.int(0, 1) << 15) | (d.int(0, 16) << 10) | d.int(0, 1023);
  for (let n = 0; n < rows; n++) {
    const row = out.subarray(n * width, (n + 1) * width);
    row.forEach((_, k) => (row[k] = (d.int(0, 0xffff) << 16) | d.int(0, 0xffff)));
    if (format === 'f32') row.forEach((_, k) => (row[k] = wordOf(d.float(-2, 2))));
    if (format === 'f16') row.forEach((_, k) => (row[k] = (half() << 16) | half()));
    if (format === 'bf16')
      row.forEach((_, k) => (row[k] = (wordOf(d.float(-2, 2)) & ~0xffff) | (wordOf(d.float(-2, 2)) >>> 16)));
    if (format === 'q8') row.subarray(inner / 4).forEach((_, k, part) => (part[k] = scale()));
    if (format === 'q4') row.subarray(inner / 8).forEach((_, k, part) => (part[k] = scale()));
    for (let b = 0; b < inner / 256; b++) {
      if (format === 'q4k') row.set([scale(), scale()], inner / 8 + 6 * b);
      if (format === 'q6k') row.set([scale()], inner / 4 + 5 * b);
    }
  }
  return out;
}

const gatherRows: Maker = (d) => {
  const format = names[d.int(0, names.length - 1)]!;
  const [rows, width, tableRows] = [d.int(1, 9), FORMAT_BLOCK[format] * d.int(1, 3), d.int(1, 20)];
  return {
    name: `gatherRows ${format}`,
    kernel: tensor.gatherRows.body,
    scalars: [rows, width, tableRows, WEIGHT_FORMATS[format], d.chance(0.5) ? 1 : d.float(0.5, 20)],
    buffers: [words(d, rows, 0, tableRows), randomWeights(d, format, tableRows, width), floats(d, rows * width)],
    tolerance: 1e-6,
  };
};

const rmsNormF32: Maker = (d) => {
  const [rows, width] = [d.int(1, 6), 4 * d.int(1, 80)];
  return {
    name: 'rmsNormF32',
    kernel: tensor.rmsNormF32.body,
    scalars: [rows, width, Math.fround(1e-5)],
    buffers: [floats(d, rows * width), floats(d, width), floats(d, rows * width)],
    tolerance: 1e-5,
  };
};

const ropeRows: Maker = (d) => {
  const [rows, heads, headSize, most] = [d.int(1, 6), d.int(1, 5), 4 * d.int(1, 12), d.int(1, 30)];
  const rotated = 2 * d.int(1, headSize / 2);
  return {
    name: 'ropeRows',
    kernel: tensor.ropeRows.body,
    scalars: [rows, heads, headSize, rotated, d.int(0, 1), most],
    buffers: [floats(d, rows * heads * headSize), words(d, rows, 0, most), floats(d, most * rotated, -1, 1)],
    tolerance: 1e-6,
  };
};

const gatedRows: Maker = (d) => {
  const count = d.int(1, 400);
  const range = d.chance(0.2) ? 200 : 6;
  return {
    name: 'gatedRows',
    kernel: tensor.gatedRows.body,
    scalars: [count, d.int(0, 1)],
    buffers: [floats(d, count, -range, range), floats(d, count)],
    tolerance: 1e-5,
  };
};

const floatMatmul =
  (format: 'f32' | 'f16' | 'bf16', kernel: typeof tensor.matmulF32): Maker =>
  (d) => {
    const [rows, inner, outer] = [d.int(1, 9), 4 * d.int(1, 50), d.int(1, 40)];
    return {
      name: kernel.body.name,
      kernel: kernel.body,
      scalars: [rows, inner, outer, d.int(0, 1)],
      buffers: [floats(d, rows * inner), randomWeights(d, format, outer, inner), floats(d, rows * outer)],
      tolerance: 1e-5,
    };
  };

const blockMatmul =
  (format: 'q8' | 'q4' | 'q4k' | 'q6k', kernel: typeof tensor.matmulQ8): Maker =>
  (d) => {
    const block = FORMAT_BLOCK[format];
    const [rows, inner, outer] = [d.int(1, 9), block * d.int(1, block === 32 ? 20 : 3), d.int(1, 30)];
    const q = new Int16Array(rows * inner).map(() => d.int(-16384, 16384));
    const sums = new Float32Array((rows * inner) / 32);
    q.forEach((value, i) => (sums[i >> 5]! += value));
    return {
      name: kernel.body.name,
      kernel: kernel.body,
      scalars: [rows, inner, outer, d.int(0, 1)],
      buffers: [
        new Uint32Array(q.buffer),
        new Float32Array(rows).map(() => 2 ** d.int(-24, -12)),
        sums,
        randomWeights(d, format, outer, inner),
        floats(d, rows * outer),
      ],
      // Sums of K formats cancel: scales and minima are large.
      tolerance: 2e-3,
    };
  };

const quantiseRows: Maker = (d) => {
  const [rows, inner] = [d.int(1, 9), 32 * d.int(1, 40)];
  const range = 10 ** d.int(-6, 4);
  const x = floats(d, rows * inner, -range, range);
  if (d.chance(0.2)) x.fill(0, 0, inner);
  return {
    name: 'quantiseRows',
    kernel: tensor.quantiseRows.body,
    scalars: [rows, inner],
    buffers: [x, words(d, (rows * inner) / 2, 0, 9), floats(d, rows), floats(d, (rows * inner) / 32)],
  };
};

const addRows: Maker = (d) => {
  const period = 4 * d.int(1, 40);
  const count = period * d.int(1, 6);
  return {
    name: 'addRows',
    kernel: tensor.addRows.body,
    scalars: [count, period],
    buffers: [floats(d, period), floats(d, count)],
  };
};

const argmaxRows: Maker = (d) => {
  const [rows, width] = [d.int(1, 5), d.int(1, 900)];
  // Few values, so that there are ties.
  const x = new Float32Array(rows * width).map(() => (d.chance(0.5) ? d.int(-4, 4) : d.float(-4, 4)));
  if (d.chance(0.1)) x.fill(-Infinity, 0, width);
  return {
    name: 'argmaxRows',
    kernel: tensor.argmaxRows.body,
    scalars: [rows, width],
    buffers: [x, words(d, rows, 0, 9)],
  };
};

const capRows: Maker = (d) => {
  const count = d.int(1, 400);
  return {
    name: 'capRows',
    kernel: tensor.capRows.body,
    scalars: [count, d.float(1, 50)],
    buffers: [floats(d, count, -100, 100)],
    tolerance: 1e-5,
  };
};

export const tensorCases: Readonly<Record<string, Maker>> = {
  ...{ gatherRows, rmsNormF32, ropeRows, gatedRows, addRows, argmaxRows, capRows, quantiseRows },
  matmulF32: floatMatmul('f32', tensor.matmulF32),
  matmulF16: floatMatmul('f16', tensor.matmulF16),
  matmulBf16: floatMatmul('bf16', tensor.matmulBf16),
  matmulQ8: blockMatmul('q8', tensor.matmulQ8),
  matmulQ4: blockMatmul('q4', tensor.matmulQ4),
  matmulQ4K: blockMatmul('q4k', tensor.matmulQ4K),
  matmulQ6K: blockMatmul('q6k', tensor.matmulQ6K),
};
