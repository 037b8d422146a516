/** Programs that no compiler would make, to hold the RTL and its models against each other: everything that the format allows. */
import { routingWords, spusPerPort, type MachineConfig } from '../../snn/machine/config.js';
import type { NeuronClass, Program, SpuProgram } from '../../snn/machine/program.js';
import { machineSteps } from '../../snn/machine/program.js';
import { inputBegin, INPUT, LAST, PAIR } from '../../snn/machine/stream.js';
import { seededRandom, type SeededRandom } from '../../random.js';

export interface RandomProgramOptions {
  readonly seed: number;
  readonly stretch?: number;
  /** Largest magnitude of thresholds; small ones make for many spikes. */
  readonly threshold?: number;
  /** Largest weight shift. */
  readonly shift?: number;
  /** Most operations in a row. */
  readonly row?: number;
  /** Most axons of a neuron. */
  readonly fanOut?: number;
  /** Neuron groups, by default a random number. */
  readonly groups?: number;
  readonly axons?: number;
}

export function randomProgram(machine: MachineConfig, options: RandomProgramOptions): Program {
  const random = seededRandom(options.seed);
  const { lanes, ports } = machine;
  const groups = options.groups ?? 1 + random.below(machine.neurons / lanes);
  const neurons = groups * lanes;
  const axons = ports * (options.axons === undefined ? 1 + random.below(machine.axons / ports) : options.axons / ports);
  const stretch = options.stretch ?? 1;
  const threshold = options.threshold ?? 200;
  const perPort = spusPerPort(machine);
  const words = routingWords(machine);
  const routing = new Uint32Array(axons * words);

  const classes = Array.from({ length: 1 + random.below(machine.classes) }, (): NeuronClass => {
    const spiking = random.below(4) > 0;
    return {
      leakShift: random.below(6),
      threshold: random.below(threshold) - (random.below(8) === 0 ? 20 : 0),
      spiking,
      subtract: random.below(2) === 0,
      resetValue: random.below(40) - 20,
      refractorySteps: random.below(2) * random.below(4),
      initial: random.below(100) - 50,
      skew: random.below(5),
      record: spiking && random.below(2) === 0,
    };
  });

  const spus = Array.from({ length: machine.spus }, (_, p): SpuProgram => {
    const emission = new Uint32Array(Math.ceil(groups / 32));
    let rows = 0;
    for (let g = 0; g < groups && rows < machine.accumulators / lanes; g++) {
      if (random.below(4) === 0) continue;
      emission[g >> 5]! |= 1 << (g & 31);
      rows++;
    }
    const portRows = axons / ports;
    const rowStart = new Uint32Array(portRows);
    const rowCount = new Uint16Array(portRows);
    const rowBase = new Uint16Array(portRows);
    const rowShift = new Uint8Array(portRows);
    const accumulator: number[] = [];
    const weightIndex: number[] = [];
    const weightCount = 1 + random.below(machine.weights);
    for (let r = 0; r < portRows && rows > 0; r++) {
      if (random.below(3) === 0) continue;
      const count = 1 + (random.below(2) === 0 ? 0 : random.below(options.row ?? 12));
      if (accumulator.length + count > machine.operations) continue;
      const axon = r * ports + Math.floor(p / perPort);
      routing[axon * words + ((p % perPort) >> 5)]! |= 1 << ((p % perPort) & 31);
      rowStart[r] = accumulator.length;
      rowCount[r] = count;
      rowBase[r] = random.below(rows * lanes);
      rowShift[r] = random.below(1 + (options.shift ?? 2));
      for (let k = 0; k < count; k++) {
        // Often the same accumulator again: what forwarding is for.
        const again = k > 0 && random.below(3) === 0;
        accumulator.push(again ? accumulator[accumulator.length - 1]! : random.below(rows * lanes - rowBase[r]!));
        weightIndex.push(random.below(weightCount));
      }
    }
    const largest = 2 ** (machine.weightBits - 1);
    return {
      rowStart,
      rowCount,
      rowBase,
      rowShift,
      accumulator: Uint16Array.from(accumulator),
      weightIndex: Uint8Array.from(weightIndex),
      weights: Int8Array.from({ length: weightCount }, () => random.below(2 * largest) - largest),
      emission,
    };
  });

  const axonCount = Uint16Array.from({ length: neurons }, () => random.below(1 + Math.min(axons, options.fanOut ?? 5)));
  return {
    name: `random ${options.seed}`,
    machine,
    strategy: 'random',
    seed: options.seed,
    synapses: 0,
    maxSteps: Infinity,
    stretch,
    maxSkew: Math.max(...classes.map((c) => c.skew)),
    populations: [],
    placement: new Uint32Array(0),
    inputStart: Uint32Array.of(0),
    inputAxon: new Uint32Array(0),
    inputDelay: new Uint16Array(0),
    classes,
    neurons,
    neuronClass: Uint8Array.from({ length: neurons }, () => random.below(classes.length)),
    bias: Int32Array.from({ length: neurons }, () => random.below(40) - 15),
    firstAxon: Uint32Array.from(axonCount, (count) => random.below(axons - count + 1)),
    axonCount,
    axons,
    axonDelay: Uint16Array.from({ length: axons }, () => 1 + random.below(machine.delaySlots - 1)),
    routing,
    spus,
  };
}

export interface RandomInputOptions {
  readonly seed: number;
  readonly steps: number;
  /** Axons in a step on average; a fifth of the steps is empty. */
  readonly rate: number;
  /** Words that make no sense among them. */
  readonly bad?: boolean;
}

/** One sample: axons in any order, repeated, paired at one port or two; steps that end in any of the ways in which they may. */
export function randomInput(program: Program, options: RandomInputOptions): Uint32Array {
  const random = seededRandom(options.seed);
  const words = [inputBegin(options.steps, random.below(0x10000))];
  const stepEnd = (INPUT.stepEnd << 30) >>> 0;
  for (let step = 0; step < machineSteps(program, options.steps); step++) {
    const inputs = random.below(5) === 0 ? 0 : random.below(2 * options.rate + 1);
    for (let k = 0; k < inputs; k++) {
      if (options.bad && random.below(10) === 0) words.push(badWord(program, random));
      const axon = random.below(program.axons);
      const pair = random.below(2) === 0;
      words.push(pair ? PAIR | (random.below(program.axons) << 14) | axon : axon);
    }
    if (inputs > 0 && random.below(2) === 0) words[words.length - 1]! |= LAST;
    else words.push(stepEnd);
    // A bad word may have been the last.
    if (words[words.length - 1]! >>> 30 > INPUT.stepEnd) words.push(stepEnd);
  }
  return Uint32Array.from(words);
}

function badWord(program: Program, random: SeededRandom): number {
  switch (random.below(4)) {
    case 0:
      return ((INPUT.begin << 30) | random.below(1 << 30)) >>> 0;
    case 1:
      return ((INPUT.load << 30) | random.below(1 << 30)) >>> 0;
    case 2:
      return program.axons + random.below(2 ** 20 - program.axons);
    default:
      return PAIR | ((program.axons + random.below(50)) << 14) | (random.below(2) * program.axons);
  }
}
