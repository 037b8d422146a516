import { beforeAll, describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { seededRandom } from '../../random.js';
import { openTrace } from '../../simulate/traces/open-trace.js';
import { samplesOfTrace } from '../../simulate/traces/samples.js';
import { createBaselinePredictor, createOraclePredictor, type BaselineKind } from './baselines.js';
import { createCalibration } from './conformal.js';
import { createDriftDetector } from './drift.js';
import { FEATURE_NAMES, fillFeatureRow } from './feature-row.js';
import { boostTrees, quantileOf, scorer, type FeatureMatrix } from './gradient-boosting.js';
import { createHistory } from './history.js';
import { createLearnedPredictor, type LearnedPredictor } from './learned-predictor.js';
import { loadPredictor } from './load-predictor.js';
import { createNeighbours } from './neighbours.js';
import { kvBlocksOf, kvBytesAtLevel } from './kv-bytes.js';
import type { LengthPredictor, LengthSample, StageFeatures } from './predictor.js';
import { normalQuantile } from './quantile-curve.js';
import { addTextFeatures } from './text-features.js';
import { trainLengthPredictor } from './train-predictor.js';

const stage = (more: Partial<StageFeatures> = {}): StageFeatures => ({
  ...{ role: 'coder', promptTokens: 500, stageIndex: 0, callsOfRole: 0, parents: [] },
  ...more,
});

/** Programs of a planner and coders whose answers follow from role, prompt and text. */
function programs(count: number, seed: number): LengthSample[][] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, p) => {
    const many = random.uniform() < 0.5;
    return Array.from({ length: 6 }, (_, k) => {
      const role = k === 0 ? 'planner' : 'coder';
      const promptTokens = 100 + random.below(2000);
      const base = k === 0 ? 60 : many ? 900 : 200;
      const outputTokens = Math.round(base * Math.exp(0.3 * random.normal()));
      const features = stage({
        ...{ role, promptTokens, stageIndex: k, callsOfRole: Math.max(0, k - 1), program: `p${seed}-${p}` },
        prompt: many ? 'write the whole file again' : 'answer in one short line',
      });
      return { features, outputTokens, outcome: many ? { calledTool: 'edit' } : {} };
    });
  });
}

const coverage = (predictor: LengthPredictor, samples: readonly LengthSample[], level: number): number => {
  let within = 0;
  for (const { features, outputTokens, outcome } of samples) {
    if (outputTokens <= predictor.predict(features).quantile(level)) within++;
    predictor.observe(features, outputTokens, outcome);
  }
  return within / samples.length;
};

const meanError = (predictor: LengthPredictor, samples: readonly LengthSample[]): number => {
  let sum = 0;
  for (const { features, outputTokens, outcome } of samples) {
    sum += Math.abs(outputTokens - predictor.predict(features).median);
    predictor.observe(features, outputTokens, outcome);
  }
  return sum / samples.length;
};

describe('boosted trees', () => {
  const random = seededRandom(3);
  const rows = 1200;
  const values = Float64Array.from({ length: rows * 3 }, () => random.uniform());
  for (let r = 0; r < rows; r += 5) values[r * 3 + 1] = Number.NaN;
  const matrix: FeatureMatrix = { rows, columns: 3, values };
  const options = {
    ...{ trees: 60, leaves: 8, learningRate: 0.1, leastRows: 20, ridge: 1, rowShare: 0.8, columnShare: 1, seed: 1 },
  };
  const noise = Float64Array.from({ length: rows }, () => random.normal());
  const target = Float64Array.from({ length: rows }, (_, r) => {
    const second = values[r * 3 + 1]!;
    return 4 * values[r * 3]! + (Number.isNaN(second) ? 2 : 0) + 0.2 * noise[r]!;
  });

  it('find a function and what is missing', () => {
    const score = scorer(boostTrees(matrix, target, { ...options, loss: { kind: 'quantile', level: 0.5 } }));
    expect(score(Float64Array.of(0.9, 0.5, 0.5)) - score(Float64Array.of(0.1, 0.5, 0.5))).toBeGreaterThan(2.4);
    expect(score(Float64Array.of(0.5, Number.NaN, 0.5)) - score(Float64Array.of(0.5, 0.5, 0.5))).toBeGreaterThan(1.2);
  });

  it('give quantiles, the same ones each time, and survive JSON', () => {
    const trees = boostTrees(matrix, target, { ...options, loss: { kind: 'quantile', level: 0.9 } });
    expect(boostTrees(matrix, target, { ...options, loss: { kind: 'quantile', level: 0.9 } })).toEqual(trees);
    const score = scorer(JSON.parse(JSON.stringify(trees)) as typeof trees);
    const below = target.filter((value, r) => value <= score(values.subarray(3 * r, 3 * r + 3))).length / rows;
    expect(below).toBeGreaterThan(0.86);
    expect(below).toBeLessThan(0.94);
  });

  it('classify', () => {
    const positive = target.map((value) => (value > 2.5 ? 1 : 0));
    const score = scorer(boostTrees(matrix, positive, { ...options, loss: { kind: 'logistic' } }));
    const right = positive.filter((value, r) => score(values.subarray(3 * r, 3 * r + 3)) > 0 === (value === 1)).length;
    expect(right / rows).toBeGreaterThan(0.9);
  });

  it('refuse nodes that lead in circles', () => {
    const trees = boostTrees(matrix, target, { ...options, trees: 1, loss: { kind: 'quantile', level: 0.5 } });
    expect(() => scorer({ ...trees, left: trees.left.map(() => 0) })).toThrow(TuttiError);
    expect(() => scorer({ ...trees, roots: [1e6] })).toThrow(TuttiError);
    expect(() => boostTrees(matrix, target.slice(1), { ...options, loss: { kind: 'logistic' } })).toThrow(TuttiError);
  });
});

