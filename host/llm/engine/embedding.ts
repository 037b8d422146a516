/** Embeddings: the mean of a text's final hidden states, of length 1. Texts pass one after the other. */
import { TuttiError } from '../../errors.js';
import type { DecoderConfig } from '../model/decoder-config.js';
import { passThrough, type PassRoom } from './pass.js';
import type { Embeddings } from './text-engine.js';

export interface EmbeddingRoom extends PassRoom {
  readonly config: DecoderConfig;
  readonly context: number;
}

/** @throws TuttiError INPUT_INVALID naming the text, ABORTED */
export async function embedTokens(
  room: EmbeddingRoom,
  texts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<Embeddings> {
  const { decoder, pool, limits, context, config } = room;
  const most = Math.min(context, (pool.blocks + 1) * limits.blockSize - 1);
  texts.forEach((tokens, k) => {
    if (tokens.length >= 1 && tokens.length <= most) return;
    throw new TuttiError('INPUT_INVALID', `input[${k}] has ${tokens.length} tokens; this model takes 1 .. ${most}`, {
      where: `input[${k}]`,
      facts: { tokens: tokens.length, context },
    });
  });
  const { width } = config;
  const vectors: Float32Array[] = [];
  for (const tokens of texts) {
    const sum = new Float64Array(width);
    await passThrough(room, tokens, limits.rows, signal, async (batch) => {
      const hidden = await decoder.embed(batch);
      for (let i = 0; i < hidden.length; i++) sum[i % width]! += hidden[i]!;
    });
    const length = Math.hypot(...sum) || 1;
    vectors.push(Float32Array.from(sum, (value) => value / length));
  }
  return { vectors, promptTokens: texts.reduce((sum, tokens) => sum + tokens.length, 0) };
}
