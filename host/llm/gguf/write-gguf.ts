/** GGUF version 3, written in order: header, then tensor after tensor, so that no more than a piece of one is in memory. */
import type { LongCallOptions } from '../../device/device.js';
import { throwIfAborted, TuttiError } from '../../errors.js';
import type { ByteSink } from '../byte-sink.js';
import { TENSOR_TYPES, tensorBytes, VALUE_TYPE, type GgufNumbers, type GgufTensorType } from './types.js';

type NumberType = Exclude<keyof typeof VALUE_TYPE, 'bool' | 'string' | 'array'>;

/** A metadata value with its type: single numbers name theirs, everything else shows it. */
export type GgufEntry =
  { readonly type: NumberType; readonly value: number | bigint } | boolean | string | readonly string[] | GgufNumbers;

export const u32 = (value: number): GgufEntry => ({ type: 'u32', value });
export const f32 = (value: number): GgufEntry => ({ type: 'f32', value });

export interface TensorToWrite {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Slowest dimension first. */
  readonly shape: readonly number[];
  /** The tensor's bytes, in pieces. */
  pieces(): AsyncIterable<Uint8Array>;
}

const ALIGNMENT = 32;

const arrayTypes: readonly (readonly [new (length: number) => GgufNumbers, NumberType])[] = [
  [Uint8Array, 'u8'],
  [Int8Array, 'i8'],
  [Uint16Array, 'u16'],
  [Int16Array, 'i16'],
  [Uint32Array, 'u32'],
  [Int32Array, 'i32'],
  [Float32Array, 'f32'],
  [Float64Array, 'f64'],
  [BigUint64Array, 'u64'],
  [BigInt64Array, 'i64'],
];

/**
 * Writes a whole file and returns its size. The sink stays open.
 * @throws TuttiError OPTION_INVALID for metadata or tensors that cannot be written, ABORTED
 */
export async function writeGguf(
  sink: ByteSink,
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly TensorToWrite[],
  { signal, onProgress }: LongCallOptions = {},
): Promise<number> {
  const header = byteList();
  header.u32(0x46554747);
  header.u32(3);
  header.u64(tensors.length);
  header.u64(metadata.size);
  for (const [key, entry] of metadata) writeEntry(header, key, entry);

  let offset = 0;
  const seen = new Set<string>();
  const sizes = tensors.map(({ name, type, shape }) => {
    const bytes = tensorBytes(
      type,
      shape.reduce((product, size) => product * size, 1),
    );
    const where = `tensor ${JSON.stringify(name)}`;
    if (seen.has(name)) throw refused(where, 'there twice');
    if (!Number.isSafeInteger(bytes) || (shape.at(-1) ?? 1) % TENSOR_TYPES[type][1] !== 0)
      throw refused(where, `${shape.join(' x ')} ${type}, not rows of whole blocks`);
    seen.add(name);
    header.string(name);
    header.u32(shape.length);
    for (const size of [...shape].reverse()) header.u64(size);
    header.u32(TENSOR_TYPES[type][0]);
    header.u64(offset);
    offset += aligned(bytes);
    return bytes;
  });
  const start = header.finish();
  await sink.write(start);

  const total = offset;
  let done = 0;
  for (const [k, { name, pieces }] of tensors.entries()) {
    const size = sizes[k]!;
    let sent = 0;
    for await (const piece of pieces()) {
      throwIfAborted(signal, 'writing GGUF');
      sent += piece.length;
      if (sent > size) break;
      await sink.write(piece);
      onProgress?.({ done: done + sent, total, what: name });
    }
    if (sent !== size)
      throw refused(`tensor ${JSON.stringify(name)}`, `given as ${sent} bytes or more, not as its ${size}`);
    if (aligned(size) > size) await sink.write(new Uint8Array(aligned(size) - size));
    done += aligned(size);
    onProgress?.({ done, total, what: name });
  }
  return start.length + total;
}

