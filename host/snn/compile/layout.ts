/**
 * From a partition (which SPU each synapse goes to, which place each neuron has) to the machine's memories: axon numbers, rows,
 * operations, weight tables, emission bits, routing. Rows of an SPU that are shifted copies of each other share their operations.
 */
import {
  portOfSpu,
  type NeuronClass,
  type Program,
  type ProgramPopulation,
  type SpuProgram,
} from '../machine/program.js';
import { routingWords, spusPerPort, type MachineConfig } from '../machine/config.js';
import type { Lowered } from './lower.js';

export interface Partition {
  /** [synapses]: SPU. */
  readonly spu: Uint8Array;
  /** [neurons]: neuron id. The ids of a population are neighbours, and populations keep their order. */
  readonly placement: Uint32Array;
}

/** Most operations of one row. */
const ROW_LIMIT = 4095;
const NO_BUNDLE = 0xffffffff;

/** What goes into a program's tables, whether or not it fits the machine. */
export type Tables = Omit<Program, 'name' | 'strategy' | 'seed' | 'synapses' | 'maxSteps'>;

export function layOut(lowered: Lowered, machine: MachineConfig, partition: Partition): Tables {
  const axons = numberAxons(lowered, machine, partition);
  const neurons = Math.ceil(lowered.neurons / machine.lanes) * machine.lanes;
  const { classes, resting } = withRestingClass(lowered, neurons > lowered.neurons);
  const neuronClass = new Uint8Array(neurons).fill(resting);
  const bias = new Int32Array(neurons);
  for (let n = 0; n < lowered.neurons; n++) {
    neuronClass[partition.placement[n]!] = lowered.neuronClass[n]!;
    bias[partition.placement[n]!] = lowered.bias[n]!;
  }
  const { spus, routing } = laySpus(lowered, machine, partition, axons, neurons / machine.lanes);
  const axonDelay = new Uint16Array(axons.count);
  for (let a = 0; a < axons.count; a++) {
    const b = axons.bundle[a]!;
    // A neuron's axon without a synapse waits in a queue like any other, so it needs a delay that exists.
    axonDelay[a] = a < axons.ofNeuron.length && axons.ofNeuron[a] ? (b === NO_BUNDLE ? 1 : lowered.delay[b]!) : 0;
  }
  return {
    machine,
    stretch: lowered.stretch,
    maxSkew: lowered.maxSkew,
    populations: lowered.populations.map(({ name, model, size, firstSource, skew }): ProgramPopulation => ({
      name,
      model,
      size,
      offset: model === 'input' ? firstSource : firstSource - lowered.inputs,
      firstNeuron: model === 'input' ? 0 : firstSource - lowered.inputs,
      skew,
    })),
    placement: partition.placement,
    inputStart: axons.inputStart,
    inputAxon: axons.inputAxon,
    inputDelay: axons.inputDelay,
    classes,
    neurons,
    neuronClass,
    bias,
    firstAxon: axons.firstAxon,
    axonCount: axons.axonCount,
    axons: axons.count,
    axonDelay,
    routing,
    spus,
  };
}

/** Ids that stand for no neuron need a class that never fires. */
function withRestingClass({ classes }: Lowered, needed: boolean): { classes: readonly NeuronClass[]; resting: number } {
  const found = classes.findIndex(({ spiking }) => !spiking);
  if (!needed || found >= 0) return { classes, resting: Math.max(0, found) };
  const rest: NeuronClass = {
    leakShift: 0,
    threshold: 0,
    spiking: false,
    subtract: false,
    resetValue: 0,
    refractorySteps: 0,
    initial: 0,
    skew: 0,
    record: false,
  };
  return { classes: [...classes, rest], resting: classes.length };
}

interface Axons {
  readonly count: number;
  /** [count]: bundle, or NO_BUNDLE for a number that stands for nothing. */
  readonly bundle: Uint32Array;
  /** [count]: which ROW_LIMIT operations of the bundle's rows. */
  readonly chunk: Uint16Array;
  /** [count]: 1 where a neuron fires it. */
  readonly ofNeuron: Uint8Array;
  readonly firstAxon: Uint32Array;
  readonly axonCount: Uint16Array;
  readonly inputStart: Uint32Array;
  readonly inputAxon: Uint32Array;
  readonly inputDelay: Uint16Array;
}

/**
 * The axons of a neuron are neighbours and axon a is issued at port a % ports, so a run of numbers is sought for each neuron that
 * meets its ports with the fewest holes. Inputs name their axons one by one and fill what is left over.
 */
