/** Conformance cases of the transformer kernels: rooms tensor and kv. */
import * as kv from '../kv/index.js';
import * as tensor from '../tensor/index.js';
import type { KernelCase } from './case.js';
import { floats, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const gatherRowsF32: Maker = (d) => {
  const [rows, width, tableRows] = [d.int(1, 9), d.int(1, 150), d.int(1, 20)];
  return {
    name: 'gatherRowsF32',
    kernel: tensor.gatherRowsF32.body,
    scalars: [rows, width, tableRows],
    buffers: [words(d, rows, 0, tableRows), floats(d, tableRows * width), floats(d, rows * width)],
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

const matmulF32: Maker = (d) => {
  const [rows, inner, outer] = [d.int(1, 9), 4 * d.int(1, 50), d.int(1, 40)];
  return {
    name: 'matmulF32',
    kernel: tensor.matmulF32.body,
    scalars: [rows, inner, outer, d.int(0, 1)],
    buffers: [floats(d, rows * inner), floats(d, outer * inner), floats(d, rows * outer)],
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
    scalars: [count],
    buffers: [floats(d, count, -range, range), floats(d, count)],
    tolerance: 1e-5,
  };
};

const kvAppendF32: Maker = (d) => {
  const [rows, kvHeads, headSize, blockSize, blocks] = [
    d.int(1, 7),
    d.int(1, 4),
    4 * d.int(1, 16),
    d.int(1, 9),
    d.int(2, 6),
  ];
  // Each slot once, some of them outside of the pool.
  const free = Array.from({ length: blocks * blockSize + 4 }, (_, slot) => slot);
  const slots = Uint32Array.from(
    { length: Math.min(rows, free.length) },
    () => free.splice(d.int(0, free.length - 1), 1)[0]!,
  );
  const pool = blocks * kvHeads * blockSize * headSize;
  return {
    name: 'kvAppendF32',
    kernel: kv.kvAppendF32.body,
    scalars: [slots.length, kvHeads, headSize, blockSize, blocks],
    buffers: [
      floats(d, slots.length * kvHeads * headSize),
      floats(d, slots.length * kvHeads * headSize),
      slots,
      floats(d, pool),
      floats(d, pool),
    ],
  };
};

const pagedAttentionF32: Maker = (d) => {
  const [rows, kvHeads, group, headSize] = [
    d.int(1, 5),
    d.int(1, 3),
    d.int(1, 3),
    4 * d.int(1, d.chance(0.2) ? 64 : 16),
  ];
  const [blockSize, tableWidth, sequences] = [d.int(1, 20), d.int(1, 8), d.int(1, 4)];
  const blocks = sequences * tableWidth + 1;
  const heads = kvHeads * group;
  const pool = blocks * kvHeads * blockSize * headSize;
  return {
    name: 'pagedAttentionF32',
    kernel: kv.pagedAttentionF32.body,
    scalars: [rows, heads, kvHeads, headSize, blockSize, tableWidth, Math.fround(1 / Math.sqrt(headSize))],
    buffers: [
      floats(d, rows * heads * headSize, -4, 4),
      floats(d, pool),
      floats(d, pool),
      words(d, sequences * tableWidth, 0, blocks - 1),
      words(d, rows, 0, sequences - 1),
      words(d, rows, 0, blockSize * tableWidth + 2),
      floats(d, rows * heads * headSize),
    ],
    tolerance: 1e-4,
  };
};

export const llmCases: Readonly<Record<string, Maker>> = {
  ...{ gatherRowsF32, rmsNormF32, matmulF32, ropeRows, gatedRows, kvAppendF32, pagedAttentionF32 },
};