function refused(where: string, what: string): TuttiError {
  return new TuttiError('OPTION_INVALID', `${where} is ${what}; it cannot be written to a GGUF file`, { where });
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

interface ByteList {
  number(type: NumberType, value: number | bigint): void;
  u32(value: number): void;
  u64(value: number): void;
  string(text: string): void;
  append(bytes: Uint8Array): void;
  /** What was written, filled up to the alignment. */
  finish(): Uint8Array;
}

function byteList(): ByteList {
  let data = new Uint8Array(2 ** 16);
  let view = new DataView(data.buffer);
  let length = 0;
  const encoder = new TextEncoder();
  const room = (bytes: number): number => {
    if (length + bytes > data.length) {
      const larger = new Uint8Array(Math.max(2 * data.length, length + bytes));
      larger.set(data);
      [data, view] = [larger, new DataView(larger.buffer)];
    }
    length += bytes;
    return length - bytes;
  };
  const setters: Readonly<Record<NumberType, readonly [number, (at: number, value: number | bigint) => void]>> = {
    u8: [1, (at, value) => view.setUint8(at, Number(value))],
    i8: [1, (at, value) => view.setInt8(at, Number(value))],
    u16: [2, (at, value) => view.setUint16(at, Number(value), true)],
    i16: [2, (at, value) => view.setInt16(at, Number(value), true)],
    u32: [4, (at, value) => view.setUint32(at, Number(value), true)],
    i32: [4, (at, value) => view.setInt32(at, Number(value), true)],
    f32: [4, (at, value) => view.setFloat32(at, Number(value), true)],
    f64: [8, (at, value) => view.setFloat64(at, Number(value), true)],
    u64: [8, (at, value) => view.setBigUint64(at, BigInt(value), true)],
    i64: [8, (at, value) => view.setBigInt64(at, BigInt(value), true)],
  };
  const list: ByteList = {
    number(type, value) {
      const [bytes, set] = setters[type];
      set(room(bytes), value);
    },
    u32: (value) => list.number('u32', value),
    u64: (value) => list.number('u64', value),
    string(text) {
      const bytes = encoder.encode(text);
      list.u64(bytes.length);
      list.append(bytes);
    },
    append(bytes) {
      const at = room(bytes.length);
      data.set(bytes, at);
    },
    finish() {
      room(aligned(length) - length);
      return data.subarray(0, length);
    },
  };
  return list;
}

const RANGE: Partial<Record<NumberType, readonly [number, number]>> = {
  u8: [0, 255],
  i8: [-128, 127],
  u16: [0, 65_535],
  i16: [-32_768, 32_767],
  u32: [0, 2 ** 32 - 1],
  i32: [-(2 ** 31), 2 ** 31 - 1],
};

function writeEntry(to: ByteList, key: string, entry: GgufEntry): void {
  const where = `metadata ${JSON.stringify(key)}`;
  to.string(key);
  if (typeof entry === 'string') {
    to.u32(VALUE_TYPE.string);
    to.string(entry);
  } else if (typeof entry === 'boolean') {
    to.u32(VALUE_TYPE.bool);
    to.append(Uint8Array.of(Number(entry)));
  } else if (ArrayBuffer.isView(entry)) {
    const type = arrayTypes.find(([kind]) => entry instanceof kind)![1];
    to.u32(VALUE_TYPE.array);
    to.u32(VALUE_TYPE[type]);
    to.u64(entry.length);
    to.append(new Uint8Array(entry.buffer, entry.byteOffset, entry.byteLength));
  } else if ('type' in entry) {
    const range = RANGE[entry.type];
    const whole = typeof entry.value === 'bigint' || Number.isInteger(entry.value);
    if (range && !(whole && entry.value >= range[0] && entry.value <= range[1]))
      throw refused(where, `${entry.value}, not of type ${entry.type}`);
    to.u32(VALUE_TYPE[entry.type]);
    to.number(entry.type, entry.value);
  } else {
    to.u32(VALUE_TYPE.array);
    to.u32(VALUE_TYPE.string);
    to.u64(entry.length);
    for (const text of entry) to.string(text);
  }
}
