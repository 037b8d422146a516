/**
 * `tutti/snn`: spiking networks. Describe one (`defineNetwork`), turn values into spikes (`encode*`), run it on a device
 * (`createEngine`), read the answer (`decode*`), keep it in a file (`saveNetwork`).
 */
export { defineNetwork } from './validate.js';
export type * from './network.js';
export { createEngine } from './engine.js';
export type { DeviceSource, EngineHome, EngineOptions, RunResult, SpikingEngine, StrategyChoice } from './engine.js';
export type { Strategy } from './engine-plan.js';
export type { MembraneRequest, RunRequest } from './engine-request.js';
export type { MembraneTrace, RunOutputs } from './engine-run.js';
export { joinTrains, silence, sliceTrain, spikesAt, spikeTrain } from './spike-train.js';
export type { Current, SpikeTrain } from './spike-train.js';
export { encodeCurrent, encodeEvents, encodeLatency, encodeRate } from './encoders.js';
export type {
  CurrentOptions,
  EncodeOptions,
  EventOptions,
  EventStream,
  LatencyOptions,
  RateOptions,
  Samples,
} from './encoders.js';
export { cochleaUnits, encodeCochlea } from './cochlea.js';
export type { CochleaOptions } from './cochlea.js';
export { decodeFirstSpike, decodeMembrane, decodeSpikeCount } from './decoders.js';
export type { Decoded, MembraneOptions } from './decoders.js';
export { randomSparse, sparseFromEntries } from './sparse.js';
export type { RandomSparseOptions, SparseProjectionPart } from './sparse.js';
export { seededRandom } from './random.js';
export type { SeededRandom } from './random.js';
export { countSynapses, toDense, toRows } from './connectivity.js';
export type { Rows } from './connectivity.js';
export { loadNetwork, saveNetwork } from './file.js';
export { parseIdx } from '../files/idx.js';
export type { IdxArray } from '../files/idx.js';
export { encodeShd, readShd } from '../files/shd.js';
export type { ShdEncodeOptions, ShdOptions, ShdRecording } from '../files/shd.js';
