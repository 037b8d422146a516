/** Blocks of a pool back to f32: to read them, and on the way to another format. */
import source from '../../../gpu-kernels/kv/unpack_blocks.wgsl';
import { defineKernel } from '../kernel.js';
import { kvBlockLayout, type KvBlockLayout, type KvBlockShape, type KvFormat } from './block-layout.js';
import { gridIn, halfValue } from './half.js';
import { kvModule } from './module.js';
import { NO_BLOCK } from './move_blocks.js';
import { nibbleAt } from './pack_blocks.js';

const f = Math.fround;

/** Value `i` of part 0 (keys) or 1 (values), [kvHeads][blockSize][headSize], of a packed block. */
export type Unpacker = (
  words: Uint32Array,
  layout: KvBlockLayout,
  shape: KvBlockShape,
) => (part: number, i: number) => number;

export const unpackers: Readonly<Record<KvFormat, Unpacker>> = {
  f32: (words, layout) => {
    const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
    return (part, i) => floats[part * layout.values + i]!;
  },
  f16: (words, layout) => {
    const halves = new Uint16Array(words.buffer, words.byteOffset, 2 * words.length);
    return (part, i) => halfValue(halves[2 * part * layout.values + i]!);
  },
  int8: (words, layout, { kvHeads, headSize, blockSize }) => {
    const scales = new Float32Array(words.buffer, words.byteOffset, 2 * kvHeads);
    const bytes = new Int8Array(words.buffer, words.byteOffset, 4 * words.length);
    return (part, i) => {
      const head = Math.floor(i / (blockSize * headSize));
      return f(bytes[4 * (part ? layout.values : layout.keys) + i]! * scales[part * kvHeads + head]!);
    };
  },
  int4: (words, layout, { headSize, blockSize }) => {
    return (part, i) => {
      const row = Math.floor(i / headSize);
      const head = Math.floor(row / blockSize);
      const at = nibbleAt(row, i % headSize, headSize);
      const q = (words[(part ? layout.values : layout.keys) + at.word]! >>> at.shift) & 15;
      const group = Math.floor(head / layout.headsPerGroup);
      const scaleAt = part
        ? layout.valueScales + group * blockSize + (row % blockSize)
        : layout.keyScales + head * headSize + (i % headSize);
      const { scale, zero } = gridIn(words[scaleAt]!);
      return f(scale * (zero + q));
    };
  },
};

const kernel = (name: string, format: KvFormat) =>
  defineKernel({
    name,
    buffers: {
      /** [blocks][words of a block] */
      pool: ['u32', 'read'],
      /** [count][2]: block of `pool`, block of `out`; NO_BLOCK for either is skipped. */
      pairs: ['u32', 'read'],
      /** [blocks][2: keys, values][kvHeads][blockSize][headSize] */
      out: ['f32', 'read-write'],
    },
    scalars: { count: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32' },
    elements: (s) => ({
      pool: kvBlockLayout(format, s).words,
      pairs: 2 * s.count,
      out: 2 * s.kvHeads * s.blockSize * s.headSize,
    }),
    oracle({ pool, pairs, out, count, ...shape }) {
      const elements = shape.kvHeads * shape.blockSize * shape.headSize;
      const layout = kvBlockLayout(format, shape);
      for (let k = 0; k < count; k++) {
        const [from, to] = [pairs[2 * k]!, pairs[2 * k + 1]!];
        if (from === NO_BLOCK || to === NO_BLOCK) continue;
        const at = unpackers[format](pool.subarray(from * layout.words, (from + 1) * layout.words), layout, shape);
        for (let i = 0; i < 2 * elements; i++) out[2 * to * elements + i] = at(i < elements ? 0 : 1, i % elements);
      }
    },
    wasm: kvModule,
    wgsl: [{ requires: [], source }],
    workgroups: (s) => [2 * s.kvHeads, s.count, 1],
  });

export const kvUnpackF32 = kernel('kvUnpackF32', 'f32');
export const kvUnpackF16 = kernel('kvUnpackF16', 'f16');
export const kvUnpackInt8 = kernel('kvUnpackInt8', 'int8');
export const kvUnpackInt4 = kernel('kvUnpackInt4', 'int4');
