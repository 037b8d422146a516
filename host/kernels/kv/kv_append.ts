/**
 * Keys and values of new tokens into the paged pool: token t goes to slot `slots[t]`, which is block `slot / blockSize`, place `slot % blockSize`.
 * A slot outside of the pool is left out, so that padding tokens can point there. The pool is [blocks][kvHeads][blockSize][headSize] (Kwon et al. 2023).
 */
import source from '../../../gpu-kernels/kv/kv_append.wgsl';
import { defineKernel } from '../kernel.js';
import { kvModule } from './module.js';

export const kvAppendF32 = defineKernel({
  name: 'kvAppendF32',
  buffers: {
    /** [rows][kvHeads][headSize] */
    k: ['f32', 'read'],
    v: ['f32', 'read'],
    /** [rows] */
    slots: ['u32', 'read'],
    /** [blocks][kvHeads][blockSize][headSize] */
    keys: ['f32', 'read-write'],
    values: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', kvHeads: 'u32', headSize: 'u32', blockSize: 'u32', blocks: 'u32' },
  elements: (s) => {
    const tokens = s.rows * s.kvHeads * s.headSize;
    const pool = s.blocks * s.kvHeads * s.blockSize * s.headSize;
    return { k: tokens, v: tokens, slots: s.rows, keys: pool, values: pool };
  },
  oracle({ k, v, slots, keys, values, rows, kvHeads, headSize, blockSize, blocks }) {
    for (let t = 0; t < rows; t++) {
      const block = Math.floor(slots[t]! / blockSize);
      if (block >= blocks) continue;
      for (let h = 0; h < kvHeads; h++) {
        const to = ((block * kvHeads + h) * blockSize + (slots[t]! % blockSize)) * headSize;
        const from = (t * kvHeads + h) * headSize;
        keys.set(k.subarray(from, from + headSize), to);
        values.set(v.subarray(from, from + headSize), to);
      }
    }
  },
  wasm: kvModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil((s.kvHeads * s.headSize) / size), s.rows, 1],
});
