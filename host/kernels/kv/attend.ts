/**
 * Attention of new tokens, prefill and decode alike. The token at position p of its sequence attends to the packed blocks 0 .. floor(p / blockSize) - 1,
 * which its row of `tables` names, and to its own block up to itself, in f32 from the tail: what it sees of the past does not depend on how
 * the tokens were cut into iterations. Packed values are never written out; see attend_block.ts for the arithmetic.
 */
import source from '../../../gpu-kernels/kv/attend.wgsl';
import halves from '../../../gpu-kernels/kv/blocks_f16.shader-f16.wgsl';
import f16 from '../../../gpu-kernels/kv/blocks_f16.wgsl';
import f32 from '../../../gpu-kernels/kv/blocks_f32.wgsl';
import int4 from '../../../gpu-kernels/kv/blocks_int4.wgsl';
import int8 from '../../../gpu-kernels/kv/blocks_int8.wgsl';
import subgroupMaximum from '../../../gpu-kernels/kv/tile_maximum.subgroups.wgsl';
import maximum from '../../../gpu-kernels/kv/tile_maximum.wgsl';
import type { WgslVariant } from '../../device/device.js';
import { defineKernel } from '../kernel.js';
import { wgslVariant } from '../wgsl-variant.js';
import { attendFloats, attendInt4Block, attendInt8Block, LOWEST, wholeQuery, type Attention } from './attend_block.js';
import { kvBlockLayout, type KvFormat } from './block-layout.js';
import { kvModule } from './module.js';

const f = Math.fround;

const BLOCKS: Readonly<Record<KvFormat, string>> = { f32, f16, int8, int4 };

function variants(name: string, format: KvFormat): WgslVariant[] {
  const [quick, plain] = [subgroupMaximum, maximum].map((part) => part.replace('attendBlocks', name)) as [
    string,
    string,
  ];
  const ofHalves = [
    wgslVariant(['subgroups', 'shader-f16'], source, halves, quick),
    wgslVariant(['shader-f16'], source, halves, plain),
  ];
  return [
    ...(format === 'f16' ? ofHalves : []),
    wgslVariant(['subgroups'], source, BLOCKS[format], quick),
    wgslVariant([], source, BLOCKS[format], plain),
  ];
}

const kernel = (name: string, format: KvFormat) =>
  defineKernel({
    name,
    buffers: {
      /** [rows][heads][headSize] */
      q: ['f32', 'read'],
      /** [tailBlocks][2: keys, values][kvHeads][blockSize][headSize] */
      tail: ['f32', 'read'],
      /** [blocks][words of a block] */
      pool: ['u32', 'read'],
      /** [sequences][tableWidth]: packed blocks of each sequence. */
      tables: ['u32', 'read'],
      /** [rows]: row of `tables`. */
      sequences: ['u32', 'read'],
      /** [rows]: place in the sequence. */
      positions: ['u32', 'read'],
      /** [rows]: tail block * blockSize + place, where kvAppend put the token's own key and value. */
      slots: ['u32', 'read'],
      /** [rows][heads][headSize] */
      out: ['f32', 'read-write'],
    },
    scalars: {
      ...{ rows: 'u32', heads: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32', tableWidth: 'u32' },
      /** A token attends to the last `window` positions, itself included; 0: to all. */
      window: 'u32',
      scale: 'f32',
      /** Scores become cap * tanh(score / cap) when it is above 0. */
      cap: 'f32',
    },
    elements: (s) => {
      const tokens = s.rows * s.heads * s.headSize;
      return {
        q: tokens,
        tail: 2 * s.kvHeads * s.blockSize * s.headSize,
        pool: kvBlockLayout(format, s).words,
        tables: s.tableWidth,
        sequences: s.rows,
        positions: s.rows,
        slots: s.rows,
        out: tokens,
      };
    },
    oracle({ q, tail, pool, tables, sequences, positions, slots, out, ...args }) {
      const { rows, heads, kvHeads, headSize, blockSize, tableWidth, window } = args;
      const shape = { kvHeads, headSize, blockSize };
      const packed = kvBlockLayout(format, shape).words;
      const unpacked = kvBlockLayout('f32', shape).words;
      const tailWords = new Uint32Array(tail.buffer, tail.byteOffset, tail.length);
      for (let t = 0; t < rows; t++) {
        const position = positions[t]!;
        const first = window > 0 ? Math.max(0, position + 1 - window) : 0;
        const whole = Math.floor(position / blockSize);
        for (let h = 0; h < heads; h++) {
          const at = (t * heads + h) * headSize;
          const a: Attention = {
            ...{ shape, head: Math.floor(h / (heads / kvHeads)), query: q.subarray(at, at + headSize) },
            ...{ scale: f(args.scale), cap: f(args.cap), out: out.subarray(at, at + headSize).fill(0) },
            ...{ sum: 0, highest: LOWEST },
          };
          const whole8 = wholeQuery(a);
          for (let j = Math.floor(first / blockSize); j < Math.min(whole, tableWidth); j++) {
            const block = tables[sequences[t]! * tableWidth + j]!;
            const words = pool.subarray(block * packed, (block + 1) * packed);
            const from = Math.max(0, first - j * blockSize);
            if (format === 'int8') attendInt8Block(a, whole8, words, from);
            else if (format === 'int4') attendInt4Block(a, words, from);
            else attendFloats(a, format, words, from, blockSize);
          }
          const own = Math.floor(slots[t]! / blockSize) * unpacked;
          const begin = whole * blockSize;
          const from = Math.max(0, first - begin);
          attendFloats(a, 'f32', tailWords.subarray(own, own + unpacked), from, position - begin + 1);
          const share = f(1 / a.sum);
          for (let i = 0; i < headSize; i++) out[at + i] = out[at + i]! * share;
        }
      }
    },
    wasm: kvModule,
    wgsl: variants(name, format),
    workgroupSize: 64,
    workgroups: (s) => [s.rows, s.heads, 1],
  });

export const attendF32 = kernel('attendF32', 'f32');
export const attendF16 = kernel('attendF16', 'f16');
export const attendInt8 = kernel('attendInt8', 'int8');
export const attendInt4 = kernel('attendInt4', 'int4');
