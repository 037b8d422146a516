/**
 * GGUF, versions 1 to 3: magic, counts, metadata, tensor table, then the tensors' bytes at an alignment. Version 1 counts in 32 bits, the others
 * in 64. Files come from anywhere: every size is compared with the bytes that are left before anything is made of it, so a file can
 * cost no more memory than a small multiple of its own header.
 */
import { TuttiError } from '../../errors.js';
import type { ByteSource } from '../byte-source.js';
import {
  TENSOR_TYPES,
  tensorBytes,
  VALUE_TYPE,
  type GgufHeader,
  type GgufNumbers,
  type GgufTensor,
  type GgufTensorType,
  type GgufValue,
} from './types.js';

/** A vocabulary of a million tokens has a header of some 30 MB; more than this is an attack or a mistake. */
const MOST_HEADER_BYTES = 256 * 2 ** 20;
const MOST_DIMENSIONS = 8;
const MOST_DEPTH = 4;
const MOST_NAME_BYTES = 65_535;
/** What is read at first; doubled until the header is in it. */
const FIRST_READ = 2 ** 20;

const typeByNumber = new Map<number, GgufTensorType>(
  Object.entries(TENSOR_TYPES).map(([name, [number]]) => [number, name as GgufTensorType]),
);

/** The prefix ends before the header does. */
class NeedsMore extends Error {}

/**
 * Metadata and tensor table; the tensors stay where they are.
 * @throws TuttiError FILE_INVALID
 */
export async function readGguf(source: ByteSource): Promise<GgufHeader> {
  for (let length = Math.min(FIRST_READ, source.bytes); ; length = Math.min(2 * length, source.bytes)) {
    const prefix = await source.read(0, length);
    try {
      return parseGguf(prefix, source.bytes, source.name);
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
      if (length === source.bytes) throw invalid(source.name, `ends at byte ${length}, within its header`);
      if (length >= MOST_HEADER_BYTES)
        throw invalid(source.name, `has a header of more than ${MOST_HEADER_BYTES} bytes`);
    }
  }
}

/** The header of a file that is in memory as a whole. @throws TuttiError FILE_INVALID */
export function readGgufBytes(bytes: Uint8Array, name = 'GGUF file'): GgufHeader {
  try {
    return parseGguf(bytes, bytes.length, name);
  } catch (error) {
    if (error instanceof NeedsMore) throw invalid(name, `ends at byte ${bytes.length}, within its header`);
    throw error;
  }
}

function invalid(name: string, what: string, where = name): TuttiError {
  return new TuttiError('FILE_INVALID', `${name} ${what}; the file is damaged, cut short, or not GGUF`, { where });
}

