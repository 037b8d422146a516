/** What a learned predictor has to beat, behind the same interface: constants, running statistics of a role, the last value, the prompt's length, the limit; and the truth. */
import { TuttiError } from '../../errors.js';
import type { LengthPrediction, LengthPredictor, SavedPredictor, StageFeatures } from './predictor.js';

export type BaselineKind =
  'constant' | 'global-median' | 'role-median' | 'role-mean' | 'last-value' | 'prompt-regression' | 'max-length';

/** Lengths kept of each role; the oldest make room. */
const WINDOW = 2048;
const MOST_ROLES = 4096;
const DEFAULT_MAX_TOKENS = 4096;
const UNKNOWN_LENGTH = 200;
const EVERY_ROLE = '\n';

interface SavedBaseline {
  readonly lengths: readonly (readonly [string, readonly number[]])[];
  /** Of log lengths against log prompt lengths: count, sums of x, y, xx, xy. */
  readonly sums: readonly number[];
  readonly constant: number | null;
}

/** Lengths in the order they came and in the order of size. */
interface Window {
  readonly came: number[];
  readonly sorted: number[];
  readonly last: number;
}

/**
 * - `constant`: always `constant` tokens
 * - `global-median`, `role-median`, `role-mean`: of the answers so far; quantiles are those of the same answers
 * - `last-value`: as long as the role's last answer in the program, or anywhere
 * - `prompt-regression`: a line through log lengths against log prompt lengths
 * - `max-length`: what sampling allows, 4,096 where it allows all
 */
export function createBaselinePredictor(kind: BaselineKind, constant?: number): LengthPredictor {
  return baseline(kind, { lengths: [], sums: [0, 0, 0, 0, 0], constant: constant ?? null });
}

const KINDS: readonly BaselineKind[] = [
  ...(['constant', 'global-median', 'role-median', 'role-mean'] as const),
  ...(['last-value', 'prompt-regression', 'max-length'] as const),
];

/** Undefined when it is no baseline that was saved. */
export function loadBaselinePredictor(saved: SavedPredictor): LengthPredictor | undefined {
  const kind = KINDS.find((name) => name === saved.kind);
  return kind && baseline(kind, saved.state as SavedBaseline);
}

function baseline(kind: BaselineKind, saved: SavedBaseline): LengthPredictor {
  const windows = new Map<string, Window>(
    saved.lengths.map(([role, came]) => [
      role,
      { came: [...came], sorted: [...came].sort((a, b) => a - b), last: came.at(-1) ?? UNKNOWN_LENGTH },
    ]),
  );
  const sums = [...saved.sums];
  const add = (role: string, length: number): void => {
    const window = windows.get(role);
    if (!window) {
      if (windows.size < MOST_ROLES) windows.set(role, { came: [length], sorted: [length], last: length });
      return;
    }
    window.came.push(length);
    window.sorted.splice(placeOf(window.sorted, length), 0, length);
    if (window.came.length > WINDOW) window.sorted.splice(placeOf(window.sorted, window.came.shift()!), 1);
    windows.set(role, { ...window, last: length });
  };
  const windowFor = (role: string): Window | undefined => windows.get(role) ?? windows.get(EVERY_ROLE);

  const centre = (features: StageFeatures, window: Window): number => {
    switch (kind) {
      case 'role-mean':
        return window.came.reduce((sum, length) => sum + length, 0) / window.came.length;
      case 'last-value':
        return features.previousTokensOfRole ?? window.last;
      case 'prompt-regression': {
        const [n, x, y, xx, xy] = sums as [number, number, number, number, number];
        const below = n * xx - x * x;
        const slope = below > 1e-9 * n * n ? (n * xy - x * y) / below : 0;
        return Math.max(0, Math.expm1((y - slope * x) / n + slope * Math.log1p(features.promptTokens)));
      }
      default:
        return quantileOfSorted(window.sorted, 0.5);
    }
  };
  return {
    predict(features) {
      const limit = features.maxTokens ?? Infinity;
      if (kind === 'max-length') return certain(features.maxTokens ?? DEFAULT_MAX_TOKENS);
      if (kind === 'constant') return certain(Math.min(limit, saved.constant ?? UNKNOWN_LENGTH));
      const own = kind === 'role-median' || kind === 'role-mean' || kind === 'last-value';
      const window = own ? windowFor(features.role) : windows.get(EVERY_ROLE);
      if (!window) return certain(Math.min(limit, UNKNOWN_LENGTH));
      const median = Math.min(limit, centre(features, window));
      const mean = window.came.reduce((sum, length) => sum + length, 0) / window.came.length;
      return {
        ...{ median, mean: Math.min(limit, mean), toolProbability: 0 },
        quantile: (level) => Math.min(limit, quantileOfSorted(window.sorted, level)),
      };
    },
    observe(features, outputTokens) {
      add(EVERY_ROLE, outputTokens);
      add(features.role, outputTokens);
      const [x, y] = [Math.log1p(features.promptTokens), Math.log1p(outputTokens)];
      [1, x, y, x * x, x * y].forEach((value, k) => (sums[k] = sums[k]! + value));
    },
    save: () => ({
      ...{ kind, version: 1 },
      state: {
        lengths: [...windows].map(([role, { came }]) => [role, [...came]] as const),
        ...{ sums: [...sums], constant: saved.constant },
      } satisfies SavedBaseline,
    }),
  };
}

/**
 * Knows the truth: the upper bound of what prediction can do.
 * @param truth tokens of a stage's answer, and whether it calls a tool
 */
export function createOraclePredictor(
  truth: (features: StageFeatures) => { readonly tokens: number; readonly callsTool?: boolean },
): LengthPredictor {
  return {
    predict(features) {
      const { tokens, callsTool } = truth(features);
      return { ...certain(Math.min(tokens, features.maxTokens ?? Infinity)), toolProbability: callsTool ? 1 : 0 };
    },
    observe: () => undefined,
    save() {
      throw new TuttiError('INPUT_INVALID', 'an oracle has nothing to save; make it again from its trace', {
        where: 'oracle',
      });
    },
  };
}

function certain(tokens: number): LengthPrediction {
  return { median: tokens, mean: tokens, toolProbability: 0, quantile: () => tokens };
}

function placeOf(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function quantileOfSorted(sorted: readonly number[], level: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(level * sorted.length))]!;
}
