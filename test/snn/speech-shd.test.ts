/** The reader of the Spiking Heidelberg Digits, on a small file of their layout (test/data/shd/make.py). */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../host/errors.js';
import { encodeShd, readShd } from '../../host/files/shd.js';
import { spikesAt } from '../../host/snn/index.js';
import { checkSpikeTrain } from '../../host/snn/spike-train.js';

const bytes = new Uint8Array(readFileSync('test/data/shd/layout.h5'));
const expected = JSON.parse(readFileSync('test/data/shd/layout.json', 'utf8')) as {
  readonly times: readonly number[];
  readonly units: readonly number[];
  readonly label: number;
  readonly speaker: number;
}[];

describe('readShd', () => {
  it('reads every spike, label and speaker', async () => {
    const recordings = await readShd(bytes);
    expect(recordings.map((r) => ({ ...r, times: [...r.times], units: [...r.units] }))).toEqual(expected);
  });

  it('reads a part of a file', async () => {
    const part = await readShd(bytes, { first: 3, count: 2 });
    expect(part.map((r) => [...r.times])).toEqual(expected.slice(3, 5).map((r) => r.times));
    await expect(readShd(bytes, { first: 17, count: 2 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      where: 'count',
    });
    await expect(readShd(bytes, { first: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID', where: 'first' });
  });

  it('refuses what is not such a file, saying what is missing', async () => {
    await expect(readShd(new Uint8Array(100))).rejects.toMatchObject({ code: 'FILE_INVALID' });
    await expect(readShd(new Uint8Array(0), { name: 'a.h5' })).rejects.toThrow(/a\.h5/);
    const nir = new Uint8Array(readFileSync('test/data/shd/other.h5'));
    await expect(readShd(nir)).rejects.toThrow(/no data set labels/);
  });

  it('does not go on with a library that a file has broken', async () => {
    // Some damaged files make the C library trap; its memory is not to be trusted afterwards.
    const hdf5 = {
      ready: Promise.resolve({ activate_throwing_error_handler: () => 0 }),
      FS: { writeFile: () => undefined, unlink: () => undefined },
      File: class {
        constructor() {
          throw new WebAssembly.RuntimeError('table index is out of bounds');
        }
      },
    };
    await expect(readShd(bytes, { hdf5 })).rejects.toMatchObject({ code: 'FILE_INVALID' });
    await expect(readShd(bytes, { hdf5 })).rejects.toMatchObject({ code: 'DEVICE_FAILED', where: 'h5wasm' });
  });

  it('survives any damage: a typed error or recordings, never anything else', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat(bytes.length), { freq: 4 }),
        async (changes, cut) => {
          const damaged = bytes.slice(0, cut ?? bytes.length);
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          try {
            for (const { times, units } of await readShd(damaged)) expect(times.length).toBe(units.length);
          } catch (error) {
            expect(error).toBeInstanceOf(TuttiError);
            expect((error as TuttiError).code).toMatch(/^(FILE_INVALID|DEVICE_FAILED)$/);
          }
        },
      ),
      { numRuns: 300, seed: 8, endOnFailure: true },
    );
    // The library is still sound afterwards.
    expect((await readShd(bytes)).length).toBe(expected.length);
  }, 60_000);
});

describe('encodeShd', () => {
  it('puts every spike into its step and neuron', async () => {
    const recordings = await readShd(bytes);
    const train = encodeShd(recordings, { steps: 50, binWidth: 0.02, merge: 5, repeats: 'keep' });
    expect([train.batch, train.neurons, train.steps]).toEqual([expected.length, 140, 50]);
    checkSpikeTrain(train, 'train');
    expected.forEach(({ times, units }, b) => {
      for (let step = 0; step < 50; step++) {
        const want = units.filter((_, i) => Math.floor(times[i]! / 0.02) === step).map((unit) => Math.floor(unit / 5));
        expect([...spikesAt(train, step, b)]).toEqual(want.sort((p, q) => p - q));
      }
    });
  });

  it('counts repeats once by default', () => {
    const recording = {
      times: Float32Array.of(0, 0.001, 0.5),
      units: Uint16Array.of(7, 7, 7),
      label: 0,
      speaker: undefined,
    };
    expect(encodeShd([recording]).ids).toEqual(Uint32Array.of(7, 7));
    expect(encodeShd([recording], { repeats: 'keep' }).ids).toEqual(Uint32Array.of(7, 7, 7));
  });

  it('refuses units and options that do not fit', () => {
    const recording = { times: Float32Array.of(0), units: Uint16Array.of(700), label: 0, speaker: undefined };
    expect(() => encodeShd([recording])).toThrow(/recordings\[0\] names unit 700/);
    expect(() => encodeShd([])).toThrow(/empty/);
    for (const wrong of [{ steps: 0 }, { binWidth: 0 }, { binWidth: NaN }, { merge: 1.5 }, { units: -1 }])
      expect(() => encodeShd([recording], wrong)).toThrow(TuttiError);
  });
});
