/** N-MNIST recordings as `index.json` beside them lays them out; the tests' small set and the shared one are alike. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { EventStream } from '../host/snn/index.js';

export interface Recording extends EventStream {
  readonly split: 'train' | 'test';
  readonly label: number;
}

interface Index {
  readonly totalEvents: number;
  readonly samples: readonly { readonly split: 'train' | 'test'; readonly label: number; readonly events: number }[];
}

/** All recordings of a folder; undefined when it has none. Times in microseconds, polarity 1 is "brighter". */
export function readRecordings(folder: string): readonly Recording[] | undefined {
  if (!existsSync(join(folder, 'index.json'))) return undefined;
  const { totalEvents, samples } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as Index;
  const file = readdirSync(folder).find((name) => name.endsWith('.col.gz'));
  if (file === undefined) return undefined;
  const bytes = gunzipSync(readFileSync(join(folder, file)));
  let first = 0;
  let at = 2 * totalEvents;
  return samples.map(({ split, label, events }) => {
    const rows = bytes.subarray(totalEvents + first, totalEvents + first + events);
    const t = new Float64Array(events);
    let now = 0;
    for (let i = 0; i < events; i++) {
      // LEB128: seven bits a byte, the lowest first.
      for (let shift = 0, more = true; more; shift += 7) {
        const byte = bytes[at++]!;
        now += (byte & 127) * 2 ** shift;
        more = byte > 127;
      }
      t[i] = now;
    }
    const recording = {
      split,
      label,
      x: bytes.subarray(first, first + events),
      y: rows.map((row) => row & 127),
      polarity: rows.map((row) => row >> 7),
      t,
    };
    first += events;
    return recording;
  });
}
