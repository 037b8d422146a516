/** Trains the learned predictor on programs that ended: some for the trees, the later ones for the corrections. */
import { TuttiError } from '../../errors.js';
import {
  CALIBRATION,
  compileModel,
  createLearnedPredictor,
  type LearnedPredictor,
  type LengthModel,
  roleKey,
} from './learned-predictor.js';
import { createCalibration } from './conformal.js';
import { FEATURE_NAMES, fillFeatureRow } from './feature-row.js';
import {
  boostTrees,
  quantileOf,
  scorer,
  type BoostedTrees,
  type BoostingLoss,
  type FeatureMatrix,
} from './gradient-boosting.js';
import { createHistory } from './history.js';
import { createNeighbours } from './neighbours.js';
import type { LengthSample } from './predictor.js';
import { curveMean, LEVELS, makeMonotone } from './quantile-curve.js';

/** The answers of one program, in order. */
export type ProgramSamples = readonly LengthSample[];

export interface TrainingOptions {
  readonly seed: number;
  /** Two: tool intent and regimes of length are classified first, and the regressors see the result. Default 2. */
  readonly phases?: 1 | 2;
  /** Programs for the corrections. Default: the last quarter of those that are given. */
  readonly calibration?: readonly ProgramSamples[];
  readonly trees?: number;
  readonly leaves?: number;
  readonly learningRate?: number;
}

/** Answers beyond these shares of all answers are regimes that phase one tells apart. */
const REGIMES = [0.5, 0.85] as const;
const FOLDS = 3;
/** Trees of each of LEVELS, as shares: those that only the mean and values in between come from get by with fewer, which is time in every prediction. */
const TREE_SHARES = [0.25, 1, 0.5, 1, 1, 0.5] as const;

interface Rows {
  readonly matrix: FeatureMatrix;
  /** log(1 + tokens). */
  readonly target: Float64Array;
  /** 1, 0, or NaN where nobody recorded it. */
  readonly called: Float64Array;
  readonly program: Int32Array;
  readonly keys: readonly string[];
}

/** @throws TuttiError INPUT_INVALID when there is too little to learn from */
export function trainLengthPredictor(programs: readonly ProgramSamples[], options: TrainingOptions): LearnedPredictor {
  const { seed, phases = 2 } = options;
  const set = programs.filter((samples) => samples.length > 0);
  const kept = options.calibration ? set : set.slice(0, Math.max(1, Math.floor(0.75 * set.length)));
  const later = (options.calibration ?? set.slice(kept.length)).filter((samples) => samples.length > 0);
  const [history, neighbours] = [createHistory(), createNeighbours()];
  const fit = rowsOf(kept, history, neighbours);
  const hold = rowsOf(later, history, neighbours);
  if (fit.target.length < 50) {
    throw new TuttiError(
      'INPUT_INVALID',
      `${fit.target.length} answers to learn from; it takes 50: start with createLearnedPredictor() and observe`,
      { where: 'programs' },
    );
  }
  const small = fit.target.length < 3000;
  // Classifiers only point the regressors somewhere: half the trees, in larger steps.
  const grow = (
    loss: BoostingLoss,
    matrix: FeatureMatrix,
    target: Float64Array,
    salt: number,
    share = 1,
  ): BoostedTrees => {
    const [trees, rate] = [options.trees ?? (small ? 80 : 120), options.learningRate ?? 0.07];
    const rough = loss.kind === 'logistic';
    return boostTrees(matrix, target, {
      ...{ loss, trees: Math.ceil((rough ? 0.5 : share) * trees), learningRate: rough ? 1.6 * rate : rate },
      ...{ leaves: options.leaves ?? (small ? 8 : rough ? 16 : 32), leastRows: small ? 12 : 40 },
      ...{ ridge: 1, rowShare: 0.7, columnShare: 0.6, seed: (seed + 7919 * salt) >>> 0 },
    });
  };
  const first = phases === 2 ? firstPhase(fit, grow) : { regimes: [], scores: [] };
  const wide = withScores(fit.matrix, first.scores);
  const heads = LEVELS.map((level, k) => grow({ kind: 'quantile', level }, wide, fit.target, 100 + k, TREE_SHARES[k]));
  const model: LengthModel = { ...(first.tool ? { tool: first.tool } : {}), regimes: first.regimes, heads };

  const compiled = compileModel(model);
  const calibration = createCalibration(LEVELS, CALIBRATION);
  const scores = LEVELS.map(() => new Float64Array(hold.target.length));
  const row = new Float64Array(compiled.columns);
  const values = new Float64Array(LEVELS.length);
  let [came, said] = [0, 0];
  hold.target.forEach((target, r) => {
    row.set(rowAt(hold.matrix, r));
    compiled.classify(row);
    compiled.regress(row, values);
    values.forEach((value, k) => (scores[k]![r] = target - value));
    makeMonotone(values);
    came += Math.expm1(target);
    said += curveMean(values);
  });
  if (hold.target.length > 0) calibration.fit(hold.keys, scores);
  return createLearnedPredictor({
    ...{ model, history: history.save(), neighbours: neighbours.save(), calibration: calibration.save() },
    ...{ drift: { roles: [] }, meanFactor: said > 0 ? came / said : 1, drifts: 0 },
  });
}

