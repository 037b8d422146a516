import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../byte-source.js';
import { memorySink } from '../byte-sink.js';
import { dequantise } from '../gguf/dequantise.js';
import { readGgufBytes } from '../gguf/read-gguf.js';
import { convertModel } from './convert-model.js';
import { openGguf, type ModelFile } from './model-file.js';
import { randomModel, type RandomShape } from './random-model.js';

const stories = (): Promise<ModelFile> =>
  openGguf(bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'))));

async function convert(model: ModelFile, type: 'F32' | 'F16' | 'Q8_0' | 'Q4_0') {
  const sink = memorySink();
  const report = await convertModel(model, sink, { type });
  return { report, bytes: sink.bytes(), model: await openGguf(bytesSource(sink.bytes())) };
}

const valuesOf = async (model: ModelFile, name: string): Promise<Float32Array> => {
  const tensor = model.tensors.get(name)!;
  return dequantise(tensor, await tensor.read());
};

describe('convertModel', () => {
  it('writes the packaged model again, as it was', async () => {
    const before = await stories();
    const { model: after, report } = await convert(before, 'F32');
    expect(report).toMatchObject({ tensors: 48, types: { F32: 48 } });
    expect({ ...after.config, name: '' }).toEqual({ ...before.config, name: '' });
    expect(after.vocabulary).toEqual({ ...before.vocabulary, addSpacePrefix: true });
    for (const name of before.tensors.keys()) expect(await valuesOf(after, name)).toEqual(await valuesOf(before, name));
    const text = 'Once upon a time, Ünïcödé 🦙';
    expect(after.tokenizer.encode(text)).toEqual(before.tokenizer.encode(text));
  });

  it.each([
    ['F16', 2 ** -11],
    ['Q8_0', 1 / 200],
    ['Q4_0', 1 / 7.9],
  ] as const)('rounds matrices to %s, leaves vectors alone', async (type, most) => {
    const before = await stories();
    const { model: after, report } = await convert(before, type);
    for (const [name, { shape }] of before.tensors) {
      const tensor = after.tensors.get(name)!;
      // Rows of 172 are no whole blocks of 32.
      const expected =
        shape.length < 2 ? 'F32' : name === 'output.weight' && type === 'Q4_0' ? 'Q8_0' : shape[1]! % 32 ? 'F16' : type;
      expect([name, tensor.type]).toEqual([name, expected]);
      const [was, is] = [await valuesOf(before, name), await valuesOf(after, name)];
      const largest = was.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
      expect(was.reduce((worst, value, k) => Math.max(worst, Math.abs(value - is[k]!)), 0)).toBeLessThan(
        most * largest,
      );
    }
    expect(report.parameters).toBe(292_800);
  });
});

describe('randomModel', () => {
  const shape: RandomShape = {
    ...{ architecture: 'llama', layers: 2, width: 64, heads: 4, kvHeads: 2, feedForward: 96 },
    ...{ vocabulary: 512, context: 128, ropeBase: 10_000 },
  };

  it('is a model that other programs can be given', async () => {
    for (const architecture of ['llama', 'qwen2', 'qwen3'] as const) {
      const random = randomModel({ ...shape, architecture }, { type: 'Q8_0' });
      const { model } = await convert(random, 'Q8_0');
      expect(model.config).toEqual(random.config);
      expect([...model.tensors.keys()]).toEqual([...random.tensors.keys()]);
      for (const [name, tensor] of random.tensors)
        expect(Buffer.compare(await tensor.read(), await model.tensors.get(name)!.read())).toBe(0);
    }
  });

  it('is the same each time, and another for another seed', async () => {
    const read = (seed: number, type: 'F32' | 'Q4_0'): Promise<Float32Array> =>
      valuesOf(randomModel(shape, { seed, type }), 'blk.1.attn_q.weight');
    const values = await read(7, 'F32');
    expect(await read(7, 'F32')).toEqual(values);
    expect(await read(8, 'F32')).not.toEqual(values);
    const power = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(64 * power - 1)).toBeLessThan(0.05);
    const rounded = await read(7, 'Q4_0');
    expect(values.every((value, k) => Math.abs(value - rounded[k]!) < 0.05)).toBe(true);
  });

  it('has a vocabulary that writes any text', () => {
    const { tokenizer, vocabulary } = randomModel('15m');
    expect(vocabulary.tokens).toHaveLength(32_000);
    expect(new Set(vocabulary.tokens).size).toBe(32_000);
    for (const text of ['a tale of the sea', 'Ünïcödé 🦙\n\tend', 'x'.repeat(100)])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(` ${text}`);
    // Pieces grow out of pieces, so each is found again.
    const piece = vocabulary.tokens[20_000]!;
    expect(piece.length).toBeGreaterThan(2);
    expect(tokenizer.encode(piece.replace('\u2581', '')).length).toBeLessThan(piece.length + 1);
  });

  it('refuses what is no model', () => {
    expect(() => randomModel('7b' as '15m')).toThrow(/no random model "7b"; there are 15m, 110m, 0.5b/);
    expect(() => randomModel({ ...shape, heads: 3 })).toThrow(/make no model/);
    expect(() => randomModel({ ...shape, vocabulary: 100 })).toThrow(/vocabulary be 3\d\d or more/);
    expect(() => randomModel('15m', { seed: -1 })).toThrow(/seed must be/);
  });
});

it('a file of a random model has no surprises', async () => {
  const { bytes } = await convert(randomModel('15m', { type: 'Q4_0' }), 'Q4_0');
  const { tensors, metadata } = readGgufBytes(bytes);
  expect(metadata.get('general.architecture')).toBe('llama');
  expect(tensors.get('token_embd.weight')).toMatchObject({ type: 'Q8_0', shape: [32_000, 288] });
  expect(tensors.get('blk.5.ffn_down.weight')).toMatchObject({ type: 'Q4_0', shape: [288, 768] });
});
