/**
 * `tutti/snn`: spiking networks. Describe one (`defineNetwork`), turn values into spikes (`encode*`), run it on a device
 * (`createEngine`), read the answer (`decode*`), keep it in a file (`saveNetwork`).
 */
export { defineNetwork } from './validate.js';
export type * from './network.js';
export { createEngine } from './engine.js';
export type { EngineOptions, Execution, RunResult, SpikingEngine, StrategyChoice } from './engine.js';
export type { DeviceSource, EngineHome } from './engine-home.js';
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
export { seededRandom } from '../random.js';
export type { SeededRandom } from '../random.js';
export { countSynapses, toDense, toRows } from './connectivity.js';
export type { Rows } from './connectivity.js';
export { loadNetwork, saveNetwork } from './file.js';
export { readNir, readNirGraph, readNirNetwork, writeNir } from './nir/load.js';
export type { Hdf5Library, NirGraph, NirNetwork, NirNode, NirOptions, NirReadOptions } from './nir/index.js';
export { parseIdx } from '../files/idx.js';
export type { IdxArray } from '../files/idx.js';
export { encodeShd, readShd } from '../files/shd.js';
export type { ShdEncodeOptions, ShdOptions, ShdRecording } from '../files/shd.js';
export { quantiseNetwork } from './quantise/quantise-network.js';
export type { PopulationReport, Quantised, QuantiseOptions } from './quantise/quantise-network.js';

// The synapse machine (docs/suprasnn.md).
export { compileNetwork, STRATEGIES } from './compile/compile.js';
export type { CompileOptions, StrategyName } from './compile/compile.js';
export type { Calibration } from './compile/activity.js';
export { validateProgram } from './compile/validate-program.js';
export type { ValidationOptions, ValidationReport } from './compile/validate-program.js';
export { listProgram } from './compile/list-program.js';
export { drawSchedule } from './compile/draw-schedule.js';
export type { ScheduleDrawing } from './compile/draw-schedule.js';
export { createProgramEngine } from './lazy-program-engine.js';
export type {
  MachineFigures,
  ProgramEngine,
  ProgramEngineOptions,
  ProgramRunResult,
  ProgramSource,
} from './program-engine.js';
export { checkMachine, DEFAULT_MACHINE, MACHINE_LIMITS } from './machine/config.js';
export type { MachineConfig } from './machine/config.js';
export { decodeProgram, encodeProgram } from './machine/program-file.js';
export type { Program } from './machine/program.js';
export { createCycleModel } from './machine/cycle-model.js';
export type { CycleModel } from './machine/cycle-model.js';
export type { StepTrace } from './machine/trace.js';
export { inputWords } from './machine/input-words.js';
export { loadWords } from './machine/load-words.js';
export type { ReadRequest } from './machine/load-words.js';
export { readOutput } from './machine/output-words.js';
export type { SampleOutput } from './machine/output-words.js';
