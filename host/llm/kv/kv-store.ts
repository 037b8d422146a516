/** Where keys and values of paused sequences wait: in host memory as far as that is allowed, then in storage. */
import { importBuiltin } from '../../node-import.js';

/** Storage for bytes under names. */
export interface KvStorage {
  write(name: string, data: Uint8Array): Promise<void>;
  /** @throws when it cannot be read any more */
  read(name: string): Promise<Uint8Array>;
  remove(name: string): Promise<void>;
  /** Removes everything. */
  close(): Promise<void>;
}

export interface KvStore {
  /** Bytes in host memory, and in storage. */
  readonly hostBytes: number;
  readonly storedBytes: number;
  /** Whether so many bytes can be kept, and whether they would stay in host memory. */
  room(bytes: number): 'host' | 'storage' | undefined;
  /** A ticket for `take`. */
  keep(data: Uint8Array): Promise<KvTicket>;
  close(): Promise<void>;
}

export interface KvTicket {
  readonly bytes: number;
  /** The bytes, which are then forgotten. Once only. */
  take(): Promise<Uint8Array>;
  drop(): Promise<void>;
}

/** `hostBytes`: most bytes in host memory; `storage` takes what goes beyond. */
export function createKvStore({ hostBytes, storage }: { hostBytes: number; storage?: KvStorage | undefined }): KvStore {
  let host = 0;
  let stored = 0;
  let names = 0;
  return {
    get hostBytes() {
      return host;
    },
    get storedBytes() {
      return stored;
    },
    room: (bytes) => (host + bytes <= hostBytes ? 'host' : storage ? 'storage' : undefined),
    async keep(data) {
      const bytes = data.byteLength;
      if (host + bytes <= hostBytes || !storage) {
        host += bytes;
        let kept: Uint8Array | undefined = data;
        const forget = (): Uint8Array => {
          const had = kept ?? new Uint8Array(0);
          if (kept) host -= bytes;
          kept = undefined;
          return had;
        };
        return { bytes, take: () => Promise.resolve(forget()), drop: () => Promise.resolve(void forget()) };
      }
      const name = `kv-${names++}`;
      await storage.write(name, data);
      stored += bytes;
      let there = true;
      const remove = async (): Promise<void> => {
        if (!there) return;
        there = false;
        stored -= bytes;
        await storage.remove(name);
      };
      return {
        bytes,
        async take() {
          const back = await storage.read(name);
          await remove();
          return back;
        },
        drop: remove,
      };
    },
    close: async () => storage?.close(),
  };
}

/** Files in a folder of their own below `folder`, in Node; the folder goes with `close`. */
export async function fileKvStorage(folder: string): Promise<KvStorage> {
  const fs = await importBuiltin<typeof import('node:fs/promises')>('fs/promises', folder, 'use browserKvStorage');
  const path = await importBuiltin<typeof import('node:path')>('path', folder, 'use browserKvStorage');
  await fs.mkdir(folder, { recursive: true });
  const own = await fs.mkdtemp(path.join(folder, 'tutti-kv-'));
  const file = (name: string): string => path.join(own, name);
  return {
    write: (name, data) => fs.writeFile(file(name), data),
    read: async (name) => new Uint8Array(await fs.readFile(file(name))),
    remove: (name) => fs.rm(file(name), { force: true }),
    close: () => fs.rm(own, { recursive: true, force: true }),
  };
}

/** The browser's origin-private file system; IndexedDB where that is missing. Everything is below `folder`, which goes with `close`. */
export async function browserKvStorage(folder = 'tutti-kv'): Promise<KvStorage> {
  const root = await navigator.storage?.getDirectory?.().catch(() => undefined);
  return root ? opfsStorage(root, folder) : indexedDbStorage(folder);
}

async function opfsStorage(root: FileSystemDirectoryHandle, folder: string): Promise<KvStorage> {
  const own = await root.getDirectoryHandle(folder, { create: true });
  return {
    async write(name, data) {
      const stream = await (await own.getFileHandle(name, { create: true })).createWritable();
      await stream.write(data as Uint8Array<ArrayBuffer>);
      await stream.close();
    },
    read: async (name) => new Uint8Array(await (await (await own.getFileHandle(name)).getFile()).arrayBuffer()),
    remove: (name) => own.removeEntry(name).catch(() => undefined),
    close: () => root.removeEntry(folder, { recursive: true }).catch(() => undefined),
  };
}

const STORE = 'blocks';

/** Exported for its test: browsers that have the file system do not come here. */
export async function indexedDbStorage(name: string): Promise<KvStorage> {
  const asked = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
    });
  const opening = indexedDB.open(name, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await asked(opening);
  const store = (mode: IDBTransactionMode): IDBObjectStore => database.transaction(STORE, mode).objectStore(STORE);
  return {
    write: async (key, data) => void (await asked(store('readwrite').put(data, key))),
    async read(key) {
      const data: unknown = await asked(store('readonly').get(key));
      if (!(data instanceof Uint8Array)) throw new Error(`IndexedDB has no ${key} any more`);
      return data;
    },
    remove: async (key) => void (await asked(store('readwrite').delete(key))),
    async close() {
      database.close();
      await asked(indexedDB.deleteDatabase(name));
    },
  };
}
