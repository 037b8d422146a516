/**
 * Writes utterances.safetensors, the thirty test recordings that travel with the package: of each digit takes 0, 1 and 2, each from
 * another speaker by a fixed rule, so that all six speakers are heard five times.
 * `node bench/run.mjs models/fsdd/write-utterances.ts`; data from TUTTI_DATA (default ../shared/data).
 */
import { writeFileSync } from 'node:fs';
import { writeUtterances } from '../../host/files/utterances.js';
import { readFsdd } from './read-fsdd.js';

const recordings = readFsdd(process.env['TUTTI_DATA'] ?? '../shared/data');
const speakers = [...new Set(recordings.map((r) => r.speaker))].sort();
const chosen = Array.from({ length: 30 }, (_, i) => {
  const [digit, take] = [i % 10, Math.floor(i / 10)];
  const speaker = speakers[(digit + 2 * take) % speakers.length];
  const found = recordings.find((r) => r.digit === digit && r.take === take && r.speaker === speaker);
  if (found === undefined) throw new Error(`no take ${take} of digit ${digit} by ${speaker}`);
  return { label: digit, speaker: found.speaker, take, sound: found.sound };
});
const bytes = writeUtterances({
  sampleRate: 8000,
  source: 'Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset',
  licence: 'CC BY-SA 4.0',
  utterances: chosen,
});
writeFileSync('models/fsdd/utterances.safetensors', bytes);
console.log(`${chosen.length} recordings, ${bytes.length} bytes`);
