import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { dice } from '../../kernels/conformance/generate.js';
import { bytesSource } from '../byte-source.js';
import { memorySink } from '../byte-sink.js';
import { decoderConfig } from '../model/decoder-config.js';
import { tokenizerOf } from '../tokenizer/from-gguf.js';
import { convertModel } from '../model/convert-model.js';
import { openHuggingFaceFolder } from '../model/open-hugging-face.js';
import { readGguf, readGgufBytes } from './read-gguf.js';

let file: Uint8Array;
beforeAll(() => {
  file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
});

describe('readGguf', () => {
  it('reads the packaged model', async () => {
    const header = await readGguf(bytesSource(file));
    expect(header.version).toBe(1);
    expect(header.tensors.get('blk.4.ffn_down.weight')).toMatchObject({ type: 'F32', shape: [64, 172], bytes: 44032 });
    expect(decoderConfig(header, 'file')).toMatchObject({ layers: 5, width: 64, heads: 8, kvHeads: 4, context: 512 });
    expect(tokenizerOf(header, 'file').encode('Once upon a time')).toEqual([1, 403, 407, 261, 378]);
  });

  it('says what is wrong', () => {
    const edited = (at: number, ...bytes: number[]): Uint8Array => {
      const copy = file.slice();
      copy.set(bytes, at);
      return copy;
    };
    const message = (bytes: Uint8Array): string => {
      try {
        readGgufBytes(bytes, 'x.gguf');
        return 'nothing';
      } catch (error) {
        expect(error).toBeInstanceOf(TuttiError);
        return (error as Error).message;
      }
    };
    expect(message(new Uint8Array(2))).toMatch(/does not begin with "GGUF"/);
    expect(message(edited(0, 0x20))).toMatch(/does not begin with "GGUF"/);
    expect(message(edited(4, 9))).toMatch(/is GGUF version 9; versions 1, 2 and 3 are read/);
    expect(message(edited(4, 0, 0, 0, 3))).toMatch(/big-endian files are not read/);
    expect(message(edited(8, 255, 255, 255, 255))).toMatch(/announces its number of tensors: 4294967295/);
    expect(message(file.subarray(0, 3000))).toMatch(
      /ends at byte 3000, within its header|needs bytes|only .* bytes follow/,
    );
    expect(message(file.subarray(0, file.length - 1))).toMatch(/has tensor "output.weight" in bytes .*, but ends at/);
  });

  it('survives 100,000 damaged files: typed errors, in bounded time and memory', async () => {
    // Headers and nothing behind them, so that a case is cheap; the files' sizes are what they say. One with each kind of tokenizer.
    const sink = memorySink();
    const folder = await openHuggingFaceFolder('test/data/hugging-face/qwen2');
    await convertModel(folder, sink, { type: 'F32' });
    await folder.close();
    const headers = [file.slice(0, 11_456), headerOf(sink.bytes())];
    const d = dice(20261124);
    let refused = 0;
    for (let round = 0; round < 100_000; round++) {
      const small = headers[round % 2]!;
      const headerBytes = small.length;
      const length = d.chance(0.2) ? d.int(0, headerBytes) : headerBytes;
      const undo: [number, number][] = [];
      for (let k = d.int(1, 4); k > 0; k--) {
        // Counts and lengths stand near the beginning and among the names of tensors.
        const at = d.int(0, d.chance(0.5) ? 600 : headerBytes - 1);
        undo.push([at, small[at]!]);
        small[at] = d.chance(0.3) ? d.int(0, 1) * 255 : d.int(0, 255);
      }
      try {
        const header = readGgufBytes(length === headerBytes ? small : small.subarray(0, length));
        decoderConfig(header, 'file');
        tokenizerOf(header, 'file');
      } catch (error) {
        refused++;
        if (!(error instanceof TuttiError)) throw error;
      }
      for (const [at, byte] of undo.reverse()) small[at] = byte;
    }
    expect(refused).toBe(100_000); // the tensors are missing, at the least
  });
});

const headerOf = (bytes: Uint8Array): Uint8Array =>
  bytes.slice(0, Math.min(...[...readGgufBytes(bytes).tensors.values()].map(({ offset }) => offset)));
