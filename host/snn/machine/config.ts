/**
 * The synapse machine (docs/suprasnn.md): what one instance of the hardware, or of its models, was built with. The same numbers are
 * the parameters of rtl/, the capability registers that a board reports, and the limits that the compiler keeps to.
 */
import { TuttiError } from '../../errors.js';

export interface MachineConfig {
  /** Parallel Synapse Processing Units, a power of two, 1 .. 64. */
  readonly spus: number;
  /**
   * Issue ports, a power of two, 1 .. 8 and at most `spus`. Each has its own queue, injector and multicast tree and issues one axon a
   * cycle to its own `spus / ports` SPUs; axon a belongs to port `a % ports`.
   */
  readonly ports: number;
  /** Post-synaptic neurons that the merge tree and the neuron unit take per cycle, a power of two, 1 .. 16. */
  readonly lanes: number;
  /** Width of a weight: 8 or 4. */
  readonly weightBits: 8 | 4;
  /** Distinct weights in one SPU's weight memory. */
  readonly weights: number;
  /** Operations in one SPU's operation memory. */
  readonly operations: number;
  /** Partial sums that one SPU can hold (per bank; there are two banks). A multiple of `lanes`. */
  readonly accumulators: number;
  /** Axons, a multiple of `ports`: each port's routing memory and the row memories of its SPUs have `axons / ports` rows. */
  readonly axons: number;
  /** Neurons of the neuron unit. A multiple of `lanes`. */
  readonly neurons: number;
  /** Sets of neuron parameters, at most 64. */
  readonly classes: number;
  /** Axons that can wait in front of one SPU. */
  readonly fifo: number;
  /** Machine steps that a spike can be kept for are 1 .. delaySlots - 1. */
  readonly delaySlots: number;
  /** Axons that can be due at one port in one machine step. */
  readonly queue: number;
  /** Width of a partial sum, signed. */
  readonly accumulatorBits: number;
  /** Width of a membrane potential and of a merged sum, signed, at most 30. */
  readonly potentialBits: number;
}

/** Bounds of each number; `power` marks those that are powers of two. */
export const MACHINE_LIMITS: Readonly<
  Record<keyof MachineConfig, { readonly least: number; readonly most: number; readonly power?: true }>
> = {
  spus: { least: 1, most: 64, power: true },
  ports: { least: 1, most: 8, power: true },
  lanes: { least: 1, most: 16, power: true },
  weightBits: { least: 4, most: 8, power: true },
  weights: { least: 2, most: 256 },
  operations: { least: 1, most: 2 ** 24 },
  accumulators: { least: 1, most: 2 ** 15 },
  axons: { least: 1, most: 2 ** 20 },
  neurons: { least: 1, most: 2 ** 16 },
  classes: { least: 1, most: 64 },
  fifo: { least: 2, most: 1024 },
  delaySlots: { least: 2, most: 1024, power: true },
  queue: { least: 1, most: 2 ** 20 },
  accumulatorBits: { least: 8, most: 30 },
  potentialBits: { least: 8, most: 30 },
};

/** The order in which the numbers stand in a program file and in the capability registers. */
export const MACHINE_FIELDS = Object.keys(MACHINE_LIMITS) as readonly (keyof MachineConfig)[];

/** @throws TuttiError OPTION_INVALID naming the first number that is out of bounds. */
export function checkMachine(machine: MachineConfig, where = 'machine'): MachineConfig {
  for (const field of MACHINE_FIELDS) {
    const value: unknown = machine[field];
    const { least, most, power } = MACHINE_LIMITS[field];
    const whole = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
    if (!whole || (power && Math.log2(value) % 1 !== 0)) {
      throw new TuttiError(
        'OPTION_INVALID',
        `${where}.${field} is ${String(value)}; it must be a ${power ? 'power of two' : 'whole number'} in ${least} .. ${most}`,
        { where: `${where}.${field}`, facts: { value, least, most } },
      );
    }
  }
  for (const [field, of] of [
    ['accumulators', 'lanes'],
    ['neurons', 'lanes'],
    ['axons', 'ports'],
    ['spus', 'ports'],
  ] as const) {
    if (machine[field] % machine[of] !== 0) {
      throw new TuttiError(
        'OPTION_INVALID',
        `${where}.${field} is ${machine[field]}; it must be a multiple of ${of} (${machine[of]})`,
        { where: `${where}.${field}` },
      );
    }
  }
  if (machine.weights > 2 ** machine.weightBits) {
    throw new TuttiError(
      'OPTION_INVALID',
      `${where}.weights is ${machine.weights}; there are only ${2 ** machine.weightBits} weights of ${machine.weightBits} bits`,
      { where: `${where}.weights` },
    );
  }
  return machine;
}

/** A configuration that fits the XC7Z020 with room to spare: the default of the compiler, of the RTL and of its twin. */
export const DEFAULT_MACHINE: MachineConfig = {
  spus: 16,
  ports: 2,
  lanes: 4,
  weightBits: 8,
  weights: 256,
  operations: 4096,
  accumulators: 512,
  axons: 2048,
  neurons: 512,
  classes: 16,
  fifo: 16,
  delaySlots: 16,
  queue: 512,
  accumulatorBits: 18,
  potentialBits: 24,
};

/** SPUs of one port. */
export function spusPerPort(machine: Pick<MachineConfig, 'spus' | 'ports'>): number {
  return machine.spus / machine.ports;
}

/** 32-bit words of one axon's routing bits. */
export function routingWords(machine: Pick<MachineConfig, 'spus' | 'ports'>): number {
  return Math.ceil(spusPerPort(machine) / 32);
}
