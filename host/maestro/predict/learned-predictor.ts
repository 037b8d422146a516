/**
 * The learned predictor: rows of features, two phases of boosted trees, corrections that keep its quantiles true, and a memory that goes on learning.
 * Without trees it predicts from memory alone, which is how it starts where nothing was recorded.
 */
import { TuttiError } from '../../errors.js';
import { createCalibration, type SavedCalibration } from './conformal.js';
import { createDriftDetector, type SavedDrift } from './drift.js';
import { FEATURE_NAMES, fillFeatureRow } from './feature-row.js';
import { scorer, type BoostedTrees, type Scorer } from './gradient-boosting.js';
import { createHistory, type SavedHistory } from './history.js';
import { createNeighbours, type Expectation, type SavedNeighbours } from './neighbours.js';
import type { LengthPrediction, LengthPredictor, SavedPredictor, StageFeatures } from './predictor.js';
import { curveAt, curveMean, LEVELS, makeMonotone, MEDIAN_AT, normalQuantile } from './quantile-curve.js';

/** Trees of both phases. */
export interface LengthModel {
  /** Phase one: log odds of a tool call, and of an answer beyond each of some lengths. Empty in the ablation with one phase. */
  readonly tool?: BoostedTrees;
  readonly regimes: readonly BoostedTrees[];
  /** Phase two: log(1 + tokens) at each of LEVELS. Their rows hold the scores of phase one behind the features. */
  readonly heads: readonly BoostedTrees[];
}

export interface LearnedState {
  readonly model?: LengthModel;
  readonly history: SavedHistory;
  readonly neighbours: SavedNeighbours;
  readonly calibration: SavedCalibration;
  readonly drift: SavedDrift;
  /** Tokens that came per token of the predicted mean. */
  readonly meanFactor: number;
  readonly drifts: number;
}

export interface LearnedPredictor extends LengthPredictor {
  /** How often a role was found to have changed. */
  readonly drifts: number;
}

export const LEARNED_KIND = 'learned';
const VERSION = 1;
/** An answer moves a correction by this share of a log unit at most. */
export const CALIBRATION = { rate: 0.02, shrinkage: 60 } as const;
/** After a change, corrections learn this many times as fast for so many answers. */
const AFTER_DRIFT = { boost: 4, answers: 60, keep: 0.1 } as const;
const Z = LEVELS.map(normalQuantile);

export interface CompiledModel {
  /** Columns of a row: features and the scores of phase one. */
  readonly columns: number;
  /** Fills the places behind the features; gives the probability of a tool call. */
  classify(row: Float64Array): number | undefined;
  /** log(1 + tokens) at LEVELS. */
  regress(row: Float64Array, into: Float64Array): void;
}

/** @throws TuttiError INPUT_INVALID when the trees do not fit together */
export function compileModel(model: LengthModel): CompiledModel {
  const regimes = model.regimes.map(scorer);
  const tool: Scorer | undefined = model.tool && scorer(model.tool);
  const heads = model.heads.map(scorer);
  const features = FEATURE_NAMES.length;
  const columns = features + (tool ? 1 : 0) + regimes.length;
  const first = [...(model.tool ? [model.tool] : []), ...model.regimes];
  if (heads.length !== LEVELS.length || first.some((trees) => trees.columns !== features)) throw unfit();
  if (model.heads.some((trees) => trees.columns !== columns && trees.columns !== features)) throw unfit();
  return {
    columns,
    classify(row) {
      let at = features;
      const odds = tool?.(row);
      if (odds !== undefined) row[at++] = odds;
      for (const regime of regimes) row[at++] = regime(row);
      return odds === undefined ? undefined : 1 / (1 + Math.exp(-odds));
    },
    regress(row, into) {
      for (let k = 0; k < heads.length; k++) into[k] = heads[k]!(row);
    },
  };
}

function unfit(): TuttiError {
  return new TuttiError('INPUT_INVALID', 'the saved predictor was made for other features; train it again', {
    where: 'model',
  });
}

