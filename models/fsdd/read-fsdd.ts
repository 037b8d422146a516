/** The Free Spoken Digit Dataset as one gzip of 16-bit samples and an index. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface Recording {
  readonly digit: number;
  readonly speaker: string;
  /** Takes 0 .. 4 of each speaker and digit are the test set. */
  readonly take: number;
  readonly sound: Int16Array;
}

/** `folder` holds fsdd/index.json and fsdd/fsdd_pcm_s16le_8khz.bin.gz. */
export function readFsdd(folder: string): Recording[] {
  const index = JSON.parse(readFileSync(join(folder, 'fsdd/index.json'), 'utf8')) as {
    readonly items: readonly (readonly [
      digit: number,
      speaker: string,
      take: number,
      offset: number,
      samples: number,
    ])[];
  };
  const bytes = gunzipSync(readFileSync(join(folder, 'fsdd/fsdd_pcm_s16le_8khz.bin.gz')));
  const all = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return index.items.map(([digit, speaker, take, offset, samples]) => ({
    digit,
    speaker,
    take,
    sound: all.subarray(offset, offset + samples),
  }));
}
