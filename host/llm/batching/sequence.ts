/** What a sequence is to the loop that runs it, and to whoever gave it. */
import type { KvWire } from '../kv/kv-memory.js';

/** Logits, or only the likeliest token where every sequence of an iteration is greedy: logits are not read back then. */
export type AfterToken = { readonly logits: Float32Array } | { readonly best: number };

export interface SequenceInput {
  /** Grows by what `output` appends. */
  readonly tokens: number[];
  readonly priority: number;
  /** Blocks that must be there before it begins, and stay its own. */
  readonly reserve: number;
  /** Keys and values of its first `computed` tokens, from elsewhere. */
  readonly adopted?: { readonly computed: number; readonly wire: KvWire };
  /** It takes the likeliest token always, whatever else is in the logits. */
  readonly greedy: boolean;
  /** What comes after the last token: appends the next one. 'wait': nothing further before `goOn`. */
  output(after: AfterToken): 'next' | 'end' | 'wait';
  failed(error: Error): void;
}

export interface Sequence {
  readonly id: number;
  /** Prompt tokens that were found in the pool when it began. */
  readonly reused: number;
}

export interface SequenceHoldings {
  /** Tokens of prompt and answer, and those of them with keys and values. */
  readonly tokens: number;
  readonly computed: number;
  /** Blocks that it refers to, and blocks that are set aside for it: now, and before it has begun what it will ask for. */
  readonly blocks: number;
  readonly reserved: number;
  /** Has begun, and is not packed away. */
  readonly resident: boolean;
}