function numberAxons(lowered: Lowered, machine: MachineConfig, { spu, placement }: Partition): Axons {
  const { ports } = machine;
  const perPort = spusPerPort(machine);
  const { firstBundle, firstSynapse } = lowered;
  const bundle: number[] = [];
  const chunk: number[] = [];
  const neuronOf: boolean[] = [];
  const free: number[][] = Array.from({ length: ports }, () => []);
  const counts = new Uint32Array(machine.spus);
  /** Axons that a bundle needs at each port. */
  const chunksOf = (b: number): number[] => {
    counts.fill(0);
    for (let k = firstSynapse[b]!; k < firstSynapse[b + 1]!; k++) counts[spu[k]!]!++;
    const chunks = new Array<number>(ports).fill(0);
    for (let p = 0; p < machine.spus; p++) {
      const port = Math.floor(p / perPort);
      chunks[port] = Math.max(chunks[port]!, Math.ceil(counts[p]! / ROW_LIMIT));
    }
    return chunks;
  };
  const append = (b: number, c: number, neuron: boolean): void => {
    bundle.push(b);
    chunk.push(c);
    neuronOf.push(neuron);
  };

  const neurons = Math.ceil(lowered.neurons / machine.lanes) * machine.lanes;
  const firstAxon = new Uint32Array(neurons);
  const axonCount = new Uint16Array(neurons);
  const byPlace = new Uint32Array(lowered.neurons);
  for (let n = 0; n < lowered.neurons; n++) byPlace[placement[n]!] = n;
  for (let place = 0; place < lowered.neurons; place++) {
    const source = lowered.inputs + byPlace[place]!;
    const wanted: [bundle: number, chunk: number][][] = Array.from({ length: ports }, () => []);
    for (let b = firstBundle[source]!; b < firstBundle[source + 1]!; b++)
      chunksOf(b).forEach((count, port) => {
        for (let c = 0; c < count; c++) wanted[port]!.push([b, c]);
      });
    if (wanted.every((list) => list.length === 0)) continue;
    let best = { length: Infinity, skip: 0 };
    for (let skip = 0; skip < ports; skip++) {
      const start = bundle.length + skip;
      let length = 0;
      wanted.forEach((list, port) => {
        if (list.length > 0)
          length = Math.max(length, ((port - (start % ports) + ports) % ports) + ports * (list.length - 1) + 1);
      });
      if (length < best.length) best = { length, skip };
    }
    for (let k = 0; k < best.skip; k++) {
      free[bundle.length % ports]!.push(bundle.length);
      append(NO_BUNDLE, 0, false);
    }
    firstAxon[place] = bundle.length;
    axonCount[place] = Math.min(best.length, 0xffff);
    for (let k = 0; k < best.length; k++) {
      const [b, c] = wanted[bundle.length % ports]!.shift() ?? [NO_BUNDLE, 0];
      append(b, c, true);
    }
  }

  const inputStart = new Uint32Array(lowered.inputs + 1);
  const inputAxon: number[] = [];
  const inputDelay: number[] = [];
  for (let source = 0; source < lowered.inputs; source++) {
    for (let b = firstBundle[source]!; b < firstBundle[source + 1]!; b++) {
      chunksOf(b).forEach((count, port) => {
        for (let c = 0; c < count; c++) {
          let axon = free[port]!.pop();
          while (axon === undefined) {
            const q = bundle.length % ports;
            free[q]!.push(bundle.length);
            append(NO_BUNDLE, 0, false);
            axon = free[port]!.pop();
          }
          bundle[axon] = b;
          chunk[axon] = c;
          inputAxon.push(axon);
          inputDelay.push(lowered.delay[b]!);
        }
      });
    }
    inputStart[source + 1] = inputAxon.length;
  }
  while (bundle.length % ports !== 0) append(NO_BUNDLE, 0, false);
  return {
    count: bundle.length,
    bundle: Uint32Array.from(bundle),
    chunk: Uint16Array.from(chunk),
    ofNeuron: Uint8Array.from(neuronOf, Number),
    firstAxon,
    axonCount,
    inputStart,
    inputAxon: Uint32Array.from(inputAxon),
    inputDelay: Uint16Array.from(inputDelay),
  };
}

