/** Embeddings: the mean of a text's final hidden states, of length 1. Texts pass through the same pool as requests, one after the other. */
import { TuttiError, throwIfAborted } from '../../errors.js';
import type { BlockPool } from '../kv/block-pool.js';
import type { DecoderConfig } from '../model/decoder-config.js';
import type { Decoder } from '../model/decoder.js';
import type { Embeddings } from './text-engine.js';

export interface EmbeddingRoom {
  readonly decoder: Decoder;
  readonly pool: BlockPool;
  readonly tails: BlockPool;
  readonly config: DecoderConfig;
  readonly limits: { readonly rows: number; readonly blockSize: number };
  readonly context: number;
  /** Runs between two iterations of other requests. */
  between<T>(task: () => Promise<T>): Promise<T>;
}

/** @throws TuttiError KERNEL_UNSUPPORTED, INPUT_INVALID naming the text, ABORTED */
export async function embedTokens(
  room: EmbeddingRoom,
  texts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<Embeddings> {
  const { pool, limits, context } = room;
  const most = Math.min(context, (pool.blocks + 1) * limits.blockSize - 1);
  texts.forEach((tokens, k) => {
    if (tokens.length >= 1 && tokens.length <= most) return;
    throw new TuttiError('INPUT_INVALID', `input[${k}] has ${tokens.length} tokens; this model takes 1 .. ${most}`, {
      where: `input[${k}]`,
      facts: { tokens: tokens.length, context },
    });
  });
  const vectors: Float32Array[] = [];
  for (const tokens of texts) {
    for (;;) {
      throwIfAborted(signal, 'embedding');
      const vector = await room.between(() => embedOne(room, tokens, signal));
      if (vector) {
        vectors.push(vector);
        break;
      }
      // Requests hold the blocks; they give them back as they end.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return { vectors, promptTokens: texts.reduce((sum, tokens) => sum + tokens.length, 0) };
}

/** Undefined when there are too few blocks now. */
async function embedOne(
  room: EmbeddingRoom,
  tokens: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Float32Array | undefined> {
  const { decoder, pool, config, limits } = room;
  const { blockSize } = limits;
  const blocks = pool.allocate(Math.floor(tokens.length / blockSize));
  if (!blocks) return undefined;
  // One tail block for each block that a chunk of rows touches.
  const tails = room.tails.allocate(Math.ceil(limits.rows / blockSize) + 1);
  try {
    if (!tails) return undefined;
    const { width } = config;
    const sum = new Float64Array(width);
    for (let from = 0; from < tokens.length; from += limits.rows) {
      throwIfAborted(signal, 'embedding');
      const rows = Math.min(limits.rows, tokens.length - from);
      const positions = Uint32Array.from({ length: rows }, (_, k) => from + k);
      // A block keeps its tail block from chunk to chunk.
      const tailOf = (block: number): number => tails[block % tails.length]!;
      const packs: [number, number][] = [];
      for (let block = Math.floor(from / blockSize); (block + 1) * blockSize <= from + rows; block++)
        packs.push([tailOf(block), blocks[block]!]);
      const hidden = await decoder.embed({
        tokens: Uint32Array.from(tokens.slice(from, from + rows)),
        positions,
        sequences: new Uint32Array(rows),
        slots: positions.map((at) => tailOf(Math.floor(at / blockSize)) * blockSize + (at % blockSize)),
        tables: [blocks],
        packs,
        outputs: new Uint32Array(0),
      });
      for (let row = 0; row < rows; row++) for (let c = 0; c < width; c++) sum[c]! += hidden[row * width + c]!;
    }
    const length = Math.hypot(...sum) || 1;
    return Float32Array.from(sum, (value) => value / length);
  } finally {
    for (const block of blocks) pool.release(block);
    for (const tail of tails ?? []) room.tails.release(tail);
  }
}
