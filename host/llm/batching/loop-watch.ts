/** What a loop tells whoever schedules its sequences, and asks. */
import type { Sequence } from './sequence.js';

/** An iteration that was run: what was in it, and what it took. */
export interface MeasuredIteration {
  /** Sequences that got a token of their answers, and prompt tokens. */
  readonly decoding: number;
  readonly prompt: number;
  /** Tokens attended to, by all rows together: what a row of a prompt attends to grows with its place. */
  readonly context: number;
  readonly seconds: number;
}

/** Sequences found too few blocks, and the pool could not grow. */
export interface BlockShortage {
  readonly missing: number;
  /** Of them, what sequences that have begun are short of. */
  readonly outgrown: number;
}

/** Who makes room, instead of whoever comes last. */
export interface ShortageAnswer {
  /** The device may have room now: the pool tries to grow. */
  readonly grow: boolean;
  readonly leave: readonly { readonly sequence: Sequence; readonly keep: boolean }[];
}

/** Whoever schedules the sequences is told what happens to them. */
export interface LoopWatch {
  /** Asked between two iterations; what it awaits must not wait for this loop. */
  short?(shortage: BlockShortage): Promise<ShortageAnswer>;
  measured?(iteration: MeasuredIteration): void;
}
