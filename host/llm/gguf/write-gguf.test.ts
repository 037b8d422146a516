import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { memorySink } from '../byte-sink.js';
import { readGgufBytes } from './read-gguf.js';
import { f32, u32, writeGguf, type GgufEntry, type TensorToWrite } from './write-gguf.js';

const tensor = (name: string, shape: readonly number[], ...pieces: readonly Uint8Array[]): TensorToWrite => ({
  ...{ name, type: 'F32', shape },
  async *pieces() {
    yield* pieces;
  },
});

async function written(entries: Record<string, GgufEntry>, ...tensors: TensorToWrite[]): Promise<Uint8Array> {
  const sink = memorySink();
  const bytes = await writeGguf(sink, new Map(Object.entries(entries)), tensors);
  expect(sink.bytes()).toHaveLength(bytes);
  return sink.bytes();
}

describe('writeGguf', () => {
  it('writes what the reader reads', async () => {
    const entries: Record<string, GgufEntry> = {
      'general.architecture': 'llama',
      umlaut: 'für 🦙',
      yes: true,
      count: u32(4_000_000_000),
      third: f32(1 / 3),
      large: { type: 'u64', value: 2n ** 63n },
      negative: { type: 'i8', value: -128 },
      texts: ['', 'a', '▁b'],
      none: [],
      ints: Int32Array.of(-1, 2),
      reals: Float32Array.of(0.5, -0),
    };
    const bytes = await written(
      entries,
      tensor('a', [2, 3], new Uint8Array(7).fill(1), new Uint8Array(17).fill(2)),
      tensor('b', [1], new Uint8Array(4).fill(3)),
      tensor('empty', [0]),
    );
    const { version, metadata, tensors } = readGgufBytes(bytes);
    expect(version).toBe(3);
    expect(Object.fromEntries(metadata)).toEqual({
      ...entries,
      count: 4_000_000_000,
      third: Math.fround(1 / 3),
      large: 2n ** 63n,
      negative: -128,
    });
    expect([...tensors.values()].map(({ name, shape }) => [name, shape])).toEqual([
      ['a', [2, 3]],
      ['b', [1]],
      ['empty', [0]],
    ]);
    const { offset } = tensors.get('a')!;
    expect(offset % 32).toBe(0);
    expect([...bytes.subarray(offset, offset + 24)]).toEqual([
      ...Array<number>(7).fill(1),
      ...Array<number>(17).fill(2),
    ]);
    expect([...bytes.subarray(tensors.get('b')!.offset).subarray(0, 4)]).toEqual([3, 3, 3, 3]);
  });

  it('keeps the tensors of the packaged model', async () => {
    const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
    const before = readGgufBytes(file);
    const bytes = await written(
      {},
      ...[...before.tensors.values()].map(({ name, shape, offset, bytes: size }) =>
        tensor(name, shape, file.subarray(offset, offset + size)),
      ),
    );
    const after = readGgufBytes(bytes).tensors;
    expect(after.size).toBe(before.tensors.size);
    for (const { name, offset, bytes: size } of before.tensors.values()) {
      const at = after.get(name)!.offset;
      expect(Buffer.compare(bytes.subarray(at, at + size), file.subarray(offset, offset + size))).toBe(0);
    }
  });

  it('refuses what is no file', async () => {
    await expect(written({ n: u32(-1) })).rejects.toThrow(/metadata "n" is -1, not of type u32/);
    await expect(written({ n: u32(0.5) })).rejects.toThrow(/0.5, not of type u32/);
    await expect(written({}, tensor('a', [2], new Uint8Array(7)))).rejects.toThrow(/"a" is given as 7 bytes/);
    await expect(written({}, tensor('a', [2], new Uint8Array(9)))).rejects.toThrow(/"a" is given as 9 bytes/);
    await expect(written({}, tensor('a', [0]), tensor('a', [0]))).rejects.toThrow(/there twice/);
    await expect(written({}, { ...tensor('q', [2, 16]), type: 'Q8_0' })).rejects.toThrow(
      /tensor "q" is 2 x 16 Q8_0, not rows of whole blocks/,
    );
  });
});
