/**
 * Blocks from one buffer to another, whatever their format: gathered into a wire buffer, scattered back, copied on write. Within one buffer,
 * for defragmenting, it is a kernel of its own, since no device binds a buffer for reading and writing at once; its pairs must be disjoint.
 */
import source from '../../../gpu-kernels/kv/move_blocks.wgsl';
import within from '../../../gpu-kernels/kv/move_within.wgsl';
import { defineKernel } from '../kernel.js';
import { kvModule } from './module.js';

/** A pair with this number for either block is skipped. */
export const NO_BLOCK = 0xffffffff;
const WIDEST = 32_768;
const workgroups = (s: { readonly count: number; readonly blockWords: number }, size: number) =>
  [Math.ceil(s.blockWords / size), Math.min(s.count, WIDEST), Math.ceil(s.count / WIDEST)] as const;

function move(source: Uint32Array, target: Uint32Array, pairs: Uint32Array, count: number, blockWords: number): void {
  for (let k = 0; k < count; k++) {
    const [from, to] = [pairs[2 * k]!, pairs[2 * k + 1]!];
    if (from === NO_BLOCK || to === NO_BLOCK) continue;
    target.set(source.subarray(from * blockWords, (from + 1) * blockWords), to * blockWords);
  }
}

export const kvMoveBlocks = defineKernel({
  name: 'kvMoveBlocks',
  buffers: {
    /** [blocks][blockWords] */
    source: ['u32', 'read'],
    into: ['u32', 'read-write'],
    /** [count][2]: block of `source`, block of `into`. */
    pairs: ['u32', 'read'],
  },
  scalars: { count: 'u32', blockWords: 'u32' },
  elements: (s) => ({ source: s.blockWords, into: s.blockWords, pairs: 2 * s.count }),
  oracle: ({ source, into, pairs, count, blockWords }) => move(source, into, pairs, count, blockWords),
  wasm: kvModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const kvMoveWithin = defineKernel({
  name: 'kvMoveWithin',
  buffers: {
    /** [blocks][blockWords] */
    pool: ['u32', 'read-write'],
    /** [count][2]: from, to; no block twice. */
    pairs: ['u32', 'read'],
  },
  scalars: { count: 'u32', blockWords: 'u32' },
  elements: (s) => ({ pool: s.blockWords, pairs: 2 * s.count }),
  oracle: ({ pool, pairs, count, blockWords }) => move(pool, pool, pairs, count, blockWords),
  wasm: kvModule,
  wgsl: [{ requires: [], source: within }],
  workgroups,
});
