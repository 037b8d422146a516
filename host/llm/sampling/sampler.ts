/** The next token from logits: deterministic for a seed, whatever else is in the batch. */
import { TuttiError } from '../../errors.js';
import { seededRandom } from '../../random.js';
import { selectLargest, selectMass, topOf } from './select.js';

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
  /** Taken off a token's logit for each time that the answer has it, the prompt not counted; -2 .. 2. Default 0. */
  readonly frequencyPenalty?: number;
  /** Taken off the logits of tokens that the answer has, however often; -2 .. 2. Default 0. */
  readonly presencePenalty?: number;
  /** Added to logits, by token, -100 .. 100, after penalties: 100 as good as forces a token, -100 bans it. A response format holds all the same. */
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly seed?: number;
}

/** Which tokens may come next; the sampler asks before each token and says which one it took. */
export interface TokenMask {
  /** One bit a token (bit `token & 31` of word `token >> 5`); undefined when all may. */
  allowed(): Uint32Array | undefined;
  take(token: number): void;
  /** Nothing may follow. */
  readonly done: boolean;
}

export interface Sampler {
  /** Token after `seen`, which only ever grows. `logits` [vocabulary] is left as it is. */
  next(logits: Float32Array, seen: readonly number[]): number;
  /** Goes on after tokens that another sampler of the same options has drawn. */
  replay(tokens: readonly number[]): void;
  /** The mask lets nothing follow. */
  readonly done: boolean;
}

/** Less than this share of the likeliest one's probability is nothing. */
const LEAST_SHARE = 1e-30;

/** Whether the likeliest token as the model has it is always taken, so that nobody need see its logits. */
export function takesLikeliest(options: SamplingOptions): boolean {
  const { temperature = 0, topK = 0, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = options;
  const unchanged = repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0;
  return (temperature === 0 || topK === 1) && unchanged && Object.keys(options.logitBias ?? {}).length === 0;
}

/** @throws TuttiError OPTION_INVALID naming the option */
export function createSampler(options: SamplingOptions = {}, mask?: TokenMask): Sampler {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = 0 } = options;
  const { frequencyPenalty = 0, presencePenalty = 0, logitBias = {} } = options;
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
  check('frequencyPenalty', frequencyPenalty, -2, 2);
  check('presencePenalty', presencePenalty, -2, 2);
  const biases = Object.entries(logitBias).map(([token, bias]) => {
    check(`logitBias.${token}`, bias, -100, 100);
    return [Number(token), bias] as const;
  });
  const random = seededRandom(seed);
  const seenTokens = new Set<number>();
  /** How often the answer has each token. */
  const counts = new Map<number, number>();
  let noted = 0;
  let candidates = new Uint32Array(0);

  const counted = frequencyPenalty !== 0 || presencePenalty !== 0;
  function note(token: number): void {
    if (counted) counts.set(token, (counts.get(token) ?? 0) + 1);
  }

  /** Logits with penalties and biases, those of the model where there are none. */
  function adjusted(given: Float32Array, seen: readonly number[]): Float32Array {
    if (repetitionPenalty === 1 && !counted && biases.length === 0) return given;
    const logits = given.slice();
    const add = (token: number, value: number): void => {
      if (token < logits.length) logits[token]! += value;
    };
    if (repetitionPenalty !== 1) {
      for (; noted < seen.length; noted++) seenTokens.add(seen[noted]!);
      for (const token of seenTokens) {
        const logit = logits[token];
        if (logit !== undefined) logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
    }
    for (const [token, times] of counts) add(token, -(times * frequencyPenalty + presencePenalty));
    for (const [token, bias] of biases) add(token, bias);
    return logits;
  }

  function draw(logits: Float32Array, allowed: Uint32Array | undefined, best: number): number {
    const highest = logits[best]!;
    const floor = highest + temperature * Math.log(Math.max(minP, LEAST_SHARE));
    if (candidates.length < logits.length) candidates = new Uint32Array(logits.length);
    const list = candidates;
    let count = 0;
    for (let token = 0; token < logits.length; token++)
      if (logits[token]! >= floor && (!allowed || isAllowed(allowed, token))) list[count++] = token;
    const weight = (token: number): number => Math.exp((logits[token]! - highest) / temperature);
    if (topK > 0 && topK < count) {
      selectLargest(list, logits, count, topK);
      count = topK;
    }
    if (topP < 1) count = selectMass(list, logits, count, topP, weight);
    // In the order of the tokens, so that the draw does not depend on how the selection moved them.
    const kept = list.subarray(0, count).sort();
    let total = 0;
    for (const token of kept) total += weight(token);
    let left = random.uniform() * total;
    for (const token of kept) if ((left -= weight(token)) < 0) return token;
    return kept.at(-1)!;
  }

  return {
    next(given, seen) {
      const allowed = mask?.allowed();
      const logits = adjusted(given, seen);
      let best = -1;
      for (let token = 0; token < logits.length; token++)
        if ((best < 0 || logits[token]! > logits[best]!) && (!allowed || isAllowed(allowed, token))) best = token;
      if (best < 0) {
        throw new TuttiError('INPUT_INVALID', 'no token of the vocabulary can follow in this response format', {
          where: 'responseFormat',
        });
      }
      const token = temperature === 0 || topK === 1 ? best : draw(logits, allowed, best);
      note(token);
      mask?.take(token);
      return token;
    },
    replay(tokens) {
      for (const token of tokens) {
        if (temperature !== 0 && topK !== 1) random.uniform();
        note(token);
        mask?.take(token);
      }
    },
    get done() {
      return mask?.done ?? false;
    },
  };
}

const isAllowed = (allowed: Uint32Array, token: number): boolean => ((allowed[token >> 5]! >> (token & 31)) & 1) === 1;

/** Logarithms of probabilities as the model has them: of `token`, and of the `top` likeliest, likeliest first. */
export function logprobsOf(
  logits: Float32Array,
  token: number,
  top: number,
): { readonly logprob: number; readonly topLogprobs: readonly { readonly token: number; readonly logprob: number }[] } {
  let highest = -Infinity;
  for (const logit of logits) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  const total = highest + Math.log(sum);
  const of = (id: number): number => logits[id]! - total;
  return { logprob: of(token), topLogprobs: topOf(logits, top).map((id) => ({ token: id, logprob: of(id) })) };
}
