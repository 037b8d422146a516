/** Predictors from what they saved. */
import { TuttiError } from '../../errors.js';
import { loadBaselinePredictor } from './baselines.js';
import { LEARNED_KIND, loadLearnedPredictor } from './learned-predictor.js';
import type { LengthPredictor, SavedPredictor } from './predictor.js';

/** @throws TuttiError INPUT_INVALID when it is not what a predictor saved */
export function loadPredictor(saved: SavedPredictor): LengthPredictor {
  const { kind, version, state } = (saved ?? {}) as Partial<SavedPredictor>;
  if (typeof kind !== 'string' || typeof version !== 'number' || typeof state !== 'object' || state === null) {
    throw damaged();
  }
  if (kind === LEARNED_KIND) return loadLearnedPredictor(saved);
  try {
    const found = loadBaselinePredictor(saved);
    if (found) return found;
  } catch (cause) {
    throw damaged(cause);
  }
  throw new TuttiError('INPUT_INVALID', `no predictor is called ${JSON.stringify(kind.slice(0, 40))}`, {
    where: 'kind',
  });
}

function damaged(cause?: unknown): TuttiError {
  return new TuttiError('INPUT_INVALID', 'this is not what a predictor saved: it needs kind, version and state', {
    where: 'saved',
    cause,
  });
}