describe('the learned predictor', () => {
  const train = programs(80, 1);
  const test = programs(80, 2).flat();
  let saved: ReturnType<LearnedPredictor['save']>;
  const predictor = (): LengthPredictor => loadPredictor(saved);
  beforeAll(() => {
    saved = JSON.parse(JSON.stringify(trainLengthPredictor(train, { seed: 1 }).save())) as typeof saved;
  });

  it('beats what knows only roles, and knows who will call a tool', () => {
    const median = createBaselinePredictor('role-median');
    train.flat().forEach(({ features, outputTokens }) => median.observe(features, outputTokens));
    expect(meanError(predictor(), test)).toBeLessThan(0.6 * meanError(median, test));
    const chance = (prompt: string): number => predictor().predict(stage({ prompt, stageIndex: 1 })).toolProbability;
    expect(chance('write the whole file again')).toBeGreaterThan(0.8);
    expect(chance('answer in one short line')).toBeLessThan(0.2);
  });

  it('covers what it says', () => {
    expect(coverage(predictor(), test, 0.9)).toBeGreaterThan(0.86);
    expect(coverage(predictor(), test, 0.9)).toBeLessThan(0.94);
  });

  it('goes on to the bit where it was saved, and does so again', () => {
    const one = predictor();
    meanError(one, test.slice(0, 100));
    const other = loadPredictor(JSON.parse(JSON.stringify(one.save())) as ReturnType<typeof one.save>);
    for (const { features, outputTokens, outcome } of test.slice(100, 200)) {
      const [a, b] = [one.predict(features), other.predict(features)];
      expect([b.median, b.mean, b.toolProbability, b.quantile(0.93)]).toEqual([
        ...[a.median, a.mean, a.toolProbability, a.quantile(0.93)],
      ]);
      one.observe(features, outputTokens, outcome);
      other.observe(features, outputTokens, outcome);
    }
  });

  it('predicts quantiles that grow, within the limit; predicting changes nothing', () => {
    const one = predictor();
    const features = stage({ maxTokens: 300, prompt: 'write the whole file again' });
    const said = one.predict(features);
    const levels = [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999].map((level) => said.quantile(level));
    expect([...levels].sort((a, b) => a - b)).toEqual(levels);
    expect(said.quantile(0.5)).toBeCloseTo(said.median, 6);
    expect(levels.at(-1)).toBeLessThanOrEqual(300);
    expect(said.mean).toBeLessThanOrEqual(300);
    expect(one.predict(features).median).toBe(said.median);
    expect(() => said.quantile(1)).toThrow(TuttiError);
    expect(() => said.quantile(Number.NaN)).toThrow(TuttiError);
  });

  it('learns that a role has changed', () => {
    const one = predictor() as LearnedPredictor;
    const longer = programs(60, 5).flat();
    const changed = longer.map((sample) => ({ ...sample, outputTokens: 6 * sample.outputTokens }));
    const before = meanError(one, changed.slice(0, 60));
    meanError(one, changed.slice(60, 240));
    expect(one.drifts).toBeGreaterThan(0);
    expect(meanError(one, changed.slice(240))).toBeLessThan(0.6 * before);
  });

  it('one phase works as well as a switch', () => {
    const one = trainLengthPredictor(train, { seed: 1, phases: 1 });
    const state = one.save().state as { model: { regimes: unknown[]; tool?: unknown } };
    expect([state.model.regimes.length, state.model.tool]).toEqual([0, undefined]);
    expect(meanError(one, test)).toBeLessThan(200);
  });

  it('refuses nonsense', () => {
    const one = createLearnedPredictor();
    expect(() => one.predict(stage({ promptTokens: Number.NaN }))).toThrow(TuttiError);
    expect(() => one.observe(stage(), -1)).toThrow(TuttiError);
    expect(() => one.observe(stage(), Number.NaN)).toThrow(TuttiError);
    expect(() => trainLengthPredictor([], { seed: 1 })).toThrow(TuttiError);
    expect(() => loadPredictor({ kind: 'crystal ball', version: 1, state: {} })).toThrow(TuttiError);
    expect(() => loadPredictor(null as never)).toThrow(TuttiError);
    expect(() => loadPredictor({ ...saved, version: 99 })).toThrow(TuttiError);
    expect(() => loadPredictor({ ...saved, state: { history: 3, model: { heads: 1 } } })).toThrow(TuttiError);
  });
});

