import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { readUtterances, writeUtterances } from './utterances.js';

const file = writeUtterances({
  sampleRate: 8000,
  source: 'here',
  licence: 'none',
  utterances: [
    { label: 3, speaker: 'b', take: 7, sound: Int16Array.of(1, -32768, 32767) },
    { label: 0, speaker: 'a', take: 0, sound: Int16Array.of() },
    { label: 9, speaker: 'b', take: 1, sound: Int16Array.of(5) },
  ],
});

/** The file with one tensor or one entry of its metadata taken away. */
function without(key: string): Uint8Array {
  const { metadata, tensors } = readSafetensors(file);
  return writeSafetensors(
    new Map([...tensors].filter(([name]) => name !== key)),
    new Map([...metadata].filter(([name]) => name !== key)),
  );
}

describe('readUtterances', () => {
  it('gives back what was written', () => {
    const read = readUtterances(file);
    expect(read).toMatchObject({ sampleRate: 8000, source: 'here', licence: 'none' });
    expect(read.utterances.map(({ label, speaker, take, sound }) => [label, speaker, take, ...sound])).toEqual([
      [3, 'b', 7, 1, -32768, 32767],
      [0, 'a', 0],
      [9, 'b', 1, 5],
    ]);
    expect(writeUtterances(read)).toEqual(file);
  });

  it('says what is missing', () => {
    for (const tensor of ['sound', 'start', 'label', 'speaker', 'take'])
      expect(() => readUtterances(without(tensor), 'x')).toThrow(`x has no tensor "${tensor}"`);
    expect(() => readUtterances(without('sampleRate'))).toThrow(/sampleRate/);
    expect(() => readUtterances(without('speakers'))).toThrow(/names speaker 1/);
  });

  it('refuses networks, and survives any damage with a typed error', () => {
    expect(() => readUtterances(new Uint8Array(readFileSync('models/mnist/sparse.safetensors')))).toThrow(/no tensor/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat(file.length), { freq: 4 }),
        (changes, cut) => {
          const damaged = file.slice(0, cut ?? file.length);
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          try {
            readUtterances(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(TuttiError);
            expect((error as TuttiError).code).toBe('FILE_INVALID');
          }
        },
      ),
      { numRuns: 2000, seed: 4 },
    );
  });
});
