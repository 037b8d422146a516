/** How likely a model finds a text: what perplexity is made of. */
import { TuttiError } from '../../errors.js';
import type { EmbeddingRoom } from './embedding.js';
import { passThrough } from './pass.js';

/**
 * Natural logarithms of the probabilities of tokens 1, 2, ... of a sequence, each after those before it.
 * @throws TuttiError INPUT_INVALID, ABORTED
 */
export async function scoreTokens(
  room: EmbeddingRoom & { readonly limits: { readonly sequences: number } },
  tokens: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const { decoder, pool, limits, context, config } = room;
  const most = Math.min(context, (pool.blocks + 1) * limits.blockSize - 1);
  if (tokens.length < 2 || tokens.length > most) {
    throw new TuttiError('INPUT_INVALID', `the text has ${tokens.length} tokens; 2 .. ${most} can be scored`, {
      where: 'tokens',
      facts: { tokens: tokens.length, context },
    });
  }
  const scores = new Float64Array(tokens.length - 1);
  const { vocabulary } = config;
  // Logits of every row: as many rows at a time as a decoder gives logits of.
  await passThrough(room, tokens, limits.sequences, signal, async (batch, from) => {
    const rows = batch.tokens.length;
    const logits = await decoder.run({ ...batch, outputs: Uint32Array.from({ length: rows }, (_, k) => k) });
    for (let k = 0; k < rows && from + k < scores.length; k++) {
      const row = logits.subarray(k * vocabulary, (k + 1) * vocabulary);
      let highest = -Infinity;
      for (const logit of row) highest = Math.max(highest, logit);
      let sum = 0;
      for (const logit of row) sum += Math.exp(logit - highest);
      scores[from + k] = row[tokens[from + k + 1]!]! - highest - Math.log(sum);
    }
  });
  return scores;
}
