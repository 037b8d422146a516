/** How long answers will be: the learned predictor, baselines, and what answers cost in memory. */
export type * from './predictor.js';
export { loadPredictor } from './load-predictor.js';
export { createLearnedPredictor } from './learned-predictor.js';
export type { LearnedPredictor, LearnedState, LengthModel } from './learned-predictor.js';
export { trainLengthPredictor } from './train-predictor.js';
export type { ProgramSamples, TrainingOptions } from './train-predictor.js';
export { createBaselinePredictor, createOraclePredictor } from './baselines.js';
export type { BaselineKind } from './baselines.js';
export { kvBlocksOf, kvBytesAtLevel } from './kv-bytes.js';
export type { KvGeometry, KvNeed } from './kv-bytes.js';