/** The memories of all SPUs, one SPU after another. */
function laySpus(
  lowered: Lowered,
  machine: MachineConfig,
  { spu, placement }: Partition,
  axons: Axons,
  groups: number,
): { spus: SpuProgram[]; routing: Uint32Array } {
  const { shift } = lowered;
  const perPort = spusPerPort(machine);
  const words = routingWords(machine);
  const routing = new Uint32Array(axons.count * words);
  const laneBits = Math.log2(machine.lanes);
  const { start, targets, bundles } = bySpu(lowered, machine, spu, placement);

  const spus = Array.from({ length: machine.spus }, (_, p): SpuProgram => {
    const port = portOfSpu({ machine }, p);
    const mine = targets.subarray(start[p], start[p + 1]);
    const bundleOf = bundles.subarray(start[p], start[p + 1]);

    // Accumulators: the k-th group that this SPU holds has the k-th set of lanes.
    const emission = new Uint32Array(Math.ceil(groups / 32));
    const present = new Uint8Array(256);
    for (let k = 0; k < mine.length; k++) {
      const group = mine[k]! >>> (8 + laneBits);
      emission[group >> 5]! |= 1 << (group & 31);
      present[mine[k]! & 0xff] = 1;
    }
    const groupAt = new Uint32Array(groups);
    for (let g = 0, at = 0; g < groups; g++) if ((emission[g >> 5]! >>> (g & 31)) & 1) groupAt[g] = at++;
    const weights: number[] = [];
    const indexOf = new Uint16Array(256);
    for (let w = 0; w < 256; w++) {
      if (!present[w]) continue;
      indexOf[w] = weights.length;
      weights.push(w - 128);
    }

    // Where this SPU's part of each bundle lies in `mine`.
    const rowsOf = new Map<number, number>();
    for (let k = 0; k < mine.length; k++) if (k === 0 || bundleOf[k] !== bundleOf[k - 1]) rowsOf.set(bundleOf[k]!, k);
    const rows = axons.count / machine.ports;
    const rowStart = new Uint32Array(rows);
    const rowCount = new Uint16Array(rows);
    const rowBase = new Uint16Array(rows);
    const rowShift = new Uint8Array(rows);
    const operations = new OperationMemory(mine.length);
    let keys = new Uint32Array(256);
    for (let row = 0; row < rows; row++) {
      const axon = row * machine.ports + port;
      const b = axons.bundle[axon]!;
      const begin = b === NO_BUNDLE ? undefined : rowsOf.get(b);
      if (begin === undefined) continue;
      let end = begin;
      while (end < mine.length && bundleOf[end] === b) end++;
      const from = begin + axons.chunk[axon]! * ROW_LIMIT;
      const count = Math.min(ROW_LIMIT, end - from);
      if (count <= 0) continue;
      if (keys.length < count) keys = new Uint32Array(2 * count);
      for (let i = 0; i < count; i++) {
        const target = mine[from + i]!;
        const place = target >>> 8;
        const address = (groupAt[place >> laneBits]! << laneBits) | (place & (machine.lanes - 1));
        keys[i] = (address << 8) | indexOf[target & 0xff]!;
      }
      const row_ = keys.subarray(0, count).sort();
      const base = row_[0]! >>> 8;
      for (let i = 0; i < count; i++) row_[i]! -= base << 8;
      rowStart[row] = operations.place(row_);
      rowCount[row] = count;
      rowBase[row] = base;
      rowShift[row] = shift[b]!;
      const local = p % perPort;
      routing[axon * words + (local >> 5)]! |= 1 << (local & 31);
    }
    const used = operations.used();
    const accumulator = new Uint16Array(used.length);
    const weightIndex = new Uint8Array(used.length);
    for (let i = 0; i < used.length; i++) {
      accumulator[i] = used[i]! >>> 8;
      weightIndex[i] = used[i]! & 0xff;
    }
    return {
      rowStart,
      rowCount,
      rowBase,
      rowShift,
      accumulator,
      weightIndex,
      weights: Int8Array.from(weights),
      emission,
    };
  });
  return { spus, routing };
}

/** Synapses sorted by SPU, in their own order within each. */
interface BySpu {
  /** [spus + 1] into the next two. */
  readonly start: Uint32Array;
  /** [synapses]: neuron id (bits 8 ..), weight + 128 (bits 0 .. 7). */
  readonly targets: Uint32Array;
  /** [synapses]. */
  readonly bundles: Uint32Array;
}

function bySpu(
  { bundles: count, firstSynapse, post, weight }: Lowered,
  machine: MachineConfig,
  spu: Uint8Array,
  placement: Uint32Array,
): BySpu {
  const start = new Uint32Array(machine.spus + 1);
  for (let k = 0; k < spu.length; k++) start[spu[k]! + 1]!++;
  for (let p = 0; p < machine.spus; p++) start[p + 1]! += start[p]!;
  const next = start.slice(0, machine.spus);
  const targets = new Uint32Array(spu.length);
  const bundles = new Uint32Array(spu.length);
  for (let b = 0; b < count; b++) {
    for (let k = firstSynapse[b]!; k < firstSynapse[b + 1]!; k++) {
      const at = next[spu[k]!]!++;
      targets[at] = placement[post[k]!]! * 256 + weight[k]! + 128;
      bundles[at] = b;
    }
  }
  return { start, targets, bundles };
}

/** Rows of operations; one that is there already is not stored again. */
class OperationMemory {
  readonly #words: Uint32Array;
  #length = 0;
  readonly #known = new Map<number, number[]>();

  constructor(capacity: number) {
    this.#words = new Uint32Array(capacity);
  }

  place(row: Uint32Array): number {
    let hash = row.length;
    for (let i = 0; i < row.length; i++) hash = Math.imul(hash ^ row[i]!, 0x01000193) ^ (hash >>> 15);
    const same = this.#known.get(hash);
    for (const start of same ?? []) {
      let i = 0;
      while (i < row.length && start + i < this.#length && this.#words[start + i] === row[i]) i++;
      if (i === row.length) return start;
    }
    const start = this.#length;
    this.#words.set(row, start);
    this.#length += row.length;
    if (same === undefined) this.#known.set(hash, [start]);
    else same.push(start);
    return start;
  }

  used(): Uint32Array {
    return this.#words.subarray(0, this.#length);
  }
}
