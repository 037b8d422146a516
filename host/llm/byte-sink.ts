/** Where the bytes of a file that is being written go. */
import { TuttiError } from '../errors.js';
import { importBuiltin } from '../node-import.js';

export interface ByteSink {
  /** Appends; the bytes may be used again once it has resolved. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface FileSink extends ByteSink {
  /** Puts the file in place, or, when it is given up, away. */
  close(keep: boolean): Promise<void>;
}

/** Collects what is written. */
export function memorySink(): ByteSink & { bytes(): Uint8Array } {
  const parts: Uint8Array[] = [];
  return {
    async write(bytes) {
      parts.push(bytes.slice());
    },
    bytes() {
      const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all;
    },
  };
}

/**
 * A file on disk, in Node. It has another name until it is whole, so that nobody takes half a file for a model.
 * @throws TuttiError OPTION_INVALID when it cannot be made
 */
export async function fileSink(path: string): Promise<FileSink> {
  const { open, rename, rm } = await importBuiltin<typeof import('node:fs/promises')>(
    'fs/promises',
    path,
    'write to memory instead',
  );
  const unfinished = `${path}.unfinished`;
  const fail = (what: string) => (cause: unknown) => {
    throw new TuttiError('OPTION_INVALID', `${path} cannot be ${what}; check folder, permissions and free space`, {
      where: path,
      cause,
    });
  };
  const handle = await open(unfinished, 'w').catch(fail('created'));
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, at).catch(fail('written'));
        at += bytesWritten;
      }
    },
    async close(keep) {
      await handle.close();
      await (keep ? rename(unfinished, path).catch(fail('put in place')) : rm(unfinished, { force: true }));
    },
  };
}
