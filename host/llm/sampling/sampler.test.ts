import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../random.js';
import { createSampler, logprobsOf, takesLikeliest, type SamplingOptions, type TokenMask } from './sampler.js';
import { selectLargest, selectMass, topOf } from './select.js';

const values = (min: number, max: number): fc.Arbitrary<Float32Array> =>
  fc
    .array(fc.oneof(fc.integer({ min: -4, max: 4 }), fc.double({ min: -9, max: 9, noNaN: true })), {
      minLength: min,
      maxLength: max,
    })
    .map((list) => Float32Array.from(list));
const ranked = (of: Float32Array): number[] =>
  Array.from(of, (_, token) => token).sort((a, b) => of[b]! - of[a]! || a - b);
const tokens = (of: Float32Array): Uint32Array => Uint32Array.from(of, (_, token) => token);
const front = (list: Uint32Array, count: number): number[] => [...list.subarray(0, count)].sort((a, b) => a - b);

describe('selection', () => {
  it('finds the first of the ranking, whatever their number', () => {
    fc.assert(
      fc.property(values(1, 60), fc.nat(60), (of, k) => {
        const wanted = Math.min(k, of.length);
        const list = tokens(of);
        selectLargest(list, of, of.length, wanted);
        const expected = ranked(of).slice(0, wanted);
        expect(front(list, wanted)).toEqual([...expected].sort((a, b) => a - b));
        expect(topOf(of, wanted)).toEqual(expected);
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  it('finds the shortest beginning with a share of the weight', () => {
    fc.assert(
      fc.property(values(1, 60), fc.integer({ min: 0, max: 16 }), (of, sixteenths) => {
        // Weights that are whole numbers: no sum depends on its order.
        const weight = (token: number): number => Math.round(of[token]! + 10);
        const list = tokens(of);
        const count = selectMass(list, of, of.length, sixteenths / 16, weight);
        const order = ranked(of);
        const enough = (sixteenths / 16) * order.reduce((sum, token) => sum + weight(token), 0);
        let sum = 0;
        let expected = 0;
        while (expected < order.length && (expected === 0 || sum < enough)) sum += weight(order[expected++]!);
        expect(front(list, count)).toEqual(order.slice(0, expected).sort((a, b) => a - b));
      }),
      { numRuns: 500, seed: 2 },
    );
  });
});

/** Probabilities by the definition: sort, cut, normalise. */
function distribution(logits: Float32Array, options: SamplingOptions): Map<number, number> {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = options;
  const order = ranked(logits);
  const weight = (token: number): number => Math.exp((logits[token]! - logits[order[0]!]!) / temperature);
  let kept = order.filter((token) => weight(token) >= minP);
  if (topK > 0) kept = kept.slice(0, topK);
  const all = kept.reduce((sum, token) => sum + weight(token), 0);
  let sum = 0;
  kept = kept.filter((token, k) => {
    const take = k === 0 || sum < topP * all;
    if (take) sum += weight(token);
    return take;
  });
  return new Map(kept.map((token) => [token, weight(token) / sum]));
}

describe('the sampler', () => {
  const logits = Float32Array.from([1, 3, 3, 0.5, -1, 2.25, 2.75, -30, 0, 1.5]);
  const settings: SamplingOptions[] = [
    {},
    { temperature: 0.4 },
    { topK: 3 },
    { topK: 2 },
    { topP: 0.7 },
    { topP: 0 },
    { minP: 0.2 },
    { temperature: 2, topK: 6, topP: 0.8, minP: 0.05 },
  ];
  it.each(settings)('draws as the definition says: %o', (options) => {
    const expected = distribution(logits, options);
    const sampler = createSampler({ temperature: 1, ...options, seed: 11 });
    const counts = new Map<number, number>();
    const draws = 40_000;
    for (let k = 0; k < draws; k++) {
      const token = sampler.next(logits, []);
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    for (const token of counts.keys()) expect([...expected.keys()]).toContain(token);
    // Five standard deviations.
    for (const [token, p] of expected)
      expect(Math.abs((counts.get(token) ?? 0) / draws - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / draws) + 1e-9);
  });

  it('takes the first of equals without temperature, and penalises what was seen', () => {
    expect(createSampler().next(logits, [])).toBe(1);
    expect(createSampler({ repetitionPenalty: 2 }).next(logits, [1])).toBe(2);
    expect(createSampler({ repetitionPenalty: 2 }).next(logits, [1, 2])).toBe(6);
  });

  it('takes penalties off what the answer has, by count and by presence, and adds biases', () => {
    // 1 and 2 are at 3, 6 at 2.75, 5 at 2.25, 9 at 1.5; the prompt [1, 1, 2] does not count.
    const prompt = [1, 1, 2];
    const answer = (options: SamplingOptions, length: number): number[] => {
      const sampler = createSampler(options);
      const seen = [...prompt];
      for (let k = 0; k < length; k++) seen.push(sampler.next(logits, seen));
      return seen.slice(prompt.length);
    };
    expect(answer({ frequencyPenalty: 0.5 }, 5)).toEqual([1, 2, 6, 1, 2]);
    expect(answer({ presencePenalty: 1 }, 5)).toEqual([1, 2, 6, 5, 1]);
    expect(answer({ presencePenalty: 0.5, frequencyPenalty: 0.25 }, 4)).toEqual([1, 2, 6, 1]);
    expect(answer({ frequencyPenalty: -1 }, 3)).toEqual([1, 1, 1]);
    expect(answer({ logitBias: { 7: 100 } }, 3)).toEqual([7, 7, 7]);
    expect(answer({ logitBias: { 1: -100, 2: -100 } }, 2)).toEqual([6, 6]);
    // Behind the repetition penalty, which halves what is above 0.
    expect(answer({ repetitionPenalty: 2, logitBias: { 1: 1.3 } }, 1)).toEqual([1]);
    expect(answer({ repetitionPenalty: 2, logitBias: { 1: 1.2 } }, 1)).toEqual([6]);
    expect(logits[1]).toBe(3);
  });

  it('counts what another sampler drew, and says when the likeliest will do', () => {
    const options = { presencePenalty: 1, temperature: 1, seed: 3 };
    const [whole, first, second] = [createSampler(options), createSampler(options), createSampler(options)];
    const drawn = Array.from({ length: 12 }, () => whole.next(logits, []));
    const begun = Array.from({ length: 5 }, () => first.next(logits, []));
    second.replay(begun);
    expect([...begun, ...Array.from({ length: 7 }, () => second.next(logits, []))]).toEqual(drawn);
    expect([{}, { logitBias: {} }, { topK: 1, temperature: 2 }].map(takesLikeliest)).toEqual([true, true, true]);
    for (const option of [
      { temperature: 1 },
      { presencePenalty: 1 },
      { frequencyPenalty: -1 },
      { logitBias: { 1: 1 } },
    ])
      expect(takesLikeliest(option)).toBe(false);
  });

  it('takes only what its mask lets through', () => {
    const random = seededRandom(4);
    let open = 0;
    const taken: number[] = [];
    const mask: TokenMask = {
      allowed: () => Uint32Array.of((open = 1 + random.below(1023))),
      take: (token) => taken.push(token),
      done: false,
    };
    for (const temperature of [0, 1, 50]) {
      const sampler = createSampler({ temperature, topP: 0.9, seed: 5 }, mask);
      for (let k = 0; k < 300; k++) {
        const token = sampler.next(logits, []);
        expect((open >> token) & 1).toBe(1);
        expect(taken.at(-1)).toBe(token);
      }
    }
    const none = createSampler({}, { ...mask, allowed: () => Uint32Array.of(0) });
    expect(() => none.next(logits, [])).toThrow(/no token of the vocabulary can follow/);
  });

  it('refuses options that make no sense, by name', () => {
    for (const [name, value] of Object.entries({ temperature: -1, topK: -1, topP: 1.5, minP: NaN, seed: 0.5 }))
      expect(() => createSampler({ [name]: value })).toThrow(name);
    for (const name of ['frequencyPenalty', 'presencePenalty'])
      expect(() => createSampler({ [name]: 2.1 })).toThrow(name);
    expect(() => createSampler({ logitBias: { 5: NaN } })).toThrow('logitBias.5');
  });
});

it('log-probabilities are of the raw logits', () => {
  fc.assert(
    fc.property(values(3, 40), fc.nat(2), (logits, token) => {
      const { logprob, topLogprobs } = logprobsOf(logits, token, 3);
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
      expect(logprob).toBeCloseTo(Math.log(Math.exp(logits[token]!) / sum), 5);
      expect(topLogprobs.map((each) => each.token)).toEqual(ranked(logits).slice(0, 3));
      for (const each of topLogprobs) expect(each.logprob).toBeCloseTo(logits[each.token]! - Math.log(sum), 5);
    }),
    { numRuns: 200, seed: 6 },
  );
});
