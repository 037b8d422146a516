/**
 * The words that go into the machine and come out of it: one 32-bit stream each way, the same for the RTL (AXI-Stream), for the
 * links of host/fpga and for the buffers of `runProgram`. The two highest bits of a word tell its kind.
 */

/** Highest two bits of an input word. */
export const INPUT = {
  /**
   * Axons that are due in this machine step. Bit 28 clear: one, bits 0 .. 19. Bit 28 set: two, bits 0 .. 13 and 14 .. 27. Bit 29: the
   * last word of the step.
   */
  spike: 0,
  /** The step has no (further) spike. */
  stepEnd: 1,
  /** Bits 0 .. 13: network steps. Bits 14 .. 29: the caller's tag. Then come the machine steps, each ended by `LAST` or `stepEnd`. */
  begin: 2,
  /** Bits 24 .. 29: memory (see `MEMORY`). Bits 16 .. 23: SPU. Then three or more raw words: address, count, data. */
  load: 3,
} as const;

/** Highest two bits of an output word. */
export const OUTPUT = {
  /** Bits 16 .. 29: machine step. Bits 0 .. 15: neuron id. In the order of machine steps, ascending ids in each. */
  spike: 0,
  /** Bits 0 .. 29: a potential, signed; ids of the read range in ascending order. */
  potential: 1,
  /** Bits 0 .. 15: the sample's tag. Bits 16 .. 29: status (see `STATUS`). Then raw words: cycles, synaptic operations, spikes. */
  end: 2,
} as const;

/** Set on the last word of a machine step of inputs. */
export const LAST = 1 << 29;

/** Set when the word holds two axons of 14 bits. */
export const PAIR = 1 << 28;

/** Bits of the status in an `end` word. */
export const STATUS = {
  /** A partial sum, merged sum or potential left its width. */
  overflow: 1,
  /** More axons were due in one step than a port's queue holds. */
  queueFull: 2,
  /** A word that makes no sense where it stood. */
  badWord: 4,
} as const;

/** Memories of the machine, as named by a `load` word. Those of an SPU are loaded SPU by SPU. */
export const MEMORY = {
  /** Address 0: stretch, 1: largest skew, 2: groups, 3: first neuron id of the read range, 4: its length, 5: bit 0: read it after every machine step, 6: axons (inputs that name others are bad words). */
  control: 0,
  /** Per class `CLASS_WORDS` words: see `classWords`. */
  classes: 1,
  /** Per neuron one word: class (bits 26 .. 31), bias (bits 0 .. 25, signed). */
  neurons: 2,
  /** Per neuron one word: first axon (bits 12 .. 31), number of axons (bits 0 .. 11). */
  fanOut: 3,
  /** Per axon one word: delay. */
  axonDelay: 4,
  /** Per axon ceil(spus / ports / 32) words: bit k is the k-th SPU of the axon's port. */
  routing: 5,
  /** Per SPU, per axon of its port two words: first operation; number (bits 0 .. 11), base (bits 12 .. 26), shift (bits 27 .. 31). */
  rows: 8,
  /** Per SPU, per operation one word: accumulator (bits 0 .. 15), weight index (bits 16 .. 31). */
  operations: 9,
  /** Per SPU, per distinct weight one word, signed. */
  weights: 10,
  /** Per SPU, per 32 groups one word. */
  emission: 11,
} as const;

export const CONTROL_WORDS = 7;
export const CLASS_WORDS = 6;
export const END_WORDS = 4;

export function inputSpike(axon: number, last: boolean): number {
  return ((INPUT.spike << 30) | (last ? LAST : 0) | axon) >>> 0;
}

/** Two axons below `STREAM_LIMITS.pairedAxons` in one word. */
export function inputPair(first: number, second: number, last: boolean): number {
  return ((INPUT.spike << 30) | PAIR | (last ? LAST : 0) | (second << 14) | first) >>> 0;
}

export function inputBegin(steps: number, tag: number): number {
  return ((INPUT.begin << 30) | (tag << 14) | steps) >>> 0;
}

export function inputLoad(memory: number, spu: number): number {
  return ((INPUT.load << 30) | (memory << 24) | (spu << 16)) >>> 0;
}

/** Most network steps, machine steps, neuron ids, tags and axons of a pair that the words can say. */
export const STREAM_LIMITS = {
  steps: 2 ** 14 - 1,
  machineSteps: 2 ** 14 - 1,
  neurons: 2 ** 16,
  tag: 2 ** 16 - 1,
  pairedAxons: 2 ** 14,
} as const;
