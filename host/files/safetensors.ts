/**
 * Safetensors: an 8-byte little-endian header length, a JSON header, then the tensors back to back. Files come from
 * anywhere, so nothing in the header is believed before it has been checked against the bytes that are there.
 */
import { TuttiError } from '../errors.js';

/** Bytes per element of each element type that the format knows. */
const BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type TensorType = keyof typeof BYTES;

export interface Tensor {
  readonly type: TensorType;
  /** Empty for a single number. */
  readonly shape: readonly number[];
  /** Little-endian elements, row-major. From a reader: a view into the file. F16 and BF16 are left as they are. */
  readonly bytes: Uint8Array;
}

export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Where a tensor lies, relative to the end of the header. */
export interface TensorEntry {
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** Offset of the first tensor in the file. */
  readonly dataStart: number;
}

/** The reference implementation's limit; a longer header is an attack or a mistake. */
const MOST_HEADER_BYTES = 100_000_000;

function fail(name: string, what: string): never {
  throw new TuttiError('FILE_INVALID', `${name}: ${what}; the file is damaged, cut short, or not safetensors`, {
    where: name,
  });
}

/**
 * Reads the header alone, from the first bytes of a file of `fileBytes`.
 * @throws TuttiError FILE_INVALID.
 */
export function readSafetensorsHeader(
  start: Uint8Array,
  fileBytes: number,
  name = 'safetensors file',
): SafetensorsHeader {
  if (start.length < 8) fail(name, `${start.length} bytes are too few for a header`);
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MOST_HEADER_BYTES)
    fail(name, `announces a header of ${length} bytes (the most is ${MOST_HEADER_BYTES})`);
  const dataStart = 8 + length;
  if (dataStart > fileBytes || dataStart > start.length) {
    fail(name, `announces a header of ${length} bytes, but only ${Math.min(fileBytes, start.length) - 8} follow`);
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(start.subarray(8, dataStart)));
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${name}: the header is not JSON; the file is damaged or not safetensors`, {
      where: name,
      cause,
    });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    fail(name, 'the header is not a JSON object');

  const entries = new Map<string, TensorEntry>();
  let metadata = new Map<string, string>();
  for (const [key, value] of Object.entries(header)) {
    if (key === '__metadata__') metadata = readMetadata(value, name);
    else entries.set(key, readEntry(value, `${name} tensor ${JSON.stringify(key)}`));
  }
  // Every byte belongs to exactly one tensor: no overlaps to alias, no holes to hide things in.
  let at = 0;
  for (const [key, { begin, end }] of [...entries].sort((a, b) => a[1].begin - b[1].begin || a[1].end - b[1].end)) {
    if (begin !== at)
      fail(`${name} tensor ${JSON.stringify(key)}`, `begins at byte ${begin}, the tensor before it ends at ${at}`);
    at = end;
  }
  if (dataStart + at !== fileBytes) fail(name, `the tensors take ${at} bytes, the file has ${fileBytes - dataStart}`);
  return { metadata, entries, dataStart };
}

function readMetadata(value: unknown, name: string): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(name, '__metadata__ is not an object');
  const entries = Object.entries(value);
  for (const [key, text] of entries)
    if (typeof text !== 'string') fail(name, `__metadata__ ${JSON.stringify(key)} is not a string`);
  return new Map(entries as [string, string][]);
}

function readEntry(value: unknown, name: string): TensorEntry {
  if (typeof value !== 'object' || value === null) fail(name, 'is not an object');
  const { dtype, shape, data_offsets: offsets } = value as Readonly<Record<string, unknown>>;
  if (typeof dtype !== 'string' || !Object.hasOwn(BYTES, dtype))
    fail(name, `has the unknown element type ${JSON.stringify(dtype)}`);
  const type = dtype as TensorType;
  if (!Array.isArray(shape) || !shape.every(isCount)) fail(name, 'has a shape that is not a list of whole numbers');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    fail(name, 'has data_offsets that are not two whole numbers');
  const [begin, end] = offsets as [number, number];
  const sizes = shape as number[];
  const bytes = sizes.reduce((product, size) => product * size, BYTES[type]);
  if (end < begin || !Number.isSafeInteger(bytes) || end - begin !== bytes) {
    fail(name, `takes bytes ${begin} .. ${end}, but ${sizes.join(' x ') || 'one'} ${type} need ${bytes}`);
  }
  return { type, shape: sizes, begin, end };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Reads a whole file. Tensors are views into `bytes`.
 * @throws TuttiError FILE_INVALID.
 */
export function readSafetensors(bytes: Uint8Array, name?: string): SafetensorsFile {
  const { metadata, entries, dataStart } = readSafetensorsHeader(bytes, bytes.length, name);
  const tensors = new Map(
    [...entries].map(([key, { type, shape, begin, end }]) => [
      key,
      { type, shape, bytes: bytes.subarray(dataStart + begin, dataStart + end) },
    ]),
  );
  return { metadata, tensors };
}

/**
 * The file's bytes. Tensors are laid out by falling element size, so that each is aligned.
 * @throws TuttiError FILE_INVALID when a tensor's bytes do not fit its shape.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const ordered = [...tensors].sort((a, b) => BYTES[b[1].type] - BYTES[a[1].type]);
  const header: [string, unknown][] = metadata.size > 0 ? [['__metadata__', Object.fromEntries(metadata)]] : [];
  let at = 0;
  for (const [key, { type, shape, bytes }] of ordered) {
    const need = shape.reduce((product, size) => product * size, BYTES[type]);
    if (need !== bytes.length || key === '__metadata__') {
      throw new TuttiError(
        'FILE_INVALID',
        `tensor ${JSON.stringify(key)} holds ${bytes.length} bytes, ${shape.join(' x ')} ${type} need ${need}`,
        {
          where: key,
        },
      );
    }
    header.push([key, { dtype: type, shape, data_offsets: [at, at + need] }]);
    at += need;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes);
  file.set(text, 8);
  let next = 8 + headerBytes;
  for (const [, { bytes }] of ordered) {
    file.set(bytes, next);
    next += bytes.length;
  }
  return file;
}

/** Kinds of array that a tensor's bytes can be read as without converting. */
type Elements = Float32Array | Int32Array | Uint32Array | Int16Array | Int8Array | Uint8Array | Uint16Array;

const arrayOf = {
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  F16: Uint16Array,
  BF16: Uint16Array,
} as const;

type ElementsOf<T extends keyof typeof arrayOf> = InstanceType<(typeof arrayOf)[T]>;

/**
 * A tensor's elements as a typed array (F16 and BF16 as raw 16-bit words). Copied, so that it is aligned and its own.
 * @throws TuttiError FILE_INVALID when the tensor is of another type.
 */
export function tensorElements<T extends keyof typeof arrayOf>(
  tensor: Tensor,
  type: T,
  name = 'tensor',
): ElementsOf<T> {
  if (tensor.type !== type) fail(name, `holds ${tensor.type}, expected ${type}`);
  const { buffer } = tensor.bytes.slice();
  return new arrayOf[type](buffer) as ElementsOf<T>;
}

/** A tensor over an array's own bytes. */
export function tensorOf(type: TensorType, elements: Elements, shape: readonly number[] = [elements.length]): Tensor {
  return { type, shape, bytes: new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength) };
}
