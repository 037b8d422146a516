/**
 * The RTL, simulated by Verilator with its assertions on, against the cycle model: every output word, and with words always offered and
 * taken also every cycle.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_MACHINE, MACHINE_FIELDS, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { loadWords, type ReadRequest } from '../../host/snn/machine/load-words.js';
import type { Program } from '../../host/snn/machine/program.js';
import { END_WORDS, INPUT, inputLoad, MEMORY, OUTPUT, STATUS } from '../../host/snn/machine/stream.js';
import { CAPABILITIES_AT, IDENTIFICATION, REGISTER } from '../../host/fpga/register-map.js';
import { parameterName } from '../../rtl/sim/sources.js';
import {
  randomInput,
  randomProgram,
  type RandomInputOptions,
  type RandomProgramOptions,
} from '../../host/kernels/conformance/random-program.js';
import { simulate, verilate, type Simulated, type SimulateOptions } from './verilate.js';

/** All small, so that everything that can overflow does. */
const NARROW: MachineConfig = {
  spus: 4,
  ports: 1,
  lanes: 1,
  weightBits: 4,
  weights: 16,
  operations: 256,
  accumulators: 40,
  axons: 60,
  neurons: 100,
  classes: 5,
  fifo: 2,
  delaySlots: 4,
  queue: 6,
  accumulatorBits: 10,
  potentialBits: 12,
};

/** Numbers that are not powers of two wherever that is allowed. */
const ODD: MachineConfig = {
  spus: 8,
  ports: 2,
  lanes: 2,
  weightBits: 8,
  weights: 100,
  operations: 900,
  accumulators: 70,
  axons: 210,
  neurons: 230,
  classes: 12,
  fifo: 3,
  delaySlots: 8,
  queue: 50,
  accumulatorBits: 18,
  potentialBits: 24,
};

const MACHINES = { narrow: NARROW, odd: ODD, default: DEFAULT_MACHINE } as const;
type Name = keyof typeof MACHINES;
const NAMES = Object.keys(MACHINES) as readonly Name[];
const binaries = {} as Record<Name, string>;

beforeAll(() => {
  for (const name of NAMES) binaries[name] = verilate(MACHINES[name]);
}, 600_000);

/** How often each cover point of the RTL was met in this file. */
const covered = new Map<string, number>();

function run(binary: string, input: Uint32Array, options?: SimulateOptions): Simulated {
  const simulated = simulate(binary, input, options);
  for (const [point, times] of simulated.covered) covered.set(point, (covered.get(point) ?? 0) + times);
  return simulated;
}