describe('before anything was learned', () => {
  it('says something, and takes up what it is told', () => {
    const one = createLearnedPredictor();
    expect(one.predict(stage()).median).toBeGreaterThan(0);
    for (let k = 0; k < 60; k++) one.observe(stage(), 1000);
    expect(one.predict(stage()).median).toBeGreaterThan(600);
  });

  it('expects of a new role what similar roles did', () => {
    const one = createLearnedPredictor();
    for (let k = 0; k < 40; k++) {
      one.observe(stage({ role: 'critic', systemPrompt: 'You review code and answer with a verdict' }), 40);
      one.observe(stage({ role: 'writer', systemPrompt: 'You write long chapters of a book' }), 2000);
    }
    const like = (role: string, systemPrompt: string): number => one.predict(stage({ role, systemPrompt })).median;
    const critic = like('second critic', 'You review code and answer with a verdict');
    const writer = like('second writer', 'You write long chapters of a book');
    expect(writer).toBeGreaterThan(3 * critic);
    one.observe(stage({ role: 'second critic' }), 900);
    expect(like('second critic', 'You review code and answer with a verdict')).toBeGreaterThan(critic);
  });
});

describe('on published traces', () => {
  it('beats the running median of each role on ChatDev', async () => {
    const runs = samplesOfTrace(await openTrace('test/data/traces/chatdev.jsonl'));
    const learned = trainLengthPredictor(runs.slice(0, 14), { seed: 1 });
    const median = createBaselinePredictor('role-median');
    runs
      .slice(0, 14)
      .flat()
      .forEach((s) => median.observe(s.features, s.outputTokens));
    const test = runs.slice(14).flat();
    expect(meanError(learned, test)).toBeLessThan(0.8 * meanError(median, test));
  });
});

describe('rows of features', () => {
  it('fill exactly the places that have names', () => {
    const row = new Float64Array(FEATURE_NAMES.length + 1).fill(77);
    const [history, neighbours] = [createHistory(), createNeighbours()];
    const features = stage({ program: 'p', prompt: 'some text', tool: 'read', tools: ['read'], sharedTokens: 20 });
    history.learn(features, 5, {});
    fillFeatureRow(row, features, history, neighbours.expect(features, history));
    expect(row.indexOf(77)).toBe(FEATURE_NAMES.length);
    expect(new Set(FEATURE_NAMES).size).toBe(FEATURE_NAMES.length);
  });

  it('read both ends of a long text and nothing between them', () => {
    const vector = (text: string): number[] => {
      const into = new Float64Array(16);
      addTextFeatures(text, into, 0, 16);
      return [...into];
    };
    const middle = 'x '.repeat(50_000);
    expect(vector(`begin ${middle}${middle} end`)).toEqual(vector(`begin ${middle} end`));
    expect(vector('Write a PLAN')).toEqual(vector('write a plan'));
    expect(vector('')).toEqual(new Array(16).fill(0));
  });
});

it('memory is bounded, whatever comes', () => {
  const history = createHistory();
  for (let k = 0; k < 20_000; k++) history.learn(stage({ program: `p${k}`, role: `r${k}` }), 5, undefined);
  expect(history.save().statistics.length).toBeLessThanOrEqual(16_384);
});

it('calibration reaches its level whatever it is given', () => {
  const random = seededRandom(9);
  const levels = [0.5, 0.9, 0.95];
  const calibration = createCalibration(levels, { rate: 0.05, shrinkage: 30 });
  const predicted = new Float64Array(3);
  const above = [0, 0, 0];
  for (let k = 0; k < 20_000; k++) {
    const [role, shift] = k % 2 ? ['a', 2] : ['b', -1];
    const target = shift + random.normal();
    if (k >= 4000) levels.forEach((_, i) => (above[i]! += target > calibration.offset(i, role) ? 1 : 0));
    calibration.learn(role, target, predicted);
  }
  levels.forEach((level, i) => expect(above[i]! / 16_000).toBeCloseTo(1 - level, 1.7));
  expect(calibration.offset(1, 'a')).toBeGreaterThan(calibration.offset(1, 'b') + 2);
});

