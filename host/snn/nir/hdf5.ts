/** HDF5 files by way of the optional package h5wasm, as nested maps of plain values. */
import { TuttiError } from '../../errors.js';
import { inNode, readInThread } from './hdf5-thread.js';
import { readTree, type Hdf5Tree, type Hdf5Values } from './hdf5-tree.js';

export type { Hdf5Tree, Hdf5Values };

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

interface Hdf5Group {
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

export interface Hdf5ReadOptions {
  readonly hdf5?: Hdf5Library | undefined;
  /** Seconds. Default 30. */
  readonly timeLimit?: number | undefined;
}

/**
 * All groups and data sets of a file. What is neither numbers nor text, and links out of the file, are left out. In Node the file is read in a
 * worker thread, because there are damaged files that the library never comes back from; in a page, or when the library is given, it is not.
 * @throws TuttiError FILE_INVALID, DEVICE_UNAVAILABLE
 */
export async function readHdf5(bytes: Uint8Array, name: string, options: Hdf5ReadOptions = {}): Promise<Hdf5Tree> {
  const { hdf5, timeLimit = 30 } = options;
  if (!(timeLimit > 0))
    throw new TuttiError('OPTION_INVALID', `timeLimit must be above 0 seconds, got ${String(timeLimit)}`, {
      where: 'timeLimit',
    });
  const { library, fs } = await loadHdf5(hdf5);
  const answer =
    hdf5 === undefined && inNode()
      ? await readInThread(bytes, timeLimit)
      : readTree(library as Parameters<typeof readTree>[0], fs, bytes, `tutti-${files++}.h5`);
  if ('tree' in answer) return answer.tree;
  throw new TuttiError('FILE_INVALID', `${name} ${answer.refusal}`, { where: name });
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
