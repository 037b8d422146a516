import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { checkMachine, DEFAULT_MACHINE, MACHINE_FIELDS, MACHINE_LIMITS } from './config.js';
import { checksum, decodeProgram, encodeProgram, HEADER } from './program-file.js';
import type { Program } from './program.js';

/** Two inputs, one of them with a delayed second axon, onto three neurons and a read-out; two SPUs. */
const program: Program = {
  name: 'tiny',
  strategy: 'by hand',
  seed: 7,
  machine: {
    ...DEFAULT_MACHINE,
    spus: 2,
    ports: 1,
    lanes: 2,
    weights: 4,
    operations: 8,
    accumulators: 4,
    axons: 8,
    neurons: 8,
  },
  synapses: 6,
  maxSteps: Infinity,
  stretch: 1,
  maxSkew: 1,
  populations: [
    { name: 'in', model: 'input', size: 2, offset: 0, firstNeuron: 0, skew: 0 },
    { name: 'hidden', model: 'lif', size: 3, offset: 0, firstNeuron: 0, skew: 0 },
    { name: 'out', model: 'li', size: 1, offset: 3, firstNeuron: 3, skew: 1 },
  ],
  placement: Uint32Array.of(2, 0, 1, 3),
  inputStart: Uint32Array.of(0, 1, 3),
  inputAxon: Uint32Array.of(0, 1, 2),
  inputDelay: Uint16Array.of(0, 0, 5),
  classes: [
    {
      leakShift: 3,
      threshold: 40,
      spiking: true,
      subtract: true,
      resetValue: 0,
      refractorySteps: 2,
      initial: -3,
      skew: 0,
      record: true,
    },
    {
      leakShift: 0,
      threshold: 0,
      spiking: false,
      subtract: false,
      resetValue: -1,
      refractorySteps: 0,
      initial: 0,
      skew: 1,
      record: false,
    },
  ],
  neurons: 4,
  neuronClass: Uint8Array.of(0, 0, 0, 1),
  bias: Int32Array.of(0, -5, 2 ** 25 - 1, -(2 ** 25)),
  firstAxon: Uint32Array.of(3, 4, 5, 0),
  axonCount: Uint16Array.of(1, 1, 1, 0),
  axons: 6,
  axonDelay: Uint16Array.of(0, 0, 0, 1, 1, 1),
  routing: Uint32Array.of(3, 1, 2, 2, 2, 1),
  spus: [
    {
      rowStart: Uint32Array.of(0, 1, 0, 0, 0, 0),
      rowCount: Uint16Array.of(1, 1, 0, 0, 0, 1),
      rowBase: Uint16Array.of(0, 1, 0, 0, 0, 0),
      rowShift: Uint8Array.of(0, 2, 0, 0, 0, 0),
      accumulator: Uint16Array.of(0, 1),
      weightIndex: Uint8Array.of(0, 1),
      weights: Int8Array.of(-128, 127),
      emission: Uint32Array.of(1),
    },
    {
      rowStart: Uint32Array.of(0, 0, 1, 1, 0, 0),
      rowCount: Uint16Array.of(1, 0, 1, 1, 1, 0),
      rowBase: Uint16Array.of(0, 0, 0, 0, 0, 0),
      rowShift: Uint8Array.of(0, 0, 0, 0, 0, 0),
      accumulator: Uint16Array.of(2, 3),
      weightIndex: Uint8Array.of(0, 0),
      weights: Int8Array.of(5),
      emission: Uint32Array.of(3),
    },
  ],
};

describe('a program file', () => {
  it('gives back the program that went in', () => {
    expect(decodeProgram(encodeProgram(program))).toEqual(program);
    const bounded = { ...program, maxSteps: 900 };
    expect(decodeProgram(encodeProgram(bounded)).maxSteps).toBe(900);
  });

  it('has the CRC-32 that others compute', () => {
    // "123456789" is the customary check: 0xcbf43926; here with its ninth byte alone in a word of its own left out.
    const bytes = new TextEncoder().encode('12345678');
    expect(checksum(new Uint32Array(bytes.buffer))).toBe(0x9ae0daaf);
  });

  it('is refused when it is damaged, whatever the bit', () => {
    const words = encodeProgram(program);
    fc.assert(
      fc.property(fc.nat(words.length - 1), fc.nat(31), (at, bit) => {
        const damaged = words.slice();
        damaged[at]! ^= 1 << bit;
        expect(() => decodeProgram(damaged, 'damaged.bin')).toThrow(TuttiError);
      }),
    );
  });

  it('is refused when it is cut short or has something behind its end', () => {
    const words = encodeProgram(program);
    fc.assert(
      fc.property(fc.nat(words.length - 1), (length) => {
        expect(() => decodeProgram(words.slice(0, length))).toThrow(TuttiError);
      }),
    );
    expect(() => decodeProgram(Uint32Array.of(...words, 0))).toThrow(/cut or joined/);
  });

  it('never crashes or reads beyond its end when a header with the right checksum lies', () => {
    const words = encodeProgram(program);
    const hostile = fc.oneof(fc.nat(200), fc.constantFrom(0xffffffff, 0x80000000, words.length, words.length - 1));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: HEADER.machine, max: words.length - 1 }), hostile), {
          minLength: 1,
          maxLength: 4,
        }),
        (changes) => {
          const lying = words.slice();
          for (const [at, value] of changes) lying[at] = value;
          lying[HEADER.checksum] = checksum(lying.subarray(HEADER.checksum + 1));
          try {
            decodeProgram(lying);
          } catch (error) {
            expect(error).toBeInstanceOf(TuttiError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('says which version it has and which it needs', () => {
    const words = encodeProgram(program);
    words[HEADER.version] = 9;
    expect(() => decodeProgram(words, 'old.bin')).toThrow(/old\.bin has format version 9, this release reads 1/);
  });
});

describe('a machine', () => {
  it('may have the default numbers', () => {
    expect(checkMachine(DEFAULT_MACHINE)).toBe(DEFAULT_MACHINE);
  });

  it.each(MACHINE_FIELDS)('is refused with %s out of bounds, and told so', (field) => {
    const { least, most } = MACHINE_LIMITS[field];
    for (const value of [least - 1, most + 1, most + 0.5, NaN, undefined]) {
      expect(() => checkMachine({ ...DEFAULT_MACHINE, [field]: value })).toThrow(`machine.${field} is ${value}`);
    }
  });

  it('needs memories that are whole numbers of lanes', () => {
    expect(() => checkMachine({ ...DEFAULT_MACHINE, accumulators: 254 })).toThrow(/multiple of lanes \(4\)/);
    expect(() => checkMachine({ ...DEFAULT_MACHINE, spus: 12 })).toThrow(/power of two/);
    expect(() => checkMachine({ ...DEFAULT_MACHINE, weightBits: 4 })).toThrow(/only 16 weights of 4 bits/);
  });
});
