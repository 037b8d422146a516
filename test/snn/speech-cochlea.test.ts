/** The cochlea encoder: what its spikes mean, that they are the same on every device, and what it refuses. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { MemoryRefusedError, TuttiError } from '../../host/errors.js';
import { readUtterances } from '../../host/files/utterances.js';
import { hearLevels } from '../../host/snn/cochlea.js';
import { cochleaUnits, encodeCochlea, seededRandom, spikesAt, type SpikeTrain } from '../../host/snn/index.js';
import { checkSpikeTrain } from '../../host/snn/spike-train.js';

const file = 'models/fsdd/utterances.safetensors';
const speech = readUtterances(new Uint8Array(readFileSync(file)), file).utterances.map(({ sound }) => sound);

const tone = (frequency: number, amplitude: number, samples: number, rate = 8000): Int16Array =>
  Int16Array.from({ length: samples }, (_, i) =>
    Math.round(amplitude * Math.sin((2 * Math.PI * frequency * i) / rate)),
  );

/** Noise of random loudness that comes and goes. */
function babble(seed: number): Int16Array {
  const random = seededRandom(seed);
  let loudness = 0;
  return Int16Array.from({ length: Math.floor(7000 * random.uniform()) }, (_, i) => {
    if (i % 500 === 0) loudness = random.uniform() < 0.3 ? 0 : 2 ** (14 * random.uniform());
    return Math.max(-32768, Math.min(32767, Math.round(loudness * random.normal())));
  });
}

/** [step, id] of one recording. */
function spikesOf(train: SpikeTrain, b: number): [number, number][] {
  return Array.from({ length: train.steps }, (_, step) => step).flatMap((step) =>
    [...spikesAt(train, step, b)].map((id): [number, number] => [step, id]),
  );
}

/** The rule of the encoder's docstring, from the levels, one unit at a time. */
function expected(level: Int32Array, steps: number, channels: number, limits: readonly number[], onset: number) {
  const loudest = level.reduce((most, value) => Math.max(most, value), 0);
  const spikes: [number, number][] = [];
  for (let step = 0; step < steps; step++) {
    for (let id = 0; id < channels * (2 * limits.length + 1); id++) {
      const [kind, channel] = [Math.floor(id / channels), id % channels];
      const now = level[step * channels + channel]!;
      const was = step === 0 ? 0 : level[(step - 1) * channels + channel]!;
      const limit = Math.max(112, loudest - (limits[kind % limits.length] ?? 0));
      const fires =
        kind < limits.length
          ? was < limit && now >= limit
          : kind < 2 * limits.length
            ? was >= limit && now < limit
            : now - Math.max(112, was) >= onset;
      if (fires) spikes.push([step, id]);
    }
  }
  return spikes;
}

