/** Conformance cases of the kernel that executes programs: whatever the format allows, and what the compiler makes of networks. */
import { randomInput, randomProgram } from './random-program.js';
import { compileNetwork } from '../../snn/compile/compile.js';
import { checkMachine, DEFAULT_MACHINE, type MachineConfig } from '../../snn/machine/config.js';
import { outputBound } from '../../snn/machine/output-words.js';
import { encodeProgram } from '../../snn/machine/program-file.js';
import { machineSteps, type Program } from '../../snn/machine/program.js';
import { END_WORDS } from '../../snn/machine/stream.js';
import { programTables, runProgram } from '../machine/index.js';
import type { KernelCase } from './case.js';
import { words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const pick = <T>(d: Dice, ...values: readonly T[]): T => values[d.int(0, values.length - 1)]!;

/** A word behind the last machine step. */
export const UNASKED = 5;

/** Machines in which everything that can overflow does, and such in which nothing does. */
function machine(d: Dice): MachineConfig {
  const spus = pick(d, 1, 2, 4, 8, 16, 64);
  const ports = Math.min(spus, pick(d, 1, 1, 2, 4, 8));
  const lanes = pick(d, 1, 2, 4, 8, 16);
  const wide = d.chance(0.3);
  return checkMachine({
    spus,
    ports,
    lanes,
    weightBits: pick(d, 8, 4),
    weights: 16,
    operations: d.int(8, 300),
    accumulators: lanes * d.int(1, 40),
    axons: ports * d.int(1, 60),
    neurons: lanes * d.int(1, wide ? 60 : 20),
    classes: d.int(1, 12),
    fifo: 4,
    delaySlots: pick(d, 2, 4, 16),
    queue: pick(d, 1, 6, 500),
    accumulatorBits: pick(d, 8, 10, 18, 30),
    potentialBits: pick(d, 8, 12, 24, 30),
  });
}

function caseOf(d: Dice, name: string, program: Program, samples: readonly Uint32Array[], steps: number): KernelCase {
  const file = encodeProgram(program);
  const { words: tables, stateWords } = programTables(file);
  const inputStart = new Uint32Array(samples.length + 1);
  samples.forEach((sample, b) => (inputStart[b + 1] = inputStart[b]! + sample.length));
  const inputs = Uint32Array.from(samples.flatMap((sample) => [...sample]));
  const first = d.int(0, program.neurons - 1);
  const count = d.chance(0.3) ? 0 : d.int(1, program.neurons - first);
  const everyStep = d.chance(0.3);
  const recorded = program.neuronClass.reduce((sum, c) => sum + Number(program.classes[c]!.record), 0);
  const bound = outputBound(recorded, machineSteps(program, steps), { first, count, everyStep });
  const outputWords = d.chance(0.2) ? d.int(END_WORDS, bound) : bound + d.int(0, 9);
  return {
    name,
    kernel: runProgram.body,
    scalars: [samples.length, steps, outputWords, first, count, Number(everyStep), stateWords],
    buffers: [
      file,
      tables,
      inputs.length > 0 ? inputs : new Uint32Array(1),
      inputStart,
      words(d, samples.length * outputWords, 0, 0xffffffff),
      new Int32Array(samples.length * stateWords),
    ],
  };
}

const random: Maker = (d) => {
  const program = randomProgram(machine(d), {
    seed: d.int(0, 2 ** 31),
    stretch: pick(d, 1, 1, 2, 3),
    threshold: pick(d, 20, 200, 100_000),
    shift: pick(d, 0, 2, 9),
    row: pick(d, 3, 12, 40),
    fanOut: pick(d, 1, 5, 40),
  });
  const steps = d.int(1, 7);
  const bad = d.chance(0.3);
  const samples = Array.from({ length: pick(d, 1, 1, 2, 3) }, () => {
    const input = randomInput(program, { seed: d.int(0, 2 ** 31), steps, rate: pick(d, 1, 8, 8, 100), bad });
    // Words that are missing, and such that nobody waits for.
    if (bad && d.chance(0.2)) return input.subarray(0, d.int(0, input.length));
    if (bad && d.chance(0.2)) return Uint32Array.from([...input, 2 ** 30, UNASKED]);
    return input;
  });
  return caseOf(d, 'runProgram, random program', program, samples, steps);
};

const compiled: Maker = (d) => {
  const [inputs, hidden, outputs] = [d.int(1, 60), d.int(1, 140), d.int(1, 30)];
  const density = pick(d, 0.1, 0.5, 1);
  const weights = (count: number): number[] =>
    Array.from({ length: count }, () => (d.chance(density) ? d.int(-128, 127) : 0));
  const shared = {
    model: 'lif',
    reset: pick(d, { kind: 'subtract' } as const, { kind: 'value', value: 3 } as const),
    refractorySteps: d.int(0, 2),
  } as const;
  const program = compileNetwork(
    {
      numeric: 'fixed',
      populations: [
        { name: 'in', model: 'input', size: inputs },
        { ...shared, name: 'hidden', size: hidden, leakShift: d.int(1, 4), threshold: d.int(50, 300) },
        { name: 'out', model: 'li', size: outputs, leakShift: 3, bias: d.int(-9, 9) },
      ],
      projections: [
        { from: 'in', to: 'hidden', kind: 'dense', weights: weights(inputs * hidden), delay: d.int(0, 2) },
        {
          from: 'hidden',
          to: 'hidden',
          kind: 'dense',
          weights: weights(hidden * hidden),
          delay: d.int(1, 3),
          shift: d.int(0, 2),
        },
        { from: 'hidden', to: 'out', kind: 'dense', weights: weights(hidden * outputs), delay: d.int(0, 2) },
      ],
    },
    {
      machine: {
        ...DEFAULT_MACHINE,
        ...pick(d, { spus: 1, ports: 1 }, { spus: 16, ports: 2 }, { spus: 4, ports: 4 }),
        operations: 2 ** 20,
        axons: 2 ** 12,
      },
      strategy: pick(d, 'round-robin', 'by-post', 'by-pre'),
    },
  );
  const steps = d.int(1, 6);
  const samples = Array.from({ length: pick(d, 1, 2, 4) }, () =>
    randomInput(program, { seed: d.int(0, 2 ** 31), steps, rate: pick(d, 2, 40) }),
  );
  return caseOf(d, 'runProgram, compiled network', program, samples, steps);
};

export const machineCases: Readonly<Record<string, Maker>> = {
  runProgram: random,
  'runProgram of compiled networks': compiled,
};
