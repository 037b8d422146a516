import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import {
  readSafetensors,
  readSafetensorsHeader,
  tensorElements,
  tensorOf,
  writeSafetensors,
  type Tensor,
} from './safetensors.js';

const tensors = new Map<string, Tensor>([
  ['bytes', tensorOf('I8', Int8Array.of(-1, 2, 3), [3])],
  ['matrix', tensorOf('F32', Float32Array.of(1.5, -2, 3, 4, 5, 6), [2, 3])],
  ['one', tensorOf('U32', Uint32Array.of(2 ** 32 - 1), [])],
  ['none', tensorOf('I32', new Int32Array(0), [4, 0])],
  ['halves', tensorOf('BF16', Uint16Array.of(0x3f80, 0xc000), [2])],
]);
const metadata = new Map([
  ['format', 'test'],
  ['text', 'ü "quoted"\n'],
]);
const file = writeSafetensors(tensors, metadata);

/** A file with this header and so many bytes of data. */
function withHeader(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const refusal = (bytes: Uint8Array): string => {
  try {
    readSafetensors(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(TuttiError);
    expect((error as TuttiError).code).toBe('FILE_INVALID');
    return (error as TuttiError).message;
  }
  return 'accepted';
};

describe('safetensors', () => {
  it('reads back what it wrote', () => {
    const read = readSafetensors(file);
    expect(read.metadata).toEqual(metadata);
    expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.keys()));
    for (const [name, { type, shape, bytes }] of tensors) {
      expect(read.tensors.get(name)).toEqual({ type, shape, bytes: new Uint8Array(bytes) });
    }
    expect(tensorElements(read.tensors.get('matrix')!, 'F32')).toEqual(Float32Array.of(1.5, -2, 3, 4, 5, 6));
    expect(tensorElements(read.tensors.get('halves')!, 'BF16')).toEqual(Uint16Array.of(0x3f80, 0xc000));
    expect(() => tensorElements(read.tensors.get('matrix')!, 'I32')).toThrow(TuttiError);
  });

  it('lays tensors out aligned, after a header of whole 8 bytes', () => {
    const { entries, dataStart } = readSafetensorsHeader(file, file.length);
    expect(dataStart % 8).toBe(0);
    for (const { type, begin } of entries.values())
      expect(begin % { F32: 4, U32: 4, I32: 4, BF16: 2, I8: 1 }[type as 'I8']).toBe(0);
  });

  it('reads from the middle of a buffer, and a header on its own', () => {
    const moved = new Uint8Array(file.length + 3);
    moved.set(file, 3);
    expect(tensorElements(readSafetensors(moved.subarray(3)).tensors.get('one')!, 'U32')[0]).toBe(2 ** 32 - 1);
    const { dataStart } = readSafetensorsHeader(file, file.length);
    expect(readSafetensorsHeader(file.subarray(0, dataStart), file.length).entries.size).toBe(5);
  });

  it('takes a file that the reference implementation made', () => {
    const header = '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} ';
    expect(readSafetensors(withHeader(header, 8)).tensors.get('w')!.shape).toEqual([2]);
    expect(readSafetensors(withHeader('{}', 0)).tensors.size).toBe(0);
  });

  it.each([
    ['no object', '[]', 0],
    ['no JSON', '{"a":', 0],
    ['an unknown type', '{"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}}', 1],
    ['a type from the prototype', '{"a":{"dtype":"toString","shape":[],"data_offsets":[0,1]}}', 1],
    ['a negative size', '{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 1],
    ['a size that overflows', '{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}', 0],
    ['a size that does not fit', '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4],
    ['offsets that fall', '{"a":{"dtype":"U8","shape":[0],"data_offsets":[4,0]}}', 4],
    ['offsets behind the end', '{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', 4],
    ['three offsets', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', 1],
    [
      'overlapping tensors',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
      3,
    ],
    ['a hole', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 2],
    ['bytes that nobody owns', '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 2],
    ['metadata that is not text', '{"__metadata__":{"a":1}}', 0],
    ['metadata that is a list', '{"__metadata__":[]}', 0],
    ['a tensor that is null', '{"a":null}', 0],
  ])('refuses %s', (_what, header, bytes) => {
    expect(refusal(withHeader(header, bytes))).toMatch(/safetensors file/);
  });

  it('refuses every truncation, and any bytes behind the end', () => {
    for (let length = 0; length < file.length; length++) expect(refusal(file.subarray(0, length))).not.toBe('accepted');
    const longer = new Uint8Array(file.length + 1);
    longer.set(file);
    expect(refusal(longer)).not.toBe('accepted');
  });

  it('meets flipped bits and noise with FILE_INVALID, or reads tensors that lie within the file', () => {
    const check = (bytes: Uint8Array): void => {
      if (refusal(bytes) !== 'accepted') return;
      const { tensors: read } = readSafetensors(bytes);
      const total = [...read.values()].reduce((sum, tensor) => sum + tensor.bytes.length, 0);
      expect(total).toBeLessThanOrEqual(bytes.length);
    };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }),
        (flips) => {
          const damaged = file.slice();
          flips.forEach(([at, bits]) => (damaged[at]! ^= bits));
          check(damaged);
        },
      ),
      { numRuns: 2000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { numRuns: 500 });
    fc.assert(
      fc.property(fc.json(), fc.nat(16), (header, bytes) => check(withHeader(header, bytes))),
      { numRuns: 500 },
    );
  });

  it('does not write what it could not read', () => {
    expect(() => writeSafetensors(new Map([['a', tensorOf('F32', Float32Array.of(1), [2])]]))).toThrow(TuttiError);
    expect(() => writeSafetensors(new Map([['__metadata__', tensorOf('F32', Float32Array.of(1))]]))).toThrow(
      TuttiError,
    );
  });
});