it('drift is noticed both ways, and noise is not drift', () => {
  const random = seededRandom(4);
  const detector = createDriftDetector();
  let alarms = 0;
  for (let k = 0; k < 5000; k++) alarms += detector.watch('calm', random.normal()) ? 1 : 0;
  expect(alarms).toBeLessThan(3);
  for (const direction of [1.5, -1.5]) {
    let after = 0;
    while (!detector.watch(`r${direction}`, direction + random.normal())) after++;
    expect(after).toBeLessThan(60);
  }
});

describe('baselines', () => {
  const kinds: readonly BaselineKind[] = [
    ...(['constant', 'global-median', 'role-median', 'role-mean'] as const),
    ...(['last-value', 'prompt-regression', 'max-length'] as const),
  ];
  it.each(kinds)('%s predicts, learns, and goes on where it was saved', (kind) => {
    const one = createBaselinePredictor(kind, 123);
    expect(one.predict(stage()).median).toBeGreaterThan(0);
    programs(10, 3)
      .flat()
      .forEach(({ features, outputTokens }) => one.observe(features, outputTokens));
    const again = loadPredictor(JSON.parse(JSON.stringify(one.save())) as ReturnType<typeof one.save>);
    const [a, b] = [one.predict(stage()), again.predict(stage())];
    expect([b.median, b.mean, b.quantile(0.9)]).toEqual([a.median, a.mean, a.quantile(0.9)]);
    expect(a.quantile(0.99)).toBeGreaterThanOrEqual(a.quantile(0.5));
    expect(one.predict(stage({ maxTokens: 1 })).median).toBeLessThanOrEqual(1);
  });

  it('are what their names say', () => {
    const of = (kind: BaselineKind): LengthPredictor => createBaselinePredictor(kind);
    const [median, mean, last] = [of('role-median'), of('role-mean'), of('last-value')];
    for (const tokens of [10, 20, 90]) [median, mean, last].forEach((one) => one.observe(stage(), tokens));
    expect([median, mean, last].map((one) => one.predict(stage()).median)).toEqual([20, 40, 90]);
    expect(of('max-length').predict(stage()).median).toBe(4096);
    const line = of('prompt-regression');
    for (const n of [10, 100, 1000]) line.observe(stage({ promptTokens: n }), n);
    expect(line.predict(stage({ promptTokens: 500 })).median).toBeCloseTo(500, 0);
  });

  it('the oracle knows', () => {
    const oracle = createOraclePredictor(({ promptTokens }) => ({ tokens: 2 * promptTokens, callsTool: true }));
    const { median, toolProbability, quantile } = oracle.predict(stage());
    expect([median, toolProbability, quantile(0.99)]).toEqual([1000, 1, 1000]);
    expect(() => oracle.save()).toThrow(TuttiError);
  });
});

describe('bytes of keys and values', () => {
  it('count whole blocks, less those that are shared', () => {
    expect(kvBlocksOf({ promptTokens: 100 }, 28, 16)).toBe(8);
    expect(kvBlocksOf({ promptTokens: 100 }, 29, 16)).toBe(9);
    expect(kvBlocksOf({ promptTokens: 100, sharedTokens: 47 }, 28, 16)).toBe(6);
  });

  it('follow the geometry and how it is packed', () => {
    const config = { layers: 32, heads: 32, kvHeads: 8, headSize: 128 } as never;
    const certain = createOraclePredictor(() => ({ tokens: 28 })).predict(stage());
    const bytes = (plan: 'f16' | 'int8'): number =>
      kvBytesAtLevel({ config, plan, blockSize: 16 }, { promptTokens: 100 }, certain, 0.9);
    // 128 KiB a token in half precision, for 128 tokens.
    expect(bytes('f16')).toBe(128 * 128 * 1024);
    expect(bytes('int8')).toBeLessThan(0.6 * bytes('f16'));
  });
});

it('quantiles of numbers and of the normal distribution', () => {
  expect(quantileOf(Float64Array.of(3, 1, 2), 0.5)).toBe(2);
  expect([0.5, 0.9, 0.95, 0.01].map((p) => Number(normalQuantile(p).toFixed(3)))).toEqual([0, 1.282, 1.645, -2.326]);
});
