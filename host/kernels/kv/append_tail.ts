/**
 * Keys and values of new tokens into tail blocks, those that are being filled: token t goes to slot `slots[t]`, which is tail block
 * `slot / blockSize`, place `slot % blockSize`. A slot outside of the tail is left out, so that padding tokens can point there.
 */
import source from '../../../gpu-kernels/kv/append_tail.wgsl';
import { defineKernel } from '../kernel.js';
import { kvModule } from './module.js';

export const kvAppend = defineKernel({
  name: 'kvAppend',
  buffers: {
    /** [rows][kvHeads][headSize] */
    k: ['f32', 'read'],
    v: ['f32', 'read'],
    /** [rows] */
    slots: ['u32', 'read'],
    /** [tailBlocks][2: keys, values][kvHeads][blockSize][headSize] */
    tail: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32', tailBlocks: 'u32' },
  elements: (s) => {
    const tokens = s.rows * s.kvHeads * s.headSize;
    return { k: tokens, v: tokens, slots: s.rows, tail: 2 * s.tailBlocks * s.kvHeads * s.blockSize * s.headSize };
  },
  oracle({ k, v, slots, tail, rows, kvHeads, headSize, blockSize, tailBlocks }) {
    const values = kvHeads * blockSize * headSize;
    for (let t = 0; t < rows; t++) {
      const block = Math.floor(slots[t]! / blockSize);
      if (block >= tailBlocks) continue;
      for (let h = 0; h < kvHeads; h++) {
        const to = 2 * block * values + (h * blockSize + (slots[t]! % blockSize)) * headSize;
        const from = (t * kvHeads + h) * headSize;
        tail.set(k.subarray(from, from + headSize), to);
        tail.set(v.subarray(from, from + headSize), to + values);
      }
    }
  },
  wasm: kvModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil((s.kvHeads * s.headSize) / size), s.rows, 1],
});
