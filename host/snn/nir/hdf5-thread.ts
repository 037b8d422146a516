/**
 * HDF5 files read in a worker thread of Node. Damaged files can trap the library, after which its memory is not to be trusted, and can keep it
 * busy for ever; a thread can be ended. It is kept for the next file otherwise, and does not keep the process alive.
 */
import { readTree, type Hdf5Answer } from './hdf5-tree.js';

const source = `
const { parentPort, workerData } = require('node:worker_threads');
// Bundlers that keep names wrap functions in a call of this.
const __name = (value) => value;
const readTree = ${readTree.toString()};
const loaded = import(workerData).then(async (library) => {
  (await library.ready).activate_throwing_error_handler();
  return library;
});
let files = 0;
parentPort.on('message', async (bytes) => {
  try {
    const library = await loaded;
    parentPort.postMessage(readTree(library, library.FS, bytes, 'file-' + files++));
  } catch (error) {
    parentPort.postMessage({ refusal: 'cannot be read: ' + error, broken: true });
  }
});
`;

interface Thread {
  postMessage(bytes: Uint8Array): void;
  on(event: string, listener: (value: unknown) => void): void;
  off(event: string, listener: (value: unknown) => void): void;
  terminate(): Promise<unknown>;
  ref(): void;
  unref(): void;
}

export function inNode(): boolean {
  const { process } = globalThis as { readonly process?: { readonly versions?: { readonly node?: string } } };
  return process?.versions?.node !== undefined;
}

let thread: Thread | undefined;
let queue: Promise<unknown> = Promise.resolve();

/** One file at a time. `timeLimit` is in seconds. */
export function readInThread(bytes: Uint8Array, timeLimit: number): Promise<Hdf5Answer> {
  const answer = queue.then(() => read(bytes, timeLimit));
  queue = answer.catch(() => {});
  return answer;
}

async function read(bytes: Uint8Array, timeLimit: number): Promise<Hdf5Answer> {
  const on = (thread ??= await start());
  on.ref();
  const listeners: [string, (value: unknown) => void][] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const answer = await new Promise<Hdf5Answer>((resolve) => {
    const fail = (what: string): void => resolve({ refusal: what, broken: true });
    const seconds = `${timeLimit} s`;
    timer = setTimeout(
      () => fail(`took more than ${seconds} to read, as damaged files do; give a larger timeLimit if it is sound`),
      1000 * timeLimit,
    );
    listeners.push(
      ['message', (reply) => resolve(reply as Hdf5Answer)],
      ['error', (error) => fail(`cannot be read: ${String(error)}`)],
      ['exit', (code) => fail(`cannot be read: its thread ended with code ${String(code)}`)],
    );
    for (const [event, listener] of listeners) on.on(event, listener);
    on.postMessage(bytes);
  });
  clearTimeout(timer);
  for (const [event, listener] of listeners) on.off(event, listener);
  if ('broken' in answer && answer.broken) {
    thread = undefined;
    await on.terminate();
  } else on.unref();
  return answer;
}

async function start(): Promise<Thread> {
  // Computed, so that bundlers for browsers leave it alone.
  const specifier = ['node', 'worker_threads'].join(':');
  const { Worker } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as {
    Worker: new (source: string, options: { eval: boolean; workerData: string }) => Thread;
  };
  return new Worker(source, { eval: true, workerData: import.meta.resolve(['h5', 'wasm'].join('')) });
}
