/** Embeddings: the mean of a text's final hidden states, of length 1. Texts pass through the same pool as requests, one after the other. */
import { TuttiError, throwIfAborted } from '../../errors.js';
import type { BlockPool } from '../kv/block-pool.js';
import type { DecoderConfig } from '../model/decoder-config.js';
import type { Decoder, DecoderBatch } from '../model/decoder.js';
import type { Embeddings } from './text-engine.js';

/** A decoder that also gives the normalised final hidden states [rows][width] of a batch. */
interface HiddenDecoder extends Decoder {
  embed?(batch: DecoderBatch): Promise<Float32Array>;
}

export interface EmbeddingRoom {
  readonly decoder: HiddenDecoder;
  readonly pool: BlockPool;
  readonly config: DecoderConfig;
  readonly limits: { readonly rows: number; readonly blockSize: number };
  readonly context: number;
  /** Resolves when requests may have given blocks back. */
  settled(): Promise<void>;
}

/** @throws TuttiError KERNEL_UNSUPPORTED, INPUT_INVALID naming the text, ABORTED */
export async function embedTokens(
  room: EmbeddingRoom,
  texts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<Embeddings> {
  const { decoder, pool, config, limits, context } = room;
  if (!decoder.embed) {
    throw new TuttiError('KERNEL_UNSUPPORTED', `${config.name} gives no embeddings yet; use another model for them`, {
      where: config.name,
    });
  }
  const most = Math.min(context, pool.blocks * limits.blockSize);
  texts.forEach((tokens, k) => {
    if (tokens.length >= 1 && tokens.length <= most) return;
    throw new TuttiError('INPUT_INVALID', `input[${k}] has ${tokens.length} tokens; this model takes 1 .. ${most}`, {
      where: `input[${k}]`,
      facts: { tokens: tokens.length, context },
    });
  });
  const vectors: Float32Array[] = [];
  for (const tokens of texts) {
    let blocks: number[] | undefined;
    while (!(blocks = pool.allocate(Math.ceil(tokens.length / limits.blockSize)))) {
      throwIfAborted(signal, 'embedding');
      await room.settled();
    }
    try {
      vectors.push(await embedOne(room, tokens, blocks, signal));
    } finally {
      for (const block of blocks) pool.release(block);
    }
  }
  return { vectors, promptTokens: texts.reduce((sum, tokens) => sum + tokens.length, 0) };
}

async function embedOne(
  { decoder, config, limits }: EmbeddingRoom,
  tokens: readonly number[],
  blocks: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { width } = config;
  const sum = new Float64Array(width);
  for (let from = 0; from < tokens.length; from += limits.rows) {
    throwIfAborted(signal, 'embedding');
    const rows = Math.min(limits.rows, tokens.length - from);
    const positions = Uint32Array.from({ length: rows }, (_, k) => from + k);
    const hidden = await decoder.embed!({
      tokens: Uint32Array.from(tokens.slice(from, from + rows)),
      positions,
      sequences: new Uint32Array(rows),
      slots: positions.map(
        (at) => blocks[Math.floor(at / limits.blockSize)]! * limits.blockSize + (at % limits.blockSize),
      ),
      tables: [blocks],
      outputs: new Uint32Array(0),
    });
    for (let row = 0; row < rows; row++) for (let c = 0; c < width; c++) sum[c]! += hidden[row * width + c]!;
  }
  const length = Math.hypot(...sum) || 1;
  return Float32Array.from(sum, (value) => value / length);
}