function parseGguf(prefix: Uint8Array, fileBytes: number, name: string): GgufHeader {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const text = new TextDecoder('utf-8');
  let at = 0;

  const take = (bytes: number): number => {
    if (at + bytes > fileBytes) throw invalid(name, `needs bytes ${at} .. ${at + bytes}, but has ${fileBytes}`);
    if (at + bytes > prefix.length) throw new NeedsMore();
    at += bytes;
    return at - bytes;
  };
  const u32 = (): number => view.getUint32(take(4), true);
  const whole = (value: bigint): number | bigint =>
    value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

  if (fileBytes < 4 || view.getUint32(take(4), true) !== 0x46554747) throw invalid(name, 'does not begin with "GGUF"');
  const version = u32();
  if (version < 1 || version > 3) {
    const swapped = version > 0xffff ? ' (big-endian files are not read)' : '';
    throw new TuttiError('FILE_INVALID', `${name} is GGUF version ${version}${swapped}; versions 1, 2 and 3 are read`, {
      where: name,
      facts: { version },
    });
  }
  /** A number of things that take at least `least` bytes each. */
  const count = (what: string, least: number): number => {
    const value = version === 1 ? u32() : Number(view.getBigUint64(take(8), true));
    if (value * least > fileBytes - at) {
      throw invalid(name, `announces ${what}: ${value} (byte ${at}), but only ${fileBytes - at} bytes follow`);
    }
    return value;
  };
  const string = (what: string, most = Infinity): string => {
    const length = count(`the bytes of ${what}`, 1);
    if (length > most) throw invalid(name, `has ${what} of ${length} bytes; the most is ${most}`);
    const start = take(length);
    return text.decode(prefix.subarray(start, start + length));
  };

  function numbers(type: number, length: number): GgufNumbers | undefined {
    const copy = (bytes: number): ArrayBuffer => {
      const start = take(bytes * length);
      return prefix.slice(start, start + bytes * length).buffer;
    };
    switch (type) {
      case VALUE_TYPE.u8:
        return new Uint8Array(copy(1));
      case VALUE_TYPE.i8:
        return new Int8Array(copy(1));
      case VALUE_TYPE.u16:
        return new Uint16Array(copy(2));
      case VALUE_TYPE.i16:
        return new Int16Array(copy(2));
      case VALUE_TYPE.u32:
        return new Uint32Array(copy(4));
      case VALUE_TYPE.i32:
        return new Int32Array(copy(4));
      case VALUE_TYPE.f32:
        return new Float32Array(copy(4));
      case VALUE_TYPE.f64:
        return new Float64Array(copy(8));
      case VALUE_TYPE.u64:
        return new BigUint64Array(copy(8));
      case VALUE_TYPE.i64:
        return new BigInt64Array(copy(8));
      default:
        return undefined;
    }
  }

  const leastBytes = (type: number): number =>
    ([1, 1, 2, 2, 4, 4, 4, 1, version === 1 ? 4 : 8, version === 1 ? 8 : 12, 8, 8, 8] as const)[type] ?? 1;

  function value(type: number, key: string, depth: number): GgufValue {
    switch (type) {
      case VALUE_TYPE.u8:
        return view.getUint8(take(1));
      case VALUE_TYPE.i8:
        return view.getInt8(take(1));
      case VALUE_TYPE.u16:
        return view.getUint16(take(2), true);
      case VALUE_TYPE.i16:
        return view.getInt16(take(2), true);
      case VALUE_TYPE.u32:
        return u32();
      case VALUE_TYPE.i32:
        return view.getInt32(take(4), true);
      case VALUE_TYPE.f32:
        return view.getFloat32(take(4), true);
      case VALUE_TYPE.bool: {
        const byte = view.getUint8(take(1));
        if (byte > 1) throw invalid(name, `has the truth value ${byte} for ${key}`, key);
        return byte === 1;
      }
      case VALUE_TYPE.string:
        return string(key);
      case VALUE_TYPE.u64:
        return whole(view.getBigUint64(take(8), true));
      case VALUE_TYPE.i64:
        return whole(view.getBigInt64(take(8), true));
      case VALUE_TYPE.f64:
        return view.getFloat64(take(8), true);
      case VALUE_TYPE.array: {
        if (depth === MOST_DEPTH) throw invalid(name, `has arrays more than ${MOST_DEPTH} deep in ${key}`, key);
        const of = u32();
        const length = count(`the length of ${key}`, leastBytes(of));
        const typed = numbers(of, length);
        if (typed) return typed;
        const values: GgufValue[] = [];
        for (let k = 0; k < length; k++) values.push(value(of, key, depth + 1));
        return values;
      }
      default:
        throw invalid(name, `has the unknown value type ${type} for ${key} (byte ${at - 4})`, key);
    }
  }

  const tensorCount = count('its number of tensors', version === 1 ? 16 : 24);
  const metadataCount = count('its number of metadata entries', version === 1 ? 9 : 13);
  const metadata = new Map<string, GgufValue>();
  for (let k = 0; k < metadataCount; k++) {
    const key = string(`the name of metadata entry ${k}`, MOST_NAME_BYTES);
    if (metadata.has(key)) throw invalid(name, `has the metadata entry ${JSON.stringify(key)} twice`, key);
    metadata.set(key, value(u32(), JSON.stringify(key), 0));
  }

  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 2 ** 20 || Math.log2(alignment) % 1 !== 0) {
    throw invalid(name, `has the alignment ${String(alignment)}; it must be a power of two`, 'general.alignment');
  }
  const table: GgufTensor[] = [];
  for (let k = 0; k < tensorCount; k++) {
    const tensor = string(`the name of tensor ${k}`, MOST_NAME_BYTES);
    const where = `tensor ${JSON.stringify(tensor)}`;
    const dimensions = u32();
    if (dimensions > MOST_DIMENSIONS)
      throw invalid(name, `has ${dimensions} dimensions for ${where}; the most is ${MOST_DIMENSIONS}`, where);
    const shape: number[] = [];
    let elements = 1;
    for (let d = 0; d < dimensions; d++) {
      const size = version === 1 ? u32() : Number(view.getBigUint64(take(8), true));
      shape.unshift(size);
      elements *= size;
    }
    const number = u32();
    const type = typeByNumber.get(number);
    if (type === undefined) {
      throw new TuttiError(
        'FILE_INVALID',
        `${name}: ${where} has the element type ${number}, which is not read; convert it to one of ${Object.keys(TENSOR_TYPES).join(', ')}`,
        { where, facts: { type: number } },
      );
    }
    const columns = shape.at(-1) ?? 1;
    const bytes = tensorBytes(type, elements);
    if (!Number.isSafeInteger(bytes) || columns % TENSOR_TYPES[type][1] !== 0) {
      throw invalid(name, `has ${where} of ${shape.join(' x ')} ${type}, which are not whole blocks`, where);
    }
    const offset = Number(view.getBigUint64(take(8), true));
    if (offset % alignment !== 0)
      throw invalid(name, `has ${where} at ${offset}, which is no multiple of ${alignment}`, where);
    table.push({ name: tensor, type, shape, offset, bytes });
  }

  const dataStart = Math.ceil(at / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of table) {
    const where = `tensor ${JSON.stringify(tensor.name)}`;
    if (tensors.has(tensor.name)) throw invalid(name, `has ${where} twice`, where);
    const offset = dataStart + tensor.offset;
    if (offset + tensor.bytes > fileBytes) {
      throw invalid(
        name,
        `has ${where} in bytes ${offset} .. ${offset + tensor.bytes}, but ends at ${fileBytes}`,
        where,
      );
    }
    tensors.set(tensor.name, { ...tensor, offset });
  }
  let end = 0;
  for (const { name: tensor, offset, bytes } of [...tensors.values()].sort(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (offset < end) throw invalid(name, `has tensor ${JSON.stringify(tensor)} over the one before it`, tensor);
    end = offset + bytes;
  }
  return { version, metadata, tensors };
}
