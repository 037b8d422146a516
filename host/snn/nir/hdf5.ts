/**
 * HDF5 files by way of the optional package h5wasm, as nested maps of plain values. Bounded: a file that claims more than
 * it can hold, or nests without end, is refused before its data is asked for.
 */
import { TuttiError } from '../../errors.js';

/** What is used of h5wasm. In a page without a bundler's help its module can be given: `{ hdf5: await import('h5wasm') }`. */
export interface Hdf5Library {
  readonly ready: Promise<{ activate_throwing_error_handler(): number }>;
  readonly FS: unknown;
  readonly File: new (name: string, mode: 'r' | 'w') => unknown;
}

interface FileSystem {
  writeFile(name: string, bytes: Uint8Array): void;
  readFile(name: string): Uint8Array;
  unlink(name: string): void;
}

interface Entity {
  readonly type: string;
}

interface Hdf5Dataset extends Entity {
  readonly shape: readonly number[] | null;
  readonly metadata: { readonly size: number; readonly vlen?: boolean; readonly type?: number };
  readonly value: unknown;
}

interface Hdf5Group extends Entity {
  keys(): string[];
  get(name: string): Entity | null;
  create_group(name: string): Hdf5Group;
  create_dataset(set: {
    name: string;
    data: unknown;
    shape?: readonly number[];
    dtype?: string;
    chunks?: readonly number[];
    compression?: number;
  }): unknown;
}

interface Hdf5File extends Hdf5Group {
  close(): unknown;
}

/** Numbers, or strings, row-major. A scalar has shape []. */
export interface Hdf5Values {
  readonly shape: readonly number[];
  readonly values: readonly string[] | Float32Array | Float64Array | Int32Array;
}

export type Hdf5Tree = ReadonlyMap<string, Hdf5Values | Hdf5Tree>;

/** gzip cannot do better than 1,032 to 1; what a file holds twice over, or fills in by itself, is not worth more. */
const MOST_EXPANSION = 1100;
const FREE_BYTES = 2 ** 20;
const MOST_ENTRIES = 2 ** 18;
const MOST_DEPTH = 64;

let files = 0;

