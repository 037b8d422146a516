/**
 * A program: a fixed-point network laid out on the synapse machine, every synaptic operation in its place and its order. Made by
 * the compiler (../compile), executed by the cycle model, by the Wasm and WebGPU bodies of `runProgram`, and by the RTL.
 *
 * Terms. A *neuron id* is a place in the neuron unit; `groups` of `lanes` neighbouring ids are merged in one cycle. An *axon* is
 * one neuron's (or input's) set of synapses that share a delay, a weight shift and an issue port: what a spike is multicast as. A *machine step* is one
 * pass of accumulate and merge. Spikes of one machine step arrive in the next one at the earliest, so deeper populations run
 * `skew` machine steps behind, and a network whose loops are shorter than its populations need runs `stretch` machine
 * steps for each of its own (see `activeAt`).
 */
import { spusPerPort, type MachineConfig } from './config.js';

/** Parameters that many neurons share; the neuron unit holds a table of them. */
export interface NeuronClass {
  /** v <- v - (v >> leakShift) + input + bias; 0: no leak. */
  readonly leakShift: number;
  /** Fires at v >= threshold; ignored unless `spiking`. */
  readonly threshold: number;
  readonly spiking: boolean;
  /** When it fires: true: v <- v - threshold; false: v <- resetValue. */
  readonly subtract: boolean;
  readonly resetValue: number;
  /** Network steps after a spike in which v is held. */
  readonly refractorySteps: number;
  /** v before the first step. */
  readonly initial: number;
  /** Machine step of this class's first update. */
  readonly skew: number;
  /** Whether its spikes are written to the output stream. */
  readonly record: boolean;
}

/** One SPU's memories. The rows are those of its port's axons: row r is of axon `r * ports + port`. */
export interface SpuProgram {
  /** [axons / ports]: first operation of each axon's row. */
  readonly rowStart: Uint32Array;
  /** [axons / ports]: number of operations, at most 4095; 0 exactly where the routing bit of this SPU is 0. */
  readonly rowCount: Uint16Array;
  /** [axons / ports]: added to the accumulator address of each of its operations, so that rows which are shifted copies of each other share operations. */
  readonly rowBase: Uint16Array;
  /** [axons / ports]: the row's weights are shifted left by this, 0 .. 23. */
  readonly rowShift: Uint8Array;
  /** [operations]: accumulator address (before `rowBase`). */
  readonly accumulator: Uint16Array;
  /** [operations]: index into `weights`. */
  readonly weightIndex: Uint8Array;
  /** Distinct weights. */
  readonly weights: Int8Array;
  /**
   * [ceil(groups / 32)]: bit g is set when this SPU holds partial sums of group g. The k-th group of an SPU, in ascending order, has
   * the accumulators `k * lanes .. k * lanes + lanes - 1`, one a lane.
   */
  readonly emission: Uint32Array;
}

export interface ProgramPopulation {
  readonly name: string;
  readonly model: 'input' | 'lif' | 'li' | 'if';
  readonly size: number;
  /** Place in `placement` (neuron populations) or in `inputStart` (input populations) of its first neuron. */
  readonly offset: number;
  /** Neuron populations: their ids are `firstNeuron .. firstNeuron + size - 1`, in an order that `placement` tells. */
  readonly firstNeuron: number;
  /** Machine steps behind the inputs. */
  readonly skew: number;
}

export interface Program {
  readonly name: string;
  readonly machine: MachineConfig;
  /** What made it: name of the partition strategy. */
  readonly strategy: string;
  readonly seed: number;
  /** Synapses with a weight other than 0 in the network. */
  readonly synapses: number;
  /** Most network steps of a run, from the proof that no potential overflows; Infinity where there is no bound. */
  readonly maxSteps: number;
  /** Machine steps per network step, 1 unless loops demand more. */
  readonly stretch: number;
  /** Of all populations. */
  readonly maxSkew: number;
  readonly populations: readonly ProgramPopulation[];
  /** Neuron id of each neuron of each population. */
  readonly placement: Uint32Array;
  /** [input neurons + 1] into the next two. */
  readonly inputStart: Uint32Array;
  /** Axons by which an input neuron's spike enters. */
  readonly inputAxon: Uint32Array;
  /** Machine steps between the (stretched) step of an input spike and that in which this axon is due. */
  readonly inputDelay: Uint16Array;
  readonly classes: readonly NeuronClass[];
  /** Used neuron ids, a multiple of `lanes` (the rest of the last group are of a class that does not fire, and have no synapses). */
  readonly neurons: number;
  /** [neurons]. */
  readonly neuronClass: Uint8Array;
  /** [neurons]: added in every step. */
  readonly bias: Int32Array;
  /** [neurons]: first axon of a neuron; its axons are neighbours. */
  readonly firstAxon: Uint32Array;
  /** [neurons]. */
  readonly axonCount: Uint16Array;
  /** Used axons, a multiple of `ports`; some may have no synapse. */
  readonly axons: number;
  /** [axons]: machine steps from spike to arrival, 1 .. delaySlots - 1; 0 for axons of inputs. */
  readonly axonDelay: Uint16Array;
  /** [axons][ceil(spus / ports / 32)]: bit k: it goes to the k-th SPU of its port. */
  readonly routing: Uint32Array;
  /** [spus]. */
  readonly spus: readonly SpuProgram[];
}

/** Groups that a merge sweeps. */
export function groupsOf(program: Pick<Program, 'neurons' | 'machine'>): number {
  return program.neurons / program.machine.lanes;
}

/** Machine steps that a run of `steps` network steps takes. */
export function machineSteps(program: Pick<Program, 'stretch' | 'maxSkew'>, steps: number): number {
  return program.stretch * (steps - 1) + program.maxSkew + 1;
}

/** The network step that a population of this skew computes in a machine step, or -1 when it rests. */
export function activeAt(program: Pick<Program, 'stretch'>, skew: number, machineStep: number, steps: number): number {
  const since = machineStep - skew;
  if (since < 0 || since % program.stretch !== 0) return -1;
  const step = since / program.stretch;
  return step < steps ? step : -1;
}

/** The port that issues an axon. */
export function portOf(program: Pick<Program, 'machine'>, axon: number): number {
  return axon % program.machine.ports;
}

/** The port to which an SPU belongs. */
export function portOfSpu(program: Pick<Program, 'machine'>, spu: number): number {
  return Math.floor(spu / spusPerPort(program.machine));
}
