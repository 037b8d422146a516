/**
 * Writes what the trainer (train.py) reads: the cochlea encoder's spikes of every recording, at several speeds, as one binary file.
 * `node bench/run.mjs models/fsdd/encode.ts <output>`; data from TUTTI_DATA (default ../shared/data).
 *
 * Layout, 32-bit words: count, units, steps; then per item: digit, speaker, take, speed in percent, spikes; then step * units + unit each.
 */
import { writeFileSync } from 'node:fs';
import { encodeCochlea, spikesAt } from '../../host/snn/index.js';
import { readFsdd } from './read-fsdd.js';

const SPEEDS = [100, 84, 92, 108, 118];
const BATCH = 100;

const output = process.argv[2];
if (output === undefined) {
  console.error('usage: node bench/run.mjs models/fsdd/encode.ts <output>');
  process.exit(2);
}
const recordings = readFsdd(process.env['TUTTI_DATA'] ?? '../shared/data');
const speakers = [...new Set(recordings.map((r) => r.speaker))].sort();
const words: number[] = [0, 0, 0];
let count = 0;
for (const speed of SPEEDS) {
  for (let from = 0; from < recordings.length; from += BATCH) {
    const part = recordings.slice(from, from + BATCH).filter(({ take }) => speed === 100 || take > 4);
    if (part.length === 0) continue;
    const train = await encodeCochlea(part.map(({ sound }) => resample(sound, speed / 100)));
    [words[1], words[2]] = [train.neurons, train.steps];
    part.forEach(({ digit, speaker, take }, b) => {
      const spikes = Array.from({ length: train.steps }, (_, step) =>
        [...spikesAt(train, step, b)].map((id) => step * train.neurons + id),
      ).flat();
      words.push(digit, speakers.indexOf(speaker), take, speed, spikes.length);
      for (const spike of spikes) words.push(spike);
      count++;
    });
  }
}
words[0] = count;
writeFileSync(output, new Uint8Array(Uint32Array.from(words).buffer));
console.log(
  `${count} items of ${words[1]} units and ${words[2]} steps, ${((words.length - 3 - 5 * count) / count).toFixed(0)} spikes each`,
);

/** Faster or slower by linear interpolation; pitch moves along. */
function resample(sound: Int16Array, speed: number): Int16Array {
  if (speed === 1) return sound;
  const length = Math.floor((sound.length - 1) / speed);
  return Int16Array.from({ length }, (_, i) => {
    const at = i * speed;
    const k = Math.floor(at);
    return Math.round(sound[k]! + (at - k) * (sound[k + 1]! - sound[k]!));
  });
}