const join32 = (...parts: readonly Uint32Array[]): Uint32Array => {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/** `end` words: their places. */
function ends(words: Uint32Array): number[] {
  const places: number[] = [];
  for (let k = 0; k < words.length; k++)
    if (words[k]! >>> 30 === OUTPUT.end) {
      places.push(k);
      k += END_WORDS - 1;
    }
  return places;
}

/** All status bits that were seen. */
const statusOf = (words: Uint32Array): number =>
  ends(words).reduce((bits, k) => bits | ((words[k]! >>> 16) & 0x3fff), 0);

function withoutCycles(words: Uint32Array): Uint32Array {
  const copy = words.slice();
  for (const k of ends(words)) copy[k + 1] = 0;
  return copy;
}

interface Case {
  readonly name: Name;
  readonly program: RandomProgramOptions;
  readonly inputs: readonly RandomInputOptions[];
  readonly read?: Partial<ReadRequest>;
  readonly options?: SimulateOptions;
}

/** Runs a case in the RTL and in the model, checks that they are equal, and returns the words. */
function check({ name, program: made, inputs, read = {}, options = {} }: Case): Uint32Array {
  const program = randomProgram(MACHINES[name], made);
  const range = { first: 0, count: Math.min(7, program.neurons), everyStep: false, ...read };
  const samples = inputs.map((options) => randomInput(program, options));
  const model = createCycleModel(program, range).run(join32(...samples));
  const { words } = run(binaries[name], join32(loadWords(program, range), ...samples), {
    ends: samples.length,
    ...options,
  });
  const stalled = (options.stallIn ?? 0) + (options.stallOut ?? 0) > 0;
  const said = { name, made, inputs };
  if (stalled) expect(withoutCycles(words), JSON.stringify(said)).toEqual(withoutCycles(model));
  else expect(words, JSON.stringify(said)).toEqual(model);
  return model;
}

const SEEDS = Array.from({ length: 12 }, (_, k) => k + 1);

describe.each(NAMES)('the %s machine', (name) => {
  const busy = name === 'default' ? 120 : 30;

  it('puts out the words that the cycle model puts out, in as many cycles', () => {
    for (const seed of SEEDS) {
      check({
        name,
        program: { seed, stretch: 1 + (seed % 3), fanOut: 1 + seed },
        inputs: [1, 2, 3].map((k) => ({ seed: 100 * seed + k, steps: 1 + ((seed + k) % 5), rate: (busy * seed) / 12 })),
        read: { everyStep: seed % 3 === 0 },
        options: { seed },
      });
    }
  });

  it('puts out the same words however its streams stall', () => {
    for (const seed of SEEDS.slice(0, 8)) {
      check({
        name,
        program: { seed: 50 + seed, stretch: 1 + (seed % 2), threshold: 30 },
        inputs: [1, 2].map((k) => ({ seed: 100 * seed + k, steps: 4, rate: busy / 2, bad: seed % 2 === 0 })),
        read: { everyStep: seed % 2 === 1 },
        options: { seed, stallIn: [0, 200, 128, 30][seed % 4]!, stallOut: [250, 0, 128, 200][seed % 4]! },
      });
    }
  });

  it('takes long rows and full FIFOs, which make axons wait for credits', () => {
    for (const seed of SEEDS.slice(0, 4)) {
      check({
        name,
        program: { seed: 200 + seed, row: 60, axons: 20, fanOut: 3 },
        inputs: [{ seed, steps: 3, rate: 2 * busy }],
        options: { seed },
      });
    }
  });

  it('pauses its sweep while many neurons fire and fan out widely', () => {
    for (const seed of SEEDS.slice(0, 4)) {
      const { neurons, lanes } = MACHINES[name];
      check({
        name,
        program: { seed: 300 + seed, groups: neurons / lanes, threshold: 1, fanOut: 40 },
        inputs: [{ seed, steps: 4, rate: 5 }],
        options: { seed },
      });
    }
  });

  it('drops words that make no sense, and says so', () => {
    const words = check({
      name,
      program: { seed: 400 },
      inputs: [1, 2, 3].map((seed) => ({ seed, steps: 5, rate: 10, bad: seed !== 2 })),
    });
    const bits = ends(words).map((k) => (words[k]! >>> 16) & STATUS.badWord);
    expect(bits).toEqual([STATUS.badWord, 0, STATUS.badWord]);
  });
});

it('a partial sum, merged sum or potential that leaves its width wraps, and is told', () => {
  let status = 0;
  for (const seed of SEEDS) {
    const words = check({
      name: 'narrow',
      program: { seed: 500 + seed, shift: 9, threshold: 2000 },
      inputs: [{ seed, steps: 6, rate: 10 }],
      options: { seed },
    });
    status |= statusOf(words);
  }
  expect(status & STATUS.overflow).toBe(STATUS.overflow);
});

it('axons that find their queue full are dropped, and that is told', () => {
  let status = 0;
  for (const seed of SEEDS.slice(0, 6)) {
    const words = check({
      name: 'narrow',
      program: { seed: 600 + seed, threshold: 10, fanOut: 20 },
      inputs: [{ seed, steps: 6, rate: 10 }],
      options: { seed },
    });
    status |= statusOf(words);
  }
  expect(status & STATUS.queueFull).toBe(STATUS.queueFull);
});

describe('between samples', () => {
  const program: Program = randomProgram(ODD, { seed: 7 });
  const read = { first: 0, count: 4, everyStep: false };
  const sample = randomInput(program, { seed: 1, steps: 4, rate: 20 });
  const expected = createCycleModel(program, read).run(sample);

  it('words that begin nothing are told in the next sample', () => {
    const stray = Uint32Array.of(5, (INPUT.stepEnd << 30) >>> 0, (INPUT.begin << 30) >>> 0);
    const model = createCycleModel(program, read).run(join32(stray, sample, sample));
    const { words } = run(binaries.odd, join32(loadWords(program, read), stray, sample, sample), { ends: 2 });
    expect(words).toEqual(model);
    expect(ends(words).map((k) => (words[k]! >>> 16) & 0x3fff)).toEqual([STATUS.badWord, 0]);
  });

  it.each([
    ['an SPU that there is not', Uint32Array.of(inputLoad(MEMORY.weights, ODD.spus), 0, 1, 99)],
    ['a memory that there is not', Uint32Array.of(inputLoad(7, 0), 0, 2, 99, 99)],
    ['a word beyond the memory', Uint32Array.of(inputLoad(MEMORY.operations, 0), ODD.operations - 1, 2, 0, 99)],
    ['words from beyond all memories', Uint32Array.of(inputLoad(MEMORY.neurons, 0), 0xffffffff, 2, 99, 99)],
    ['a class that there is not', Uint32Array.of(inputLoad(MEMORY.classes, 0), 6 * ODD.classes, 1, 99)],
    ['classes from far beyond', Uint32Array.of(inputLoad(MEMORY.classes, 0), 0xfffffff0, 1, 99)],
  ])('a load of %s changes nothing and is told', (_, load) => {
    const { words } = run(binaries.odd, join32(loadWords(program, read), load, sample));
    expect(statusOf(words)).toBe(STATUS.badWord);
    const copy = words.slice();
    copy[ends(words)[0]!]! &= ~(STATUS.badWord << 16);
    expect(copy).toEqual(expected);
  });

  it('a load may begin anywhere in a memory, also in the middle of a class, and may be of nothing', () => {
    const other = { ...program, classes: program.classes.map((c) => ({ ...c, threshold: 3, resetValue: 5 })) };
    const words = loadWords(program, read);
    const patches = program.classes.flatMap((_c, k) => [
      ...[inputLoad(MEMORY.classes, 0), 6 * k, 2, 3, 5],
      ...[inputLoad(MEMORY.classes, 0), 6 * k + 1, 0],
    ]);
    const model = createCycleModel(other, read).run(sample);
    expect(run(binaries.odd, join32(words, Uint32Array.from(patches), sample)).words).toEqual(model);
    expect(model).not.toEqual(expected);
  });

  it('another read range can be asked for', () => {
    const control = Uint32Array.of(inputLoad(MEMORY.control, 0), 3, 3, 1, 6, 1);
    const words = join32(sample, control, sample);
    const model = createCycleModel(program, read).run(words);
    expect(run(binaries.odd, join32(loadWords(program, read), words), { ends: 2 }).words).toEqual(model);
    expect(model.length).toBeGreaterThan(2 * expected.length);
  });

  it('a program takes the place of another', () => {
    const second = randomProgram(ODD, { seed: 8 });
    const input = randomInput(second, { seed: 2, steps: 4, rate: 20 });
    const { words } = run(binaries.odd, join32(loadWords(program, read), sample, loadWords(second, read), input), {
      ends: 2,
    });
    expect(words).toEqual(join32(expected, createCycleModel(second, read).run(input)));
  });

  it('a soft reset in the middle of anything leaves a machine that works, with its memories', () => {
    const load = loadWords(program, read);
    for (let k = 1; k < sample.length; k += 3) {
      // Input words are taken ahead of what is computed: the reset comes at any stage of a step.
      const words = join32(load, sample.subarray(0, k), sample);
      expect(run(binaries.odd, words, { softResetAt: load.length + k, seed: k }).words).toEqual(expected);
    }
    const words = join32(load, sample, load.subarray(0, 40), load, sample);
    const options = { softResetAt: load.length + sample.length + 40, ends: 1 };
    expect(run(binaries.odd, words, options).words).toEqual(expected);
  });

  it('its registers tell what it is and what it did', () => {
    const load = loadWords(program, read);
    const stray = Uint32Array.of(5);
    const { registers, words } = run(binaries.odd, join32(load, stray, sample, sample), { ends: 2 });
    expect(registers.get(REGISTER.identification)).toBe(IDENTIFICATION);
    expect(MACHINE_FIELDS.map((_, k) => registers.get(CAPABILITIES_AT + 4 * k))).toEqual(
      MACHINE_FIELDS.map((field) => ODD[field]),
    );
    expect(registers.get(REGISTER.wordsIn)).toBe(load.length + 1 + 2 * sample.length);
    expect(registers.get(REGISTER.wordsOut)).toBe(words.length);
    expect(registers.get(REGISTER.samples)).toBe(2);
    expect(registers.get(REGISTER.errors)).toBe(STATUS.badWord);
    expect(registers.get(REGISTER.status)).toBe(undefined);
  });
});

it('everything that the RTL says can happen has happened above', () => {
  const points = [...covered].map(([point, times]) => ({ point, met: times > 0 }));
  expect(points.length).toBeGreaterThanOrEqual(13);
  expect(points.filter(({ met }) => !met)).toEqual([]);
});

it('the defaults of the RTL are those of DEFAULT_MACHINE', () => {
  const text = readFileSync(join(process.cwd(), 'rtl', 'tutti_machine.sv'), 'utf8');
  const found = [...text.matchAll(/parameter int (\w+) = (\d+)/g)].map(([, name, value]) => [name, Number(value)]);
  const wanted = MACHINE_FIELDS.map((field) => [parameterName(field), DEFAULT_MACHINE[field]]);
  expect(found).toEqual(wanted);
});
