/**
 * Writes what the trainer (train.py) reads: the cochlea encoder's levels of every recording, at several speeds and with noise, and the
 * spikes of the unchanged ones. `node bench/run.mjs models/fsdd/encode.ts <output>`; data from TUTTI_DATA (default ../shared/data).
 *
 * Layout, 32-bit words: count, channels, steps, units; then per item: digit, speaker, take, speed in percent. Then the levels, 16 bits each,
 * in 1/16 octave, [count][steps][channels]. After them, for each item of speed 100, the number of its spikes and the sum of (step * units + unit) modulo
 * 2^32, by which the trainer checks its own crossings.
 */
import { writeFileSync } from 'node:fs';
import { encodeCochlea, seededRandom, spikesAt } from '../../host/snn/index.js';
import { hearLevels } from '../../host/snn/cochlea.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { readFsdd, type Recording } from './read-fsdd.js';

const SPEEDS = [100, 85, 92, 108, 118];
const BATCH = 100;

const output = process.argv[2];
if (output === undefined) {
  console.error('usage: node bench/run.mjs models/fsdd/encode.ts <output>');
  process.exit(2);
}
const recordings = readFsdd(process.env['TUTTI_DATA'] ?? '../shared/data');
const speakers = [...new Set(recordings.map((r) => r.speaker))].sort();
const random = seededRandom(1);
const device = await createWasmDevice();
const items: number[] = [];
const levels: Int16Array[] = [];
const checks: number[] = [];
let [channels, steps, units] = [0, 0, 0];
for (const speed of SPEEDS) {
  const wanted = recordings.filter(({ take }) => speed === 100 || take > 4);
  for (let from = 0; from < wanted.length; from += BATCH) {
    const part = wanted.slice(from, from + BATCH);
    const sounds = part.map((recording) => (speed === 100 ? recording.sound : changed(recording, speed / 100)));
    const train = await encodeCochlea(sounds, { device });
    const heard = await hearLevels(sounds, { device });
    [steps, units, channels] = [train.steps, train.neurons, heard.length / train.steps / part.length];
    part.forEach(({ digit, speaker, take }, b) => {
      items.push(digit, speakers.indexOf(speaker), take, speed);
      const mine = new Int16Array(steps * channels);
      for (let step = 0; step < steps; step++)
        for (let c = 0; c < channels; c++) mine[step * channels + c] = heard[(step * part.length + b) * channels + c]!;
      levels.push(mine);
      if (speed !== 100) return;
      let [spikes, sum] = [0, 0];
      for (let step = 0; step < steps; step++)
        for (const id of spikesAt(train, step, b)) [spikes, sum] = [spikes + 1, (sum + step * units + id) >>> 0];
      checks.push(spikes, sum);
    });
  }
}
await device.close();
const words = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
writeFileSync(
  output,
  Buffer.concat([
    words([levels.length, channels, steps, units]),
    words(items),
    ...levels.map((list) => new Uint8Array(list.buffer)),
    words(checks),
  ]),
);
console.log(`${levels.length} items of ${channels} channels, ${steps} steps and ${units} units`);

/** Faster or slower by linear interpolation, pitch moving along, with noise 30 to 60 dB below the peak. */
function changed({ sound }: Recording, speed: number): Int16Array {
  const peak = sound.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const noise = peak * 10 ** -(1.5 + 1.5 * random.uniform());
  return Int16Array.from({ length: Math.floor((sound.length - 1) / speed) }, (_, i) => {
    const at = i * speed;
    const k = Math.floor(at);
    return Math.round(sound[k]! + (at - k) * (sound[k + 1]! - sound[k]!) + noise * random.normal());
  });
}
