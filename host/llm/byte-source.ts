/** Where the bytes of a model file come from: memory, a file that is read piece by piece, or a server that answers range requests. */
import { TuttiError } from '../errors.js';
import { importBuiltin } from '../node-import.js';

export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly bytes: number;
  /** Exactly `length` bytes from `offset` on. @throws TuttiError FILE_INVALID when they are not there */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export function bytesSource(data: Uint8Array, name = 'model file'): ByteSource {
  return {
    name,
    bytes: data.length,
    read(offset, length) {
      checkRange(name, data.length, offset, length);
      return Promise.resolve(data.subarray(offset, offset + length));
    },
    close: () => Promise.resolve(),
  };
}

/** A file on disk, in Node: nothing is read before it is asked for. @throws TuttiError FILE_INVALID when it cannot be opened */
export async function fileSource(path: string): Promise<ByteSource> {
  const { open } = await importBuiltin<typeof import('node:fs/promises')>(
    'fs/promises',
    path,
    'use urlSource or bytesSource',
  );
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw new TuttiError('FILE_INVALID', `${path} cannot be opened; check its name and its permissions`, {
      where: path,
      cause,
    });
  });
  const { size } = await handle.stat();
  return {
    name: path,
    bytes: size,
    async read(offset, length) {
      checkRange(path, size, offset, length);
      const data = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const { bytesRead } = await handle.read(data, at, length - at, offset + at);
        if (bytesRead === 0) throw missing(path, offset, length, `it ended after ${offset + at}`);
        at += bytesRead;
      }
      return data;
    },
    close: () => handle.close(),
  };
}

/**
 * A file on a server, by range requests.
 * @throws TuttiError FILE_INVALID when the server does not answer, does not say how large the file is, or does not do ranges
 */
export async function urlSource(url: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<ByteSource> {
  const ask = async (first: number, last: number): Promise<Response> => {
    const init = { headers: { range: `bytes=${first}-${last}` }, ...(signal && { signal }) };
    const response = await fetch(url, init).catch((cause: unknown) => {
      throw new TuttiError('FILE_INVALID', `${url} cannot be fetched; check the address and the network`, {
        where: url,
        cause,
      });
    });
    if (response.status === 206) return response;
    await response.body?.cancel();
    throw new TuttiError(
      'FILE_INVALID',
      `${url} answered ${response.status} to a range request; it must answer 206: use a server that does ranges`,
      { where: url, facts: { status: response.status } },
    );
  };
  const head = await ask(0, 0);
  await head.arrayBuffer();
  const size = Number(/\/(\d+)$/.exec(head.headers.get('content-range') ?? '')?.[1] ?? NaN);
  if (!Number.isSafeInteger(size)) {
    throw new TuttiError('FILE_INVALID', `${url} does not say how large it is (no content-range)`, { where: url });
  }
  return {
    name: url,
    bytes: size,
    async read(offset, length) {
      checkRange(url, size, offset, length);
      if (length === 0) return new Uint8Array(0);
      const data = new Uint8Array(await (await ask(offset, offset + length - 1)).arrayBuffer());
      if (data.length !== length) throw missing(url, offset, length, `${data.length} came`);
      return data;
    },
    close: () => Promise.resolve(),
  };
}

function checkRange(name: string, bytes: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > bytes) throw missing(name, offset, length, `it has ${bytes}`);
}

function missing(name: string, offset: number, length: number, why: string): TuttiError {
  return new TuttiError(
    'FILE_INVALID',
    `${name}: bytes ${offset} .. ${offset + length} were asked for, but ${why}; the file is cut short`,
    { where: name, facts: { offset, length } },
  );
}
