/**
 * Prediction of output lengths on held-out sessions and runs: 60 % of the programs for the trees, 20 % for the corrections, 20 % to predict, another split
 * for each seed. Every predictor sees each answer only after it predicted it; baselines learn from the first 80 %.
 */
import { join } from 'node:path';
import {
  createBaselinePredictor,
  trainLengthPredictor,
  type LengthPredictor,
  type LengthSample,
  type ProgramSamples,
} from '../../../host/maestro/predict/index.js';
import { seededRandom } from '../../../host/random.js';
import { openTrace } from '../../../host/simulate/traces/open-trace.js';
import { samplesOfTrace } from '../../../host/simulate/traces/samples.js';
import type { BenchContext } from '../../report.js';

interface Scores {
  readonly error: number;
  readonly within90: number;
  readonly within95: number;
  readonly reserve95: number;
  readonly auc: number;
  readonly meanRatio: number;
}

interface DataSet {
  readonly name: string;
  readonly file: string;
  /** The baseline that the goal is measured against, and by how much it has to be beaten. */
  readonly against: 'constant median' | 'median of the role so far';
  readonly goal: number;
}

const SETS: readonly DataSet[] = [
  { name: 'agent sessions', file: 'agents/agent_sessions.jsonl.gz', against: 'constant median', goal: 16 },
  { name: 'ChatDev', file: 'agents/chatdev_calls.jsonl', against: 'median of the role so far', goal: 20 },
];
const LEARNED = 'learned, two phases';
const ONE_PHASE = 'learned, one phase';

export async function benchPrediction(context: BenchContext): Promise<void> {
  const seeds = context.quick ? [1] : [1, 2, 3, 4, 5];
  for (const set of SETS) {
    const trace = await openTrace(join(context.data, set.file));
    const programs = samplesOfTrace(trace);
    const found = new Map<string, Scores[]>();
    const costs: number[] = [];
    for (const seed of seeds) {
      context.say(`${set.name}, split ${seed} of ${seeds.length}`);
      const order = shuffled(programs, seed);
      const [a, b] = [Math.round(0.6 * order.length), Math.round(0.8 * order.length)];
      const [fit, calibration, test] = [order.slice(0, a), order.slice(a, b), order.slice(b).flat()];
      const earlier = order.slice(0, b).flat();
      for (const [name, predictor] of contestants(fit, calibration, earlier, seed)) {
        const scores = score(predictor, test);
        found.set(name, [...(found.get(name) ?? []), scores]);
        if (name === LEARNED) costs.push(cost(predictor, test));
      }
    }
    report(context, set, programs, found, costs);
  }
}

function* contestants(
  fit: readonly ProgramSamples[],
  calibration: readonly ProgramSamples[],
  earlier: readonly LengthSample[],
  seed: number,
): Generator<readonly [string, LengthPredictor]> {
  const lengths = earlier.map(({ outputTokens }) => outputTokens).sort((a, b) => a - b);
  const at = (level: number): number => lengths[Math.floor(level * lengths.length)]!;
  const constant = createBaselinePredictor('constant', at(0.5));
  // A constant has quantiles too: those of all answers before.
  const constantPredictor: LengthPredictor = {
    ...constant,
    predict: (features) => ({ ...constant.predict(features), quantile: at }),
  };
  yield ['constant median', constantPredictor];
  const running = (kind: Parameters<typeof createBaselinePredictor>[0], byStep = false): LengthPredictor => {
    const inner = createBaselinePredictor(kind);
    const named = ({ features }: Pick<LengthSample, 'features'>): LengthSample['features'] =>
      byStep ? { ...features, role: `${features.role} in ${features.step ?? ''}` } : features;
    const predictor: LengthPredictor = {
      predict: (features) => inner.predict(named({ features })),
      observe: (features, tokens) => inner.observe(named({ features }), tokens),
      save: inner.save,
    };
    for (const sample of earlier) predictor.observe(sample.features, sample.outputTokens);
    return predictor;
  };
  yield ['median of the role so far', running('role-median')];
  yield ['median of the role and step so far', running('role-median', true)];
  yield ['mean of the role so far', running('role-mean')];
  yield ['last value of the role', running('last-value')];
  yield ['line through prompt lengths', running('prompt-regression')];
  yield ['max length (4,096)', running('max-length')];
  yield [ONE_PHASE, trainLengthPredictor(fit, { seed, calibration, phases: 1 })];
  yield [LEARNED, trainLengthPredictor(fit, { seed, calibration })];
}

