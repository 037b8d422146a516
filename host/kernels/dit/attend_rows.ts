/**
 * Attention of rows of queries to all keys of their sequence (no mask), or to a part of them: a shard. Keys come in panels (`panel_rows.ts`), values as rows. Keys
 * are taken in blocks of 64 with a running softmax: within a block, scores are sums in the order of the head's elements, weights are relative to the highest
 * score so far, and what was summed before shrinks when a block has a higher one. The result of a query depends on nothing but its keys and their order:
 * not on the rows or heads beside it.
 *
 * `begins` 1 starts anew, 0 goes on from `state` (highest score and sum of weights of each row and head) and what is in `out`; `ends` 1 divides by the sum.
 * One device says 1 and 1; a ring of devices passes keys and values around and says 1 at its first part, 1 at its last. `headSize` is a multiple of 8.
 *
 * Query t of sequence s is row `s * qSequence + qFirst + t` of q, its head h at `qBegin + h * headSize`; likewise values, and out.
 */
import source from '../../../gpu-kernels/dit/attend_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { expF32 } from '../tensor/exp.js';
import { ditModule } from './module.js';
import { PANEL, panelElements } from './panels.js';

const f = Math.fround;
/** Keys whose weights are relative to one highest score. */
const BLOCK = 64;
const LOWEST = f(-3e38);
/** Of the WGSL body: an invocation keeps the elements of a head. */
export const MOST_HEAD = 256;

export const attendRows = defineKernel({
  name: 'attendRows',
  buffers: {
    q: ['f32', 'read'],
    /** [sequences][heads][ceil(keys / 8)][headSize][8] */
    panels: ['f32', 'read'],
    values: ['f32', 'read'],
    /** [sequences][queries][heads][highest, sum] */
    state: ['f32', 'read-write'],
    out: ['f32', 'read-write'],
  },
  scalars: {
    ...{ sequences: 'u32', queries: 'u32', keys: 'u32', heads: 'u32', headSize: 'u32' },
    ...{ qSequence: 'u32', qFirst: 'u32', qStride: 'u32', qBegin: 'u32' },
    ...{ vSequence: 'u32', vFirst: 'u32', vStride: 'u32', vBegin: 'u32' },
    ...{ oSequence: 'u32', oFirst: 'u32', oStride: 'u32', oBegin: 'u32' },
    ...{ begins: 'u32', ends: 'u32', scale: 'f32' },
  },
  elements: (s) => {
    const rows = (sequence: number, first: number, count: number): number =>
      s.sequences * count === 0 ? 0 : (s.sequences - 1) * sequence + first + count;
    return {
      q: rows(s.qSequence, s.qFirst, s.queries) * s.qStride,
      panels: s.sequences * s.heads * panelElements(s.headSize, s.keys),
      values: rows(s.vSequence, s.vFirst, s.keys) * s.vStride,
      state: s.sequences * s.queries * s.heads * 2,
      out: rows(s.oSequence, s.oFirst, s.queries) * s.oStride,
    };
  },
  oracle(args) {
    const { q, panels, values, state, out, sequences, queries, keys, heads, headSize, begins, ends } = args;
    const { qSequence, qFirst, qStride, qBegin, vSequence, vFirst, vStride, vBegin } = args;
    const { oSequence, oFirst, oStride, oBegin } = args;
    const scale = f(args.scale);
    const scores = new Float32Array(BLOCK);
    const lanes = new Float32Array(4);
    for (let s = 0; s < sequences; s++) {
      for (let h = 0; h < heads; h++) {
        const panelsOf = (s * heads + h) * panelElements(headSize, keys);
        for (let t = 0; t < queries; t++) {
          const query = (s * qSequence + qFirst + t) * qStride + qBegin + h * headSize;
          const at = (s * oSequence + oFirst + t) * oStride + oBegin + h * headSize;
          const result = out.subarray(at, at + headSize);
          const place = ((s * queries + t) * heads + h) * 2;
          let highest = begins ? LOWEST : state[place]!;
          let sum = begins ? 0 : state[place + 1]!;
          if (begins) result.fill(0);
          for (let first = 0; first < keys; first += BLOCK) {
            const count = Math.min(BLOCK, keys - first);
            let most = highest;
            for (let j = 0; j < count; j++) {
              const key = panelsOf + Math.floor((first + j) / PANEL) * PANEL * headSize + (j % PANEL);
              let score = 0;
              for (let i = 0; i < headSize; i++) score = f(score + f(q[query + i]! * panels[key + i * PANEL]!));
              scores[j] = f(score * scale);
              most = Math.max(most, scores[j]!);
            }
            const shrink = expF32(f(highest - most));
            highest = most;
            lanes.fill(0);
            for (let j = 0; j < count; j++) {
              scores[j] = expF32(f(scores[j]! - most));
              lanes[j & 3]! += scores[j]!;
            }
            sum = f(f(sum * shrink) + f(f(lanes[0]! + lanes[1]!) + f(lanes[2]! + lanes[3]!)));
            for (let i = 0; i < headSize; i++) {
              let value = f(result[i]! * shrink);
              let v = (s * vSequence + vFirst + first) * vStride + vBegin + h * headSize + i;
              for (let j = 0; j < count; j++, v += vStride) value = f(value + f(scores[j]! * values[v]!));
              result[i] = value;
            }
          }
          state[place] = highest;
          state[place + 1] = sum;
          if (ends) {
            const share = f(1 / sum);
            for (let i = 0; i < headSize; i++) result[i] = f(result[i]! * share);
          }
        }
      }
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroupSize: 64,
  workgroups: (s, size) => [Math.ceil(s.queries / size), s.heads, s.sequences],
});
