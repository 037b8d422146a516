import { describe, expect, it } from 'vitest';
import { spikeTrain } from '../spike-train.js';
import { DEFAULT_MACHINE } from './config.js';
import { inputWords } from './input-words.js';
import { loadWords, READ_NOTHING } from './load-words.js';
import { findEnd, readOutput } from './output-words.js';
import { encodeProgram, HEADER, SPU_TABLE } from './program-file.js';
import type { Program } from './program.js';
import { INPUT, inputBegin, inputPair, inputSpike, LAST, MEMORY, OUTPUT } from './stream.js';

const none = {
  rowBase: Uint16Array.of(0, 0),
  rowShift: Uint8Array.of(0, 0),
  weights: Int8Array.of(3),
  emission: Uint32Array.of(1),
};

/** Three inputs at two ports; the second has an axon at each, the third goes nowhere. */
const program: Program = {
  name: 'words',
  strategy: 'by hand',
  seed: 0,
  machine: {
    ...DEFAULT_MACHINE,
    spus: 2,
    ports: 2,
    lanes: 1,
    weights: 2,
    operations: 4,
    accumulators: 1,
    axons: 8,
    neurons: 4,
  },
  synapses: 2,
  maxSteps: 100,
  stretch: 2,
  maxSkew: 0,
  populations: [
    { name: 'in', model: 'input', size: 3, offset: 0, firstNeuron: 0, skew: 0 },
    { name: 'out', model: 'li', size: 1, offset: 0, firstNeuron: 0, skew: 0 },
  ],
  placement: Uint32Array.of(0),
  inputStart: Uint32Array.of(0, 1, 3, 4),
  inputAxon: Uint32Array.of(0, 2, 1, 3),
  inputDelay: Uint16Array.of(0, 0, 1, 0),
  classes: [
    {
      leakShift: 0,
      threshold: 0,
      spiking: false,
      subtract: false,
      resetValue: 0,
      refractorySteps: 0,
      initial: 0,
      skew: 0,
      record: false,
    },
  ],
  neurons: 1,
  neuronClass: Uint8Array.of(0),
  bias: Int32Array.of(0),
  firstAxon: Uint32Array.of(0),
  axonCount: Uint16Array.of(0),
  axons: 4,
  axonDelay: Uint16Array.of(0, 0, 0, 0),
  routing: Uint32Array.of(1, 1, 1, 0),
  spus: [
    {
      ...none,
      rowStart: Uint32Array.of(0, 0),
      rowCount: Uint16Array.of(1, 1),
      accumulator: Uint16Array.of(0),
      weightIndex: Uint8Array.of(0),
    },
    {
      ...none,
      rowStart: Uint32Array.of(0, 0),
      rowCount: Uint16Array.of(1, 0),
      accumulator: Uint16Array.of(0),
      weightIndex: Uint8Array.of(0),
    },
  ],
};

const stepEnd = (INPUT.stepEnd << 30) >>> 0;

describe('input words', () => {
  it('pair axons of different ports, drop those without a synapse and those due after the end', () => {
    // Machine steps 0 and 2 hold network steps 0 and 1; machine step 1 only what was delayed, and 3 is after the end.
    const train = spikeTrain([[[0, 1, 2]], [[1, 1]]], 3);
    expect([...inputWords(program, new Map([['in', train]]), 0, { steps: 2, tag: 9 })]).toEqual([
      inputBegin(2, 9),
      inputPair(0, 2, true),
      inputSpike(1, true),
      inputPair(2, 2, true),
    ]);
  });

  it('are one step end a silent machine step', () => {
    expect([...inputWords(program, new Map(), 0, { steps: 2, tag: 0 })]).toEqual([
      inputBegin(2, 0),
      stepEnd,
      stepEnd,
      stepEnd,
    ]);
  });

  it('keep single words for axons that no pair can name', () => {
    const far = 2 ** 14;
    const wide: Program = {
      ...program,
      inputAxon: Uint32Array.of(0, 2, 1, far),
      routing: new Uint32Array(far + 2).fill(1),
      axons: far + 2,
    };
    const train = spikeTrain([[[0, 2]]], 3);
    const words = inputWords(wide, new Map([['in', train]]), 0, { steps: 1, tag: 0 });
    expect([...words.subarray(1)]).toEqual([inputSpike(0, false), inputSpike(far, true)]);
    expect(words[2]! & LAST).not.toBe(0);
  });

  it('are refused for inputs that do not fit, and for runs that are too long', () => {
    const ask = (name: string, neurons: number, steps: number) => () =>
      inputWords(program, new Map([[name, spikeTrain([[[0]]], neurons)]]), 0, { steps, tag: 0 });
    expect(ask('out', 3, 1)).toThrow(/inputs\.out: the program has no such input; it has "in"/);
    expect(ask('in', 4, 1)).toThrow(/1 samples of 4 neurons; sample 0 of 3 neurons is needed/);
    expect(ask('in', 3, 101)).toThrow(/after 100 steps a potential of program "words" could overflow/);
    expect(ask('in', 3, 0)).toThrow(/at least 1/);
  });
});

