/** What an HDF5 file holds, read with bounds. */

/** Numbers, or strings, row-major. A scalar has shape []. */
export interface Hdf5Values {
  readonly shape: readonly number[];
  readonly values: readonly string[] | Float32Array | Float64Array | Int32Array;
}

export type Hdf5Tree = ReadonlyMap<string, Hdf5Values | Hdf5Tree>;

/** The tree, or why there is none; `broken` when the library must not be used again. */
export type Hdf5Answer = { readonly tree: Hdf5Tree } | { readonly refusal: string; readonly broken: boolean };

interface Entity {
  readonly type: string;
}

interface Dataset extends Entity {
  readonly shape: readonly number[] | null;
  readonly metadata: { readonly size: number };
  readonly value: unknown;
}

interface Group extends Entity {
  keys(): string[];
  get(name: string): Entity | null;
}

/**
 * Bounded: a file that claims more than it can hold, or nests without end, is refused before its data is asked for. Self-contained, because its
 * source text also runs in a worker (hdf5-thread.ts): nothing outside it may be named here.
 */
export function readTree(
  library: { readonly File: new (name: string, mode: 'r') => Group & { close(): unknown } },
  fs: { writeFile(name: string, bytes: Uint8Array): void; unlink(name: string): void },
  bytes: Uint8Array,
  path: string,
): Hdf5Answer {
  // gzip cannot do better than 1,032 to 1; what a file holds twice over, or fills in by itself, is not worth more.
  let room = 2 ** 20 + 1100 * bytes.length;
  let entries = 2 ** 18;
  const mostDepth = 64;
  class Refusal extends Error {}

  /** Numbers as floats (f32 stays f32), text as strings; undefined for anything else. */
  const plainValues = (value: unknown): Hdf5Values['values'] | undefined => {
    if (value instanceof Float32Array || value instanceof Float64Array) return value;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return Float64Array.from(value as unknown as ArrayLike<number | bigint>, Number);
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
  };
  const readDataset = (set: Dataset, at: string): Hdf5Values | undefined => {
    const { shape: sizes, metadata } = set;
    if (sizes === null) return undefined;
    const shape = sizes.map(Number);
    const count = shape.reduce((product, size) => product * size, 1);
    const need = count * Math.max(1, metadata.size);
    if (!Number.isSafeInteger(need) || need < 0 || need > room)
      throw new Refusal(`claims ${count} values in ${at}, more than a file of ${bytes.length} bytes can hold`);
    room -= need;
    const values = plainValues(count === 0 ? new Float64Array(0) : set.value);
    if (values === undefined) return undefined;
    if (values.length !== count)
      throw new Refusal(`holds ${values.length} values in ${at}, where its shape says ${count}`);
    return { shape, values };
  };
  const readGroup = (group: Group, at: string, depth: number): Hdf5Tree => {
    if (depth > mostDepth) throw new Refusal(`nests groups more than ${mostDepth} deep at ${at}`);
    const tree = new Map<string, Hdf5Values | Hdf5Tree>();
    for (const key of group.keys()) {
      if (--entries < 0) throw new Refusal('has too many entries');
      const entity = group.get(key);
      const inside = `${at}/${key}`;
      if (entity?.type === 'Group') tree.set(key, readGroup(entity as Group, inside, depth + 1));
      else if (entity?.type === 'Dataset') {
        const found = readDataset(entity as Dataset, inside);
        if (found !== undefined) tree.set(key, found);
      }
    }
    return tree;
  };

  let file: (Group & { close(): unknown }) | undefined;
  let broken = false;
  try {
    fs.writeFile(path, bytes);
    file = new library.File(path, 'r');
    return { tree: readGroup(file, '', 0) };
  } catch (cause) {
    if (cause instanceof Refusal) return { refusal: cause.message, broken };
    // The library throws strings, errors and Wasm traps.
    broken = cause instanceof WebAssembly.RuntimeError;
    const text = cause instanceof Error ? cause.message : String(cause);
    const reasons = [...text.matchAll(/\(\): (.*)/g)].map((match) => match[1]!);
    const said = reasons.length > 0 ? `${reasons[0]!}; ${reasons.at(-1)!}` : text;
    return { refusal: `is not a sound HDF5 file: ${said.slice(0, 200)}`, broken };
  } finally {
    try {
      file?.close();
      fs.unlink(path);
    } catch {
      // A damaged file need not close cleanly.
    }
  }
}