/** @throws TuttiError DEVICE_UNAVAILABLE saying how to install it */
export async function loadHdf5(given: Hdf5Library | undefined): Promise<{ library: Hdf5Library; fs: FileSystem }> {
  let library = given;
  if (library === undefined) {
    try {
      // Computed, so that bundlers for browsers leave it alone.
      const specifier = ['h5', 'wasm'].join('');
      library = (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as Hdf5Library;
    } catch (cause) {
      throw new TuttiError(
        'DEVICE_UNAVAILABLE',
        'NIR files need the optional package "h5wasm": npm install h5wasm, and in a bundled page give { hdf5: await import(\'h5wasm\') }',
        { cause, where: 'h5wasm' },
      );
    }
  }
  const module = await library.ready;
  // Otherwise the library prints what is wrong with a file and goes on.
  module.activate_throwing_error_handler();
  return { library, fs: library.FS as FileSystem };
}

/**
 * All groups and data sets of a file. What is neither numbers nor text, and links out of the file, are left out.
 * @throws TuttiError FILE_INVALID, DEVICE_UNAVAILABLE
 */
export async function readHdf5(bytes: Uint8Array, name: string, hdf5?: Hdf5Library): Promise<Hdf5Tree> {
  const { library, fs } = await loadHdf5(hdf5);
  const path = `tutti-${files++}.h5`;
  const refuse = (what: string, cause?: unknown): TuttiError =>
    new TuttiError('FILE_INVALID', `${name} ${what}`, { where: name, cause });
  let room = FREE_BYTES + MOST_EXPANSION * bytes.length;
  let entries = 0;

  const readDataset = (set: Hdf5Dataset, at: string): Hdf5Values | undefined => {
    const { shape: sizes, metadata } = set;
    if (sizes === null) return undefined;
    const shape = sizes.map(Number);
    const count = shape.reduce((product, size) => product * size, 1);
    const need = count * Math.max(1, metadata.size);
    if (!Number.isSafeInteger(need) || need < 0 || need > room)
      throw refuse(`claims ${count} values in ${at}, more than a file of ${bytes.length} bytes can hold`);
    room -= need;
    const values = plainValues(count === 0 ? new Float64Array(0) : set.value);
    if (values === undefined) return undefined;
    if (values.length !== count) throw refuse(`holds ${values.length} values in ${at}, where its shape says ${count}`);
    return { shape, values };
  };
  const readGroup = (group: Hdf5Group, at: string, depth: number): Hdf5Tree => {
    if (depth > MOST_DEPTH) throw refuse(`nests groups more than ${MOST_DEPTH} deep at ${at}`);
    const tree = new Map<string, Hdf5Values | Hdf5Tree>();
    for (const key of group.keys()) {
      if (++entries > MOST_ENTRIES) throw refuse(`has more than ${MOST_ENTRIES} entries`);
      const entity = group.get(key);
      const inside = `${at}/${key}`;
      if (entity?.type === 'Group') tree.set(key, readGroup(entity as Hdf5Group, inside, depth + 1));
      else if (entity?.type === 'Dataset') {
        const found = readDataset(entity as Hdf5Dataset, inside);
        if (found !== undefined) tree.set(key, found);
      }
    }
    return tree;
  };

  fs.writeFile(path, bytes);
  let file: Hdf5File | undefined;
  try {
    file = new library.File(path, 'r') as Hdf5File;
    return readGroup(file, '', 0);
  } catch (cause) {
    if (cause instanceof TuttiError) throw cause;
    // The library throws strings, errors and Wasm traps.
    throw refuse(`is not a sound HDF5 file: ${firstLines(cause)}`, cause);
  } finally {
    try {
      file?.close();
    } catch {
      // A damaged file need not close cleanly.
    }
    fs.unlink(path);
  }
}

/** The bytes of a file with this content; arrays of more than a few numbers are compressed. */
export async function writeHdf5(tree: Hdf5Tree, hdf5?: Hdf5Library): Promise<Uint8Array> {
  const { library, fs } = await loadHdf5(hdf5);
  const path = `tutti-${files++}.h5`;
  const file = new library.File(path, 'w') as Hdf5File;
  const write = (group: Hdf5Group, content: Hdf5Tree): void => {
    for (const [name, entry] of content) {
      if (entry instanceof Map) {
        write(group.create_group(name), entry as Hdf5Tree);
        continue;
      }
      const { shape, values } = entry as Hdf5Values;
      const scalar = shape.length === 0;
      if (Array.isArray(values)) {
        const data = values as readonly string[];
        group.create_dataset({ name, data: scalar ? data[0]! : data, ...(scalar ? {} : { shape }), dtype: 'S' });
        continue;
      }
      const numbers = values as Float32Array | Float64Array | Int32Array;
      const whole = numbers instanceof Int32Array;
      const data = whole ? BigInt64Array.from(numbers, (value) => BigInt(value)) : numbers;
      const dtype = whole ? '<q' : numbers instanceof Float64Array ? '<d' : '<f';
      const packed = !scalar && numbers.length >= 64 ? { chunks: shape, compression: 6 } : {};
      group.create_dataset({ name, data, shape, dtype, ...packed });
    }
  };
  try {
    write(file, tree);
    file.close();
    return fs.readFile(path).slice();
  } finally {
    fs.unlink(path);
  }
}

/** Numbers as floats (f32 stays f32), text as strings; undefined for anything else. */
function plainValues(value: unknown): Hdf5Values['values'] | undefined {
  if (value instanceof Float32Array || value instanceof Float64Array) return value;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return Float64Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  }
  if (typeof value === 'string') return [value];
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return Float64Array.of(Number(value));
  if (Array.isArray(value)) {
    const list = value.flat(8) as readonly unknown[];
    if (list.every((item) => typeof item === 'string')) return list;
    if (list.every((item) => ['number', 'bigint', 'boolean'].includes(typeof item)))
      return Float64Array.from(list, Number);
  }
  return undefined;
}

function firstLines(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  const reasons = [...text.matchAll(/\(\): (.*)/g)].map((match) => match[1]!);
  return (reasons.length > 0 ? `${reasons[0]!}; ${reasons.at(-1)!}` : text).slice(0, 200);
}
