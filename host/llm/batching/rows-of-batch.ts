/** Parts of several sequences as the rows of one batch. Pure. */
import type { DecoderBatch } from '../model/decoder.js';

export interface BatchPart {
  /** All tokens of the sequence, and how many of them have keys and values. */
  readonly tokens: readonly number[];
  readonly computed: number;
  /** So many more are computed now. */
  readonly rows: number;
  readonly blocks: readonly number[];
  /** Tail block of each block that the rows touch, from the first on. */
  readonly tails: readonly number[];
}

/** `sampled`: which of the parts get a next token, in the order of the batch's outputs. */
export function rowsOfBatch(
  parts: readonly BatchPart[],
  blockSize: number,
): { readonly batch: DecoderBatch; readonly sampled: readonly number[] } {
  const tokens: number[] = [];
  const positions: number[] = [];
  const sequences: number[] = [];
  const slots: number[] = [];
  const outputs: number[] = [];
  const packs: [number, number][] = [];
  const sampled: number[] = [];
  parts.forEach(({ tokens: all, computed, rows, blocks, tails }, at) => {
    const first = Math.floor(computed / blockSize);
    const end = computed + rows;
    for (let position = computed; position < end; position++) {
      tokens.push(all[position]!);
      positions.push(position);
      sequences.push(at);
      slots.push(tails[Math.floor(position / blockSize) - first]! * blockSize + (position % blockSize));
    }
    const full = Math.floor(end / blockSize);
    for (let block = first; block < full; block++) packs.push([tails[block - first]!, blocks[block]!]);
    if (end !== all.length) return;
    outputs.push(tokens.length - 1);
    sampled.push(at);
  });
  const list = (numbers: readonly number[]): Uint32Array => Uint32Array.from(numbers);
  const batch = {
    ...{ tokens: list(tokens), positions: list(positions), sequences: list(sequences), slots: list(slots) },
    ...{ outputs: list(outputs), packs, tables: parts.map(({ blocks }) => blocks.slice()) },
  };
  return { batch, sampled };
}