describe('load words', () => {
  it('are the sections of the file', () => {
    const file = encodeProgram(program);
    const words = loadWords(program, { first: 0, count: 1, everyStep: true });
    const sections = new Map<string, readonly number[]>();
    for (let at = 0; at < words.length;) {
      expect(words[at]! >>> 30).toBe(INPUT.load);
      const count = words[at + 2]!;
      sections.set(`${(words[at]! >>> 24) & 63}.${(words[at]! >>> 16) & 255}`, [
        ...words.subarray(at + 3, at + 3 + count),
      ]);
      at += 3 + count;
    }
    const table = file[HEADER.spusAt]!;
    const inFile = (at: number, length: number): number[] => [...file.subarray(at, at + length)];
    expect(sections.get(`${MEMORY.control}.0`)).toEqual([2, 0, 1, 0, 1, 1, 4]);
    expect(sections.get(`${MEMORY.routing}.0`)).toEqual(inFile(file[HEADER.routingAt]!, 4));
    expect(sections.get(`${MEMORY.classes}.0`)).toEqual(inFile(file[HEADER.classesAt]!, 6));
    for (const p of [0, 1]) {
      const entry = table + SPU_TABLE.words * p;
      expect(sections.get(`${MEMORY.rows}.${p}`)).toEqual(inFile(file[entry + SPU_TABLE.rowsAt]!, 4));
      expect(sections.get(`${MEMORY.operations}.${p}`)).toEqual(inFile(file[entry + SPU_TABLE.operationsAt]!, 1));
    }
  });
});

describe('output words', () => {
  const end = ((OUTPUT.end << 30) | (2 << 16) | 77) >>> 0;
  const potential = (value: number): number => ((OUTPUT.potential << 30) | (value & 0x3fffffff)) >>> 0;
  const words = Uint32Array.of((3 << 16) | 5, (4 << 16) | 1, potential(-7), potential(8), end, 100, 20, 2, 0);

  it('are taken apart', () => {
    const read = { first: 0, count: 2, everyStep: false };
    expect(readOutput(words, 0, 5, read)).toEqual({
      tag: 77,
      status: 2,
      cycles: 100,
      operations: 20,
      internalSpikes: 2,
      spikeSteps: Uint16Array.of(3, 4),
      spikeNeurons: Uint16Array.of(5, 1),
      potentials: Int32Array.of(-7, 8),
      words: 8,
    });
  });

  it('are refused when they are cut off or hold what was not asked for', () => {
    expect(findEnd(words.subarray(0, 7), 0)).toBe(-1);
    expect(() => readOutput(words.subarray(0, 7), 0, 5, READ_NOTHING)).toThrow(/without an end word/);
    expect(() => readOutput(words, 0, 5, READ_NOTHING)).toThrow(/where no such word belongs/);
    expect(() => readOutput(words, 0, 5, { first: 0, count: 9, everyStep: false })).toThrow(/9 potentials alone/);
  });
});
