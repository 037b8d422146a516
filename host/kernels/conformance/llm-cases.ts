/** Conformance cases of the transformer kernels: rooms tensor and kv. */
import * as kv from '../kv/index.js';
import { tensorCases } from './tensor-cases.js';
import type { KernelCase } from './case.js';
import { floats, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

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
  ...tensorCases,
  ...{ kvAppendF32, pagedAttentionF32 },
};
