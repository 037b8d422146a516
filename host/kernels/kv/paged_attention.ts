/**
 * Attention of new tokens, prefill and decode alike: token t of sequence `sequences[t]` attends to positions 0 .. `positions[t]` of its sequence, which lie
 * in the blocks that its row of `tables` names; grouped heads share keys and values. The softmax runs along (Milakov and Gimelshein 2018): a
 * higher score shrinks what was summed before. `headSize` is a multiple of 4, at most 256.
 */
import source from '../../../gpu-kernels/kv/paged_attention.wgsl';
import { defineKernel } from '../kernel.js';
import { expF32 } from '../tensor/exp.js';
import { kvModule } from './module.js';

const f = Math.fround;
/** Of the WGSL body: a workgroup's invocations share the elements of a head. */
export const MOST_HEAD_SIZE = 256;

export const pagedAttentionF32 = defineKernel({
  name: 'pagedAttentionF32',
  buffers: {
    /** [rows][heads][headSize] */
    q: ['f32', 'read'],
    /** [blocks][kvHeads][blockSize][headSize] */
    keys: ['f32', 'read'],
    values: ['f32', 'read'],
    /** [sequences][tableWidth]: blocks of each sequence. */
    tables: ['u32', 'read'],
    /** [rows]: row of `tables`. */
    sequences: ['u32', 'read'],
    /** [rows]: last position that is attended to. */
    positions: ['u32', 'read'],
    /** [rows][heads][headSize] */
    out: ['f32', 'read-write'],
  },
  scalars: {
    ...{ rows: 'u32', heads: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32', tableWidth: 'u32' },
    scale: 'f32',
  },
  elements: (s) => {
    const tokens = s.rows * s.heads * s.headSize;
    const block = s.kvHeads * s.blockSize * s.headSize;
    return {
      q: tokens,
      keys: block,
      values: block,
      tables: s.tableWidth,
      sequences: s.rows,
      positions: s.rows,
      out: tokens,
    };
  },
  oracle(args) {
    const { q, keys, values, tables, sequences, positions, out } = args;
    const { rows, heads, kvHeads, headSize, blockSize, tableWidth } = args;
    const scale = f(args.scale);
    const lanes = new Float32Array(4);
    for (let t = 0; t < rows; t++) {
      const count = Math.min(positions[t]! + 1, tableWidth * blockSize);
      for (let h = 0; h < heads; h++) {
        const query = (t * heads + h) * headSize;
        const kvHead = Math.floor(h / (heads / kvHeads));
        const result = out.subarray(query, query + headSize).fill(0);
        let highest = f(-3e38);
        let sum = 0;
        for (let j = 0; j < count; j++) {
          const block = tables[sequences[t]! * tableWidth + Math.floor(j / blockSize)]!;
          const place = ((block * kvHeads + kvHead) * blockSize + (j % blockSize)) * headSize;
          lanes.fill(0);
          for (let i = 0; i < headSize; i++) lanes[i & 3]! += f(q[query + i]! * keys[place + i]!);
          const score = f(f(f(lanes[0]! + lanes[1]!) + f(lanes[2]! + lanes[3]!)) * scale);
          if (score > highest) {
            const shrink = expF32(f(highest - score));
            highest = score;
            sum = f(f(sum * shrink) + 1);
            for (let i = 0; i < headSize; i++) result[i] = f(f(result[i]! * shrink) + values[place + i]!);
          } else {
            const weight = expF32(f(score - highest));
            sum = f(sum + weight);
            for (let i = 0; i < headSize; i++) result[i] = f(result[i]! + f(weight * values[place + i]!));
          }
        }
        const share = f(1 / sum);
        for (let i = 0; i < headSize; i++) result[i] = f(result[i]! * share);
      }
    }
  },
  wasm: kvModule,
  wgsl: [{ requires: [], source }],
  workgroupSize: 64,
  workgroups: (s) => [s.rows, s.heads, 1],
});
