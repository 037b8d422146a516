/**
 * Which tokens go into the next iteration (continuous batching, Yu et al. 2022; chunked prefill, Agrawal et al. 2024): every sequence that
 * decodes gets its token, and prompts share what is left of the iteration in the order of priority and arrival. A sequence that finds no block
 * takes those of the lowest in that order, which is packed away or recomputed later. Pure: it decides over block counts and leaves allocation to its caller.
 */

export interface SequenceState {
  readonly id: number;
  /** Higher first; ties by `arrival`. */
  readonly priority: number;
  readonly arrival: number;
  /** Tokens known so far, and how many of them have keys and values, on the device or where they come back from. */
  readonly tokens: number;
  readonly computed: number;
  /** Packed blocks that it holds; one is needed for every `blockSize` tokens, once they are full. */
  readonly blocks: number;
  /** Holds blocks or a place in the tail; so many sequences as fit in an iteration may. */
  readonly resident: boolean;
  /** Blocks set aside for it beyond those that it holds. A sequence that is not resident needs them all to begin. */
  readonly reserved: number;
}

export interface IterationLimits {
  readonly rows: number;
  readonly sequences: number;
  readonly blockSize: number;
  /** Blocks that can be allocated now, without those that are set aside for somebody. */
  readonly freeBlocks: number;
}

export interface IterationPlan {
  /** What to compute: the next `rows` tokens of a sequence, which needs `newBlocks` more for them. */
  readonly steps: readonly { readonly id: number; readonly rows: number; readonly newBlocks: number }[];
  /** Sequences that give their blocks back first. */
  readonly evicted: readonly number[];
  /** Blocks that were missing, so that somebody was evicted or has to wait. */
  readonly missing: number;
  /** Of them, what a sequence that had begun already was short of. */
  readonly outgrown: number;
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
  let residents = states.filter((s) => s.resident).length;
  let missing = 0;
  let outgrown = 0;

  for (const state of first ? [first, ...decoding, ...prefilling] : []) {
    if (rows === 0 || steps.length === limits.sequences) break;
    if (evicted.has(state.id)) continue;
    const most = state === first ? Math.max(1, rows - decoding.length) : rows;
    let take = Math.min(state.tokens - state.computed, most);
    /** Blocks that have to come from those that nobody has a right to. */
    const needed = (count: number): number => {
      const more = Math.floor((state.computed + count) / limits.blockSize) - state.blocks;
      return state.resident ? Math.max(0, more - state.reserved) : Math.max(more, state.reserved);
    };
    const crowded = (): boolean => !state.resident && residents >= limits.sequences;
    if (needed(take) > free) {
      missing = Math.max(missing, needed(take) - free);
      if (state.resident) outgrown = Math.max(outgrown, needed(take) - free);
    }
    // Those behind it in the order give way, the last one first.
    for (let k = order.length - 1; (needed(take) > free || crowded()) && order[k] !== state; k--) {
      const victim = order[k]!;
      if (!victim.resident || planned.has(victim.id) || evicted.has(victim.id)) continue;
      evicted.add(victim.id);
      free += victim.blocks + victim.reserved;
      residents--;
    }
    if (crowded()) continue;
    if (needed(take) > free) {
      // As much of a prompt as there is room for; a decode step waits.
      const room = state.blocks + free + (state.resident ? state.reserved : 0);
      take = Math.min(take, (room + 1) * limits.blockSize - 1 - state.computed);
      if (take <= 0 || needed(take) > free) continue;
    }
    free -= needed(take);
    rows -= take;
    if (!state.resident) residents++;
    planned.add(state.id);
    const newBlocks = Math.max(0, Math.floor((state.computed + take) / limits.blockSize) - state.blocks);
    steps.push({ id: state.id, rows: take, newBlocks });
  }
  return { steps, evicted: [...evicted], missing, outgrown };
}
