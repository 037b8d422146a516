/** One sequence through the decoder by itself, between the iterations of others: for what needs every row and not the next token. */
import { throwIfAborted } from '../../errors.js';
import type { BlockPool } from '../kv/block-pool.js';
import type { Decoder, DecoderBatch } from '../model/decoder.js';

export interface PassRoom {
  readonly decoder: Decoder;
  readonly pool: BlockPool;
  readonly tails: BlockPool;
  readonly limits: { readonly rows: number; readonly blockSize: number };
  /** Runs between two iterations of other requests. */
  between<T>(task: () => Promise<T>): Promise<T>;
  /** Frees the blocks of requests that nobody reads. */
  freeIdle(): Promise<void>;
}

/**
 * Cuts the sequence into chunks of at most `rows` and hands each to `visit`, which runs it. Waits for blocks while requests hold them.
 * @throws TuttiError ABORTED; what `visit` throws. No block stays behind.
 */
export async function passThrough(
  room: PassRoom,
  tokens: readonly number[],
  rows: number,
  signal: AbortSignal | undefined,
  visit: (batch: DecoderBatch, from: number) => Promise<void>,
): Promise<void> {
  for (;;) {
    throwIfAborted(signal, 'the pass');
    if (await room.between(() => passOnce(room, tokens, Math.min(rows, room.limits.rows), signal, visit))) return;
    await room.freeIdle();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** False, and nothing was run, when there are too few blocks now. */
async function passOnce(
  { pool, tails, limits: { blockSize } }: PassRoom,
  tokens: readonly number[],
  most: number,
  signal: AbortSignal | undefined,
  visit: (batch: DecoderBatch, from: number) => Promise<void>,
): Promise<boolean> {
  const blocks = pool.allocate(Math.floor(tokens.length / blockSize));
  if (!blocks) return false;
  // One tail block for each block that a chunk of rows touches; a block keeps its own from chunk to chunk.
  const own = tails.allocate(Math.ceil(most / blockSize) + 1);
  try {
    if (!own) return false;
    const tailOf = (block: number): number => own[block % own.length]!;
    for (let from = 0; from < tokens.length; from += most) {
      throwIfAborted(signal, 'the pass');
      const rows = Math.min(most, tokens.length - from);
      const positions = Uint32Array.from({ length: rows }, (_, k) => from + k);
      const packs: [number, number][] = [];
      for (let block = Math.floor(from / blockSize); (block + 1) * blockSize <= from + rows; block++)
        packs.push([tailOf(block), blocks[block]!]);
      const batch = {
        ...{ tokens: Uint32Array.from(tokens.slice(from, from + rows)), positions, sequences: new Uint32Array(rows) },
        slots: positions.map((at) => tailOf(Math.floor(at / blockSize)) * blockSize + (at % blockSize)),
        ...{ tables: [blocks], packs, outputs: new Uint32Array(0) },
      };
      await visit(batch, from);
    }
    return true;
  } finally {
    for (const block of blocks) pool.release(block);
    for (const tail of own ?? []) tails.release(tail);
  }
}
