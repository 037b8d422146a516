/**
 * Which tokens go into the next iteration (continuous batching, Yu et al. 2022; chunked prefill, Agrawal et al. 2024): every sequence that
 * decodes gets its token, and prompts share what is left of the iteration in the order of priority and arrival. A sequence that finds no block
 * takes those of the lowest in that order, which is recomputed later. Pure: it decides over block counts and leaves allocation to its caller.
 */

export interface SequenceState {
  readonly id: number;
  /** Higher first; ties by `arrival`. */
  readonly priority: number;
  readonly arrival: number;
  /** Tokens known so far, and how many of them have keys and values. */
  readonly tokens: number;
  readonly computed: number;
  readonly blocks: number;
}

export interface IterationLimits {
  readonly rows: number;
  readonly sequences: number;
  readonly blockSize: number;
  /** Blocks that can be allocated now. */
  readonly freeBlocks: number;
}

export interface IterationPlan {
  /** What to compute: the next `rows` tokens of a sequence, which needs `newBlocks` more for them. */
  readonly steps: readonly { readonly id: number; readonly rows: number; readonly newBlocks: number }[];
  /** Sequences that give their blocks back first. */
  readonly evicted: readonly number[];
}

export function planIteration(states: readonly SequenceState[], limits: IterationLimits): IterationPlan {
  const order = [...states].sort((a, b) => b.priority - a.priority || a.arrival - b.arrival);
  // The first in order is never without blocks because of those behind it; its prompt leaves the others their tokens.
  const [first, ...others] = order;
  const decoding = others.filter((s) => s.tokens - s.computed === 1);
  const prefilling = others.filter((s) => s.tokens - s.computed > 1);
  const steps: { id: number; rows: number; newBlocks: number }[] = [];
  const evicted = new Set<number>();
  const planned = new Set<number>();
  let rows = limits.rows;
  let free = limits.freeBlocks;

  for (const state of first ? [first, ...decoding, ...prefilling] : []) {
    if (rows === 0 || steps.length === limits.sequences) break;
    if (evicted.has(state.id)) continue;
    const most = state === first ? Math.max(1, rows - decoding.length) : rows;
    let take = Math.min(state.tokens - state.computed, most);
    const needed = (count: number): number =>
      Math.max(0, Math.ceil((state.computed + count) / limits.blockSize) - state.blocks);
    // Those behind it in the order give way, the last one first.
    for (let k = order.length - 1; needed(take) > free && order[k] !== state; k--) {
      const victim = order[k]!;
      if (victim.blocks === 0 || planned.has(victim.id) || evicted.has(victim.id)) continue;
      evicted.add(victim.id);
      free += victim.blocks;
    }
    if (needed(take) > free) {
      // As much of a prompt as there is room for; a decode step waits.
      take = Math.min(take, (state.blocks + free) * limits.blockSize - state.computed);
      if (take <= 0) continue;
    }
    const newBlocks = needed(take);
    free -= newBlocks;
    rows -= take;
    planned.add(state.id);
    steps.push({ id: state.id, rows: take, newBlocks });
  }
  return { steps, evicted: [...evicted] };
}