/** Goes on from `state`; without, it knows nothing yet. @throws TuttiError INPUT_INVALID */
export function createLearnedPredictor(state?: LearnedState): LearnedPredictor {
  const model = state?.model && compileModel(state.model);
  const history = createHistory(state?.history);
  const neighbours = createNeighbours(state?.neighbours);
  const calibration = createCalibration(LEVELS, CALIBRATION, state?.calibration);
  const drift = createDriftDetector(state?.drift);
  let meanFactor = state?.meanFactor ?? 1;
  let drifts = state?.drifts ?? 0;
  const alert = new Map<string, number>();
  const row = new Float64Array(Math.max(FEATURE_NAMES.length, model?.columns ?? 0));

  /** Uncorrected values at LEVELS into `into`; gives the probability of a tool call. */
  const estimate = (features: StageFeatures, into: Float64Array, expected: Expectation): number => {
    const remembered = history.of('program', features)?.tools ?? history.of('role', features)?.tools ?? -1;
    if (!model) {
      fromMemory(expected, into);
      return remembered < 0 ? 0 : remembered;
    }
    fillFeatureRow(row, features, history, expected);
    const probability = model.classify(row);
    model.regress(row, into);
    return probability ?? Math.max(0, remembered);
  };

  return {
    get drifts() {
      return drifts;
    },
    predict(features) {
      checkFeatures(features);
      const values = new Float64Array(LEVELS.length);
      const toolProbability = estimate(features, values, neighbours.expect(features, history));
      const key = roleKey(features);
      for (let k = 0; k < values.length; k++) values[k] = values[k]! + calibration.offset(k, key);
      makeMonotone(values);
      return curvePrediction(values, meanFactor, toolProbability, features.maxTokens);
    },
    observe(features, outputTokens, outcome) {
      checkFeatures(features);
      if (!(outputTokens >= 0) || !Number.isFinite(outputTokens)) {
        throw new TuttiError('INPUT_INVALID', `outputTokens must be a number from 0 up, got ${String(outputTokens)}`, {
          where: 'outputTokens',
        });
      }
      const values = new Float64Array(LEVELS.length);
      const expected = neighbours.expect(features, history);
      estimate(features, values, expected);
      const target = Math.log1p(outputTokens);
      const key = roleKey(features);
      const error = target - values[MEDIAN_AT]! - calibration.offset(MEDIAN_AT, key);
      if (drift.watch(key, error / Math.max(0.2, expected.spread))) {
        drifts++;
        history.forget(features.role, AFTER_DRIFT.keep);
        alert.set(key, AFTER_DRIFT.answers);
      }
      const left = alert.get(key) ?? 0;
      if (left > 1) alert.set(key, left - 1);
      else if (left === 1) alert.delete(key);
      calibration.learn(key, target, values, left > 0 ? AFTER_DRIFT.boost : 1);
      makeMonotone(values);
      meanFactor += 0.002 * (Math.min(20, outputTokens / Math.max(1, curveMean(values))) - meanFactor);
      history.learn(features, outputTokens, outcome);
      neighbours.learn(features);
    },
    save: () => ({
      kind: LEARNED_KIND,
      version: VERSION,
      state: {
        ...(state?.model ? { model: state.model } : {}),
        ...{ history: history.save(), neighbours: neighbours.save(), calibration: calibration.save() },
        ...{ drift: drift.save(), meanFactor, drifts },
      } satisfies LearnedState,
    }),
  };
}

/** @throws TuttiError INPUT_INVALID */
export function loadLearnedPredictor(saved: SavedPredictor): LearnedPredictor {
  if (saved.version !== VERSION || typeof saved.state !== 'object' || saved.state === null) throw unfit();
  try {
    return createLearnedPredictor(saved.state as LearnedState);
  } catch (error) {
    if (error instanceof TuttiError) throw error;
    throw new TuttiError('INPUT_INVALID', 'the saved predictor is damaged; train or save it again', {
      where: 'state',
      cause: error,
    });
  }
}

/** Roles are calibrated by the step they are in, where steps have names. */
export function roleKey(features: StageFeatures): string {
  return features.step === undefined ? features.role : `${features.role}\n${features.step}`;
}

export function fromMemory(expected: Expectation, into: Float64Array): void {
  const deviation = Math.max(0.15, (expected.high - expected.median) / normalQuantile(0.9));
  for (let k = 0; k < LEVELS.length; k++) into[k] = expected.median + Z[k]! * deviation;
}

/** What a curve of log(1 + tokens) at LEVELS says. */
export function curvePrediction(
  values: Float64Array,
  meanFactor: number,
  toolProbability: number,
  maxTokens = Infinity,
): LengthPrediction {
  const bounded = (log: number): number => Math.min(maxTokens, Math.max(0, Math.expm1(log)));
  let mean = -1;
  return {
    median: bounded(values[MEDIAN_AT]!),
    get mean() {
      if (mean < 0) mean = Math.min(maxTokens, meanFactor * curveMean(values));
      return mean;
    },
    toolProbability,
    quantile(level) {
      if (!(level > 0 && level < 1)) {
        throw new TuttiError('OPTION_INVALID', `a level lies between 0 and 1, got ${String(level)}`, {
          where: 'level',
        });
      }
      return bounded(curveAt(values, level));
    },
  };
}

function checkFeatures({ role, promptTokens }: StageFeatures): void {
  if (typeof role !== 'string' || !(promptTokens >= 0)) {
    throw new TuttiError(
      'INPUT_INVALID',
      `a stage needs a role and promptTokens from 0 up, got ${String(role)} and ${String(promptTokens)}`,
      { where: 'features' },
    );
  }
}
