/** The next token from logits: deterministic for a seed, whatever else is in the batch. */
import { TuttiError } from '../../errors.js';
import { seededRandom } from '../../random.js';

export interface SamplingOptions {
  /** 0 (default): the most likely token always. */
  readonly temperature?: number;
  /** Only the so many most likely. 0 (default): all. */
  readonly topK?: number;
  /** Only the most likely that together have this probability. Default 1. */
  readonly topP?: number;
  /** Only those with at least this share of the most likely one's probability. Default 0. */
  readonly minP?: number;
  /** Divides (or, below 0, multiplies) logits of tokens that have been seen. Default 1. */
  readonly repetitionPenalty?: number;
  readonly seed?: number;
}

export interface Sampler {
  /** Token after `seen`. `logits` [vocabulary] is left as it is. */
  next(logits: Float32Array, seen: readonly number[]): number;
}

/** @throws TuttiError OPTION_INVALID naming the option */
export function createSampler(options: SamplingOptions = {}): Sampler {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = 0 } = options;
  const check = (name: string, value: number, least: number, most: number): void => {
    if (!(value >= least && value <= most)) {
      throw new TuttiError('OPTION_INVALID', `${name} is ${value}; it must be in ${least} .. ${most}`, { where: name });
    }
  };
  check('temperature', temperature, 0, 100);
  check('topK', topK, 0, 2 ** 31);
  check('topP', topP, 0, 1);
  check('minP', minP, 0, 1);
  check('repetitionPenalty', repetitionPenalty, 0.01, 100);
  const random = seededRandom(seed);

  return {
    next(given, seen) {
      let logits = given;
      if (repetitionPenalty !== 1) {
        logits = given.slice();
        for (const token of new Set(seen)) {
          const logit = logits[token];
          if (logit !== undefined) logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
        }
      }
      let best = 0;
      for (let k = 1; k < logits.length; k++) if (logits[k]! > logits[best]!) best = k;
      if (temperature === 0 || topK === 1) return best;
      const highest = logits[best]!;
      const weight = (token: number): number => Math.exp((logits[token]! - highest) / temperature);
      let kept = Array.from(logits, (_, token) => token).filter((token) => weight(token) >= Math.max(minP, 1e-30));
      // Ties by token, so that the order does not depend on the engine's sort.
      kept.sort((a, b) => logits[b]! - logits[a]! || a - b);
      if (topK > 0) kept = kept.slice(0, topK);
      const weights = kept.map(weight);
      if (topP < 1) {
        const enough = topP * weights.reduce((sum, w) => sum + w, 0);
        let sum = 0;
        let count = 0;
        while (count < kept.length && (count === 0 || sum < enough)) sum += weights[count++]!;
        kept = kept.slice(0, count);
      }
      const total = weights.slice(0, kept.length).reduce((sum, w) => sum + w, 0);
      let left = random.uniform() * total;
      for (let k = 0; k < kept.length; k++) if ((left -= weights[k]!) < 0) return kept[k]!;
      return kept.at(-1)!;
    },
  };
}
