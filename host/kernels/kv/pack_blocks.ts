/**
 * Blocks that are full, from f32 (tail blocks, or any other buffer of f32 blocks) into a pool of the layer's format; layout of a block in block-layout.ts.
 *
 * int8: symmetric, a scale per head of keys and of values, `q = round(x 127 / max |x|)`. int4 (Liu et al. 2024, KIVI): asymmetric, `q = round(x / scale) -
 * zero`, keys with a scale and zero per channel over the block's tokens, values per token over one or more heads, whatever makes 32 values. Scales
 * are f16, and values are packed with the scale that is stored; zero is a whole number, so that packing is one product and one sum a value.
 */
import source from '../../../gpu-kernels/kv/pack_blocks.wgsl';
import { defineKernel } from '../kernel.js';
import { kvBlockLayout, type KvBlockLayout, type KvBlockShape, type KvFormat } from './block-layout.js';
import { gridOf, inverseOf, ROUNDER, roundHalf } from './half.js';
import { kvModule } from './module.js';
import { NO_BLOCK } from './move_blocks.js';

const f = Math.fround;
export const round = (x: number): number => f(f(x + ROUNDER) - ROUNDER);
/** Below it everything is 0: its inverse would be no number. */
export const TINY = f(1e-30);

/** Four bits of a value: row `row` of [kvHeads * blockSize], channel `c`. Word i of a row, of 16 bits, holds channels i, i + n, i + 2n, i + 3n with n = headSize / 4. */
export function nibbleAt(row: number, c: number, headSize: number): { readonly word: number; readonly shift: number } {
  const quarter = headSize / 4;
  const short = row * quarter + (c % quarter);
  return { word: short >> 1, shift: 16 * (short & 1) + 4 * Math.floor(c / quarter) };
}

type Packer = (block: Float32Array, words: Uint32Array, layout: KvBlockLayout, shape: KvBlockShape) => void;

const packInt8: Packer = (block, words, layout, { kvHeads, headSize, blockSize }) => {
  const scales = new Float32Array(words.buffer, words.byteOffset, 2 * kvHeads);
  const bytes = new Int8Array(words.buffer, words.byteOffset + 4 * layout.keys);
  const group = blockSize * headSize;
  for (let g = 0; g < 2 * kvHeads; g++) {
    const values = block.subarray(g * group, (g + 1) * group);
    const highest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    scales[g] = highest > TINY ? f(highest * f(1 / 127)) : 0;
    const inverse = highest > TINY ? f(127 / highest) : 0;
    values.forEach((x, i) => (bytes[g * group + i] = round(f(x * inverse))));
  }
};

const packInt4: Packer = (block, words, layout, { kvHeads, headSize, blockSize }) => {
  const elements = kvHeads * blockSize * headSize;
  words.fill(0, layout.keys, layout.values + elements / 8);
  /** Packs the values at `places` (row, channel) of keys or values with one scale. */
  const put = (part: number, scaleAt: number, places: readonly (readonly [number, number])[]): void => {
    const at = (row: number, c: number): number => block[part * elements + row * headSize + c]!;
    const all = places.map(([row, c]) => at(row, c));
    const { word, scale, zero } = gridOf(Math.min(...all), Math.max(...all));
    words[scaleAt] = word;
    const inverse = inverseOf(scale);
    for (const [row, c] of places) {
      const q = f(f(at(row, c) * inverse) + (ROUNDER - zero)) - ROUNDER;
      const to = nibbleAt(row, c, headSize);
      words[(part ? layout.values : layout.keys) + to.word]! |= q << to.shift;
    }
  };
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  for (let h = 0; h < kvHeads; h++) {
    for (let c = 0; c < headSize; c++) {
      put(
        0,
        layout.keyScales + h * headSize + c,
        range(blockSize).map((j) => [h * blockSize + j, c]),
      );
    }
  }
  for (let g = 0; g < layout.valueGroups; g++) {
    const heads = range(kvHeads).slice(g * layout.headsPerGroup, (g + 1) * layout.headsPerGroup);
    for (let j = 0; j < blockSize; j++) {
      const places = heads.flatMap((h) => range(headSize).map((c) => [h * blockSize + j, c] as const));
      put(1, layout.valueScales + g * blockSize + j, places);
    }
  }
};

const packers: Readonly<Record<KvFormat, Packer>> = {
  f32: (block, words) => words.set(new Uint32Array(block.buffer, block.byteOffset, block.length)),
  f16: (block, words) => {
    const halves = new Uint16Array(words.buffer, words.byteOffset, 2 * words.length);
    block.forEach((x, i) => (halves[i] = roundHalf(x).bits));
  },
  int8: packInt8,
  int4: packInt4,
};

const kernel = (name: string, format: KvFormat) =>
  defineKernel({
    name,
    buffers: {
      /** [blocks][2: keys, values][kvHeads][blockSize][headSize] */
      tail: ['f32', 'read'],
      /** [count][2]: block of `tail`, block of `pool`; NO_BLOCK for either is skipped. */
      pairs: ['u32', 'read'],
      /** [blocks][words of a block] */
      pool: ['u32', 'read-write'],
    },
    scalars: { count: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32' },
    elements: (s) => ({
      tail: 2 * s.kvHeads * s.blockSize * s.headSize,
      pairs: 2 * s.count,
      pool: kvBlockLayout(format, s).words,
    }),
    oracle({ tail, pairs, pool, count, ...shape }) {
      const floats = 2 * shape.kvHeads * shape.blockSize * shape.headSize;
      const layout = kvBlockLayout(format, shape);
      for (let k = 0; k < count; k++) {
        const [from, to] = [pairs[2 * k]!, pairs[2 * k + 1]!];
        if (from === NO_BLOCK || to === NO_BLOCK) continue;
        const block = tail.subarray(from * floats, (from + 1) * floats);
        packers[format](block, pool.subarray(to * layout.words, (to + 1) * layout.words), layout, shape);
      }
    },
    wasm: kvModule,
    wgsl: [{ requires: [], source }],
    workgroups: (s) => [2 * s.kvHeads, s.count, 1],
  });

export const kvPackF32 = kernel('kvPackF32', 'f32');
export const kvPackF16 = kernel('kvPackF16', 'f16');
export const kvPackInt8 = kernel('kvPackInt8', 'int8');
export const kvPackInt4 = kernel('kvPackInt4', 'int4');