describe('encodeCochlea', () => {
  it('spikes where levels are crossed and where sound sets in, whatever the sound and the options', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 2 ** 31 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 200 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 60 }),
        async (seeds, channels, steps, hop, unordered, onset) => {
          const levels = unordered.sort((p, q) => p - q);
          const options = { channels, steps, hop, levels, onset };
          const sounds = seeds.map(babble);
          const train = await encodeCochlea(sounds, options);
          expect(checkSpikeTrain(train, 'train').maxPerStep).toBeLessThanOrEqual(1);
          expect([train.steps, train.batch, train.neurons]).toEqual([steps, sounds.length, cochleaUnits(options)]);
          for (const [b, sound] of sounds.entries()) {
            const heard = await hearLevels([sound], options);
            expect(spikesOf(train, b)).toEqual(expected(heard, steps, channels, levels, onset));
          }
        },
      ),
      { numRuns: 60, seed: 3 },
    );
  });

  it('hears a tone in the channel of its frequency, 6 dB as 16 levels, and silence as nothing', async () => {
    const channels = 36;
    const erb = (f: number): number => 21.4 * Math.log10(1 + 0.00437 * f);
    for (const frequency of [130, 250, 500, 1000, 2000, 3400]) {
      const [loud, soft] = await Promise.all(
        [16000, 8000].map((amplitude) => hearLevels([tone(frequency, amplitude, 6400)], { channels })),
      );
      const last = [...loud!.subarray(63 * channels)];
      const place = (erb(frequency) - erb(100)) / ((erb(3600) - erb(100)) / (channels - 1));
      expect(Math.abs(last.indexOf(Math.max(...last)) - place)).toBeLessThanOrEqual(1);
      // The envelope of a tone of amplitude A is its mean, 64 * 2 A / pi, less what half a channel of detuning takes: 3 dB at most.
      expect(Math.abs(Math.max(...last) - 16 * Math.log2((64 * 32000) / Math.PI))).toBeLessThan(8);
      expect(Math.abs(Math.max(...last) - Math.max(...soft!.subarray(63 * channels)) - 16)).toBeLessThanOrEqual(1);
    }
    const silent = await encodeCochlea([new Int16Array(0), new Int16Array(5000), tone(500, 0.4, 3000)]);
    expect([silent.batch, silent.ids.length]).toEqual([3, 0]);
  });

  it('does not mind the loudness of speech, cuts what is longer and is silent after what is shorter', async () => {
    const quiet = speech.filter((sound) => sound.every((a) => Math.abs(a) < 16384));
    expect(quiet.length).toBeGreaterThan(15);
    const soft = await encodeCochlea(quiet);
    const loud = await encodeCochlea(quiet.map((sound) => sound.map((a) => 2 * a)));
    const same = (b: number): number => {
      const those = new Set(spikesOf(soft, b).map(String));
      const these = spikesOf(loud, b).map(String);
      return these.filter((spike) => those.has(spike)).length / Math.max(these.length, those.size);
    };
    const shared = quiet.map((_, b) => same(b));
    // The floor of silence is absolute, and filters round to whole amplitudes.
    expect(shared.reduce((sum, share) => sum + share, 0) / shared.length).toBeGreaterThan(0.8);

    const sound = speech.find((one) => one.length > 3000)!;
    const padded = new Int16Array(9000);
    padded.set(sound);
    expect(await encodeCochlea([sound.subarray(0, 6400)])).toEqual(await encodeCochlea([padded.subarray(0, 6400)]));
    const noisy = padded.map((a, i) => (i < 6400 ? a : 30000));
    expect(await encodeCochlea([noisy])).toEqual(await encodeCochlea([padded]));
  });

  it('gives speech the spikes that it gave when the network was trained', async () => {
    const train = await encodeCochlea(speech);
    // FNV-1a over step, recording and unit of every spike.
    let hash = 0x811c9dc5;
    for (let b = 0; b < speech.length; b++)
      for (const spike of spikesOf(train, b))
        for (const word of [spike[0], b, spike[1]]) hash = Math.imul(hash ^ word, 0x01000193);
    expect([train.ids.length, hash >>> 0]).toEqual([6854, 820191212]);
  });

  it.each<[string, () => Promise<Device>]>([
    ['oracle', async () => createOracleDevice()],
    ['wasm, 1 thread', () => createWasmDevice()],
    ['wasm, 2 threads', () => createWasmDevice({ threads: 2 })],
    ['webgpu', () => createWebGpuDevice()],
  ])('gives the same spikes on %s', async (_, open) => {
    const device = await open();
    try {
      for (const options of [{}, { channels: 37, steps: 30, hop: 133, levels: [5, 90], onset: 3 }]) {
        const sounds = [...speech.slice(0, 9), babble(1), babble(2)];
        expect(await encodeCochlea(sounds, { ...options, device })).toEqual(await encodeCochlea(sounds, options));
      }
      const single = { channels: 1, steps: 1, hop: 1, device };
      expect((await encodeCochlea([Int16Array.of(-32768)], single)).steps).toBe(1);
      expect(device.memory.inUse).toBe(0);
    } finally {
      await device.close();
    }
  });

  it('gives memory back when a device refuses some of it', async () => {
    const device = await createWasmDevice({ memoryBudget: 1e6 });
    await expect(encodeCochlea(speech, { device })).rejects.toThrow(MemoryRefusedError);
    expect(device.memory.inUse).toBe(0);
    await device.close();
  });

  it('refuses what it cannot encode', async () => {
    await expect(encodeCochlea([])).rejects.toMatchObject({ code: 'INPUT_INVALID', where: 'recordings' });
    const floats = new Float32Array(10) as unknown as Int16Array;
    await expect(encodeCochlea([speech[0]!, floats])).rejects.toMatchObject({ where: 'recordings[1]' });
    for (const [where, options] of [
      ['channels', { channels: 0 }],
      ['channels', { channels: 2.5 }],
      ['steps', { steps: NaN }],
      ['hop', { hop: -1 }],
      ['onset', { onset: 0 }],
      ['sampleRate', { sampleRate: Infinity }],
      ['range', { range: [100, 4000] }],
      ['range', { range: [500, 400] }],
      ['range', { range: 7 as unknown as [number, number] }],
      ['levels', { levels: [] }],
      ['levels', { levels: [5, 5] }],
      ['levels', { levels: 9 as unknown as number[] }],
    ] as const) {
      const refused = encodeCochlea([speech[0]!], options);
      await expect(refused).rejects.toBeInstanceOf(TuttiError);
      await expect(refused).rejects.toMatchObject({ code: 'OPTION_INVALID', where });
    }
    // 12 bits do not hold such poles.
    await expect(encodeCochlea([speech[0]!], { sampleRate: 48000 })).rejects.toThrow(/begins too low for 48000/);
    await expect(encodeCochlea([speech[0]!], { sampleRate: 48000, range: [200, 9000] })).resolves.toBeDefined();
  });
});