function score(predictor: LengthPredictor, test: readonly LengthSample[]): Scores {
  let [error, within90, within95, reserve95, mean, tokens] = [0, 0, 0, 0, 0, 0];
  const chances: { chance: number; called: boolean }[] = [];
  for (const { features, outputTokens, outcome } of test) {
    const said = predictor.predict(features);
    error += Math.abs(outputTokens - said.median);
    if (outputTokens <= said.quantile(0.9)) within90++;
    const reserve = said.quantile(0.95);
    if (outputTokens <= reserve) within95++;
    reserve95 += reserve;
    mean += said.mean;
    tokens += outputTokens;
    if (outcome) chances.push({ chance: said.toolProbability, called: outcome.calledTool !== undefined });
    predictor.observe(features, outputTokens, outcome);
  }
  const n = test.length;
  return {
    ...{ error: error / n, within90: (100 * within90) / n, within95: (100 * within95) / n, reserve95: reserve95 / n },
    ...{ auc: areaUnderCurve(chances), meanRatio: mean / tokens },
  };
}

/** Probability that a call which called a tool was given a higher chance than one which did not; ties count half. */
function areaUnderCurve(chances: readonly { chance: number; called: boolean }[]): number {
  const sorted = [...chances].sort((a, b) => a.chance - b.chance);
  let [called, not, sum] = [0, 0, 0];
  for (let k = 0; k < sorted.length;) {
    let [ties, tiesNot, end] = [0, 0, k];
    for (; end < sorted.length && sorted[end]!.chance === sorted[k]!.chance; end++) {
      if (sorted[end]!.called) ties++;
      else tiesNot++;
    }
    sum += ties * (not + tiesNot / 2);
    [called, not, k] = [called + ties, not + tiesNot, end];
  }
  return called * not === 0 ? Number.NaN : sum / (called * not);
}

/** Microseconds for a prediction with a median and one quantile, as a scheduler asks; the best of some rounds, others use this machine too. */
function cost(predictor: LengthPredictor, test: readonly LengthSample[]): number {
  const few = test.slice(0, 1000);
  let best = Infinity;
  for (let round = 0; round < 12; round++) {
    const start = performance.now();
    let sum = 0;
    for (const { features } of few) {
      const said = predictor.predict(features);
      sum += said.median + said.quantile(0.95);
    }
    if (!Number.isFinite(sum)) throw new Error('a prediction was not a number');
    best = Math.min(best, (1000 * (performance.now() - start)) / few.length);
  }
  return best;
}

function report(
  context: BenchContext,
  set: DataSet,
  programs: readonly ProgramSamples[],
  found: ReadonlyMap<string, readonly Scores[]>,
  costs: readonly number[],
): void {
  const average = (name: string, of: (scores: Scores) => number): number => {
    const all = found.get(name)!;
    return all.reduce((sum, scores) => sum + of(scores), 0) / all.length;
  };
  const known = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);
  const below = (name: string, other: string, of: (scores: Scores) => number): number =>
    100 * (1 - average(name, of) / average(other, of));
  const calls = programs.reduce((sum, samples) => sum + samples.length, 0);
  context.table({
    title: `Output length on ${set.name}: ${programs.length} programs, ${calls} calls, means over ${found.get(LEARNED)!.length} splits`,
    columns: ['predictor', 'MAE', 'in 90 %', 'in 95 %', '95 % reserve', 'tool AUC', 'mean / true mean'],
    rows: [...found.keys()].map((name) => [
      ...[name, average(name, (s) => s.error), average(name, (s) => s.within90), average(name, (s) => s.within95)],
      ...[average(name, (s) => s.reserve95), known(average(name, (s) => s.auc)), average(name, (s) => s.meanRatio)],
    ]),
    note: 'Tokens. Held-out programs one after another; features are what is known before a call, among it the earlier answers of its own program.',
  });
  const spread = found.get(LEARNED)!.map((s, k) => 100 * (1 - s.error / found.get(set.against)![k]!.error));
  context.say(`${set.name}: below the ${set.against} by ${spread.map((value) => value.toFixed(1)).join(', ')} %`);
  const bar = (name: string, relation: '>=' | '<=', limit: number, value: number, unit: string): void =>
    context.bar(`${set.name}: ${name}`, relation, limit, value, unit);
  bar(
    `MAE below the ${set.against}`,
    '>=',
    set.goal,
    below(LEARNED, set.against, (s) => s.error),
    '%',
  );
  bar(
    'answers within the 90 % quantile',
    '>=',
    88,
    average(LEARNED, (s) => s.within90),
    '%',
  );
  bar(
    'answers within the 90 % quantile',
    '<=',
    92,
    average(LEARNED, (s) => s.within90),
    '%',
  );
  bar(
    '95 % reserve below the global quantile',
    '>=',
    30,
    below(LEARNED, 'constant median', (s) => s.reserve95),
    '%',
  );
  bar('a prediction', '<=', 50, Math.min(...costs), 'us');
  context.say(
    `${set.name}: two phases against one, MAE ${below(LEARNED, ONE_PHASE, (s) => s.error).toFixed(2)} % lower, reserve ${below(LEARNED, ONE_PHASE, (s) => s.reserve95).toFixed(2)} % lower`,
  );
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = seededRandom(seed);
  const order = [...items];
  for (let k = order.length - 1; k > 0; k--) {
    const other = random.below(k + 1);
    [order[k], order[other]] = [order[other]!, order[k]!];
  }
  return order;
}