function rowAt({ columns, values }: FeatureMatrix, r: number): Float64Array {
  return values.subarray(r * columns, (r + 1) * columns);
}

function rowsOf(
  programs: readonly ProgramSamples[],
  history: ReturnType<typeof createHistory>,
  neighbours: ReturnType<typeof createNeighbours>,
): Rows {
  const rows = programs.reduce((sum, samples) => sum + samples.length, 0);
  const columns = FEATURE_NAMES.length;
  const values = new Float64Array(rows * columns);
  const [target, called, program] = [new Float64Array(rows), new Float64Array(rows), new Int32Array(rows)];
  const keys: string[] = [];
  let r = 0;
  programs.forEach((samples, p) => {
    for (const { features, outputTokens, outcome } of samples) {
      const row = values.subarray(r * columns, (r + 1) * columns);
      fillFeatureRow(row, features, history, neighbours.expect(features, history));
      target[r] = Math.log1p(outputTokens);
      called[r] = outcome === undefined ? Number.NaN : outcome.calledTool === undefined ? 0 : 1;
      program[r] = p;
      keys.push(roleKey(features));
      history.learn(features, outputTokens, outcome);
      neighbours.learn(features);
      r++;
    }
  });
  return { matrix: { rows, columns, values }, target, called, program, keys };
}

type Grow = (loss: BoostingLoss, matrix: FeatureMatrix, target: Float64Array, salt: number) => BoostedTrees;

/**
 * Classifiers, and their scores of the rows they were trained on. Those scores come from classifiers that did not see the row's program: the regressors would
 * otherwise trust phase one more than it deserves.
 */
function firstPhase(fit: Rows, grow: Grow): { tool?: BoostedTrees; regimes: BoostedTrees[]; scores: Float64Array[] } {
  const lengths = REGIMES.map((level) => quantileOf(fit.target.slice(), level));
  const regimeTargets = lengths.map((length) => fit.target.map((value) => (value > length ? 1 : 0)));
  const known = fit.called.filter((value) => value >= 0);
  const tools = known.length >= 50 && new Set(known).size === 2;
  const targets = [...(tools ? [fit.called] : []), ...regimeTargets];
  const scores: Float64Array[] = [];
  const whole = targets.map((target, k) => {
    const loss = { kind: 'logistic' } as const;
    const score = new Float64Array(target.length);
    for (let fold = 0; fold < FOLDS; fold++) {
      const rows = places(target, (r) => fit.program[r]! % FOLDS !== fold);
      const trees = grow(
        loss,
        pick(fit.matrix, rows),
        Float64Array.from(rows, (r) => target[r]!),
        10 * k + fold,
      );
      const rate = scorer(trees);
      for (let r = 0; r < score.length; r++)
        if (fit.program[r]! % FOLDS === fold) score[r] = rate(rowAt(fit.matrix, r));
    }
    scores.push(score);
    const rows = places(target, () => true);
    return grow(
      loss,
      pick(fit.matrix, rows),
      Float64Array.from(rows, (r) => target[r]!),
      10 * k + 9,
    );
  });
  return tools ? { tool: whole[0]!, regimes: whole.slice(1), scores } : { regimes: whole, scores };
}

/** Rows whose target is known and that are wanted. */
function places(target: Float64Array, wanted: (r: number) => boolean): readonly number[] {
  const rows: number[] = [];
  for (let r = 0; r < target.length; r++) if (!Number.isNaN(target[r]!) && wanted(r)) rows.push(r);
  return rows;
}

function pick(matrix: FeatureMatrix, rows: readonly number[]): FeatureMatrix {
  const values = new Float64Array(rows.length * matrix.columns);
  rows.forEach((r, k) => values.set(rowAt(matrix, r), k * matrix.columns));
  return { rows: rows.length, columns: matrix.columns, values };
}

function withScores(matrix: FeatureMatrix, scores: readonly Float64Array[]): FeatureMatrix {
  if (scores.length === 0) return matrix;
  const columns = matrix.columns + scores.length;
  const values = new Float64Array(matrix.rows * columns);
  for (let r = 0; r < matrix.rows; r++) {
    values.set(rowAt(matrix, r), r * columns);
    scores.forEach((score, k) => (values[r * columns + matrix.columns + k] = score[r]!));
  }
  return { rows: matrix.rows, columns, values };
}
