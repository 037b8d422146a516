/** The answers of one HTTP request: several generations side by side, their chunks as they come, and their counts. */
import type { TextChunk, TextEngine, TextRequest } from '../llm/engine/text-engine.js';
import type { Metrics } from './metrics.js';

export interface ChoiceChunk {
  readonly index: number;
  readonly chunk: TextChunk;
}

export interface Counts {
  prompt: number;
  completion: number;
  cached: number;
}

export interface Generation {
  readonly chunks: AsyncGenerator<ChoiceChunk, void, undefined>;
  /** Whole when `chunks` is at its end. */
  readonly counts: Counts;
}

export interface GenerationOptions {
  readonly model: string;
  readonly metrics: Metrics;
  /** Ends all of them. */
  readonly stopping: AbortController;
  /** When the request came, by performance.now(). */
  readonly since: number;
  /** How many choices there are of each prompt. */
  readonly n: number;
}

export function generate(engine: TextEngine, requests: readonly TextRequest[], options: GenerationOptions): Generation {
  const { model, metrics, stopping, since, n } = options;
  const { signal } = stopping;
  const counts: Counts = { prompt: 0, completion: 0, cached: 0 };

  async function* one(request: TextRequest, index: number): AsyncGenerator<ChoiceChunk, void, undefined> {
    let before: number | undefined;
    let seen = 0;
    for await (const chunk of engine.generate({ ...request, signal })) {
      const now = performance.now();
      if (before === undefined) metrics.firstToken(model, (now - since) / 1e3);
      else metrics.nextToken(model, (now - before) / 1e3);
      before = now;
      seen++;
      if (chunk.finish) {
        const { promptTokens = 0, completionTokens = seen, cachedTokens = 0 } = chunk.usage ?? {};
        counts.completion += completionTokens;
        metrics.tokens(model, 'generated', completionTokens);
        // The choices of a prompt share it.
        if (index % n === 0) {
          counts.prompt += promptTokens;
          counts.cached += cachedTokens;
          metrics.tokens(model, 'prompt', promptTokens);
          metrics.tokens(model, 'cached', cachedTokens);
        }
      }
      yield { index, chunk };
    }
  }

  return { chunks: merged(requests.map(one), stopping), counts };
}

/** Whichever has something next. One that fails ends the others. */
async function* merged<T>(
  generators: readonly AsyncGenerator<T, void, undefined>[],
  stopping: AbortController,
): AsyncGenerator<T, void, undefined> {
  if (generators.length === 1) return yield* generators[0]!;
  const next = async (k: number): Promise<{ k: number; result: IteratorResult<T, void> }> => ({
    k,
    result: await generators[k]!.next(),
  });
  const pending = new Map(generators.map((_, k) => [k, next(k)]));
  try {
    while (pending.size > 0) {
      const { k, result } = await Promise.race(pending.values());
      // To the end of the row, so that each gets its turn.
      pending.delete(k);
      if (result.done) continue;
      pending.set(k, next(k));
      yield result.value;
    }
  } catch (error) {
    stopping.abort(error);
    throw error;
  } finally {
    if (pending.size > 0) stopping.abort();
    await Promise.allSettled([...pending.values()]);
  }
}
