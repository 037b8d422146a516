/**
 * Worker threads that share a Wasm device's memory, in Node (worker_threads) and in browsers (Web Workers) alike. The worker
 * is a self-contained script, so that it starts from a bundled page, from a CDN and under Node without a file of its own; a
 * page whose content security policy forbids blob: workers passes `workerUrl`, a file with `wasmWorkerSource` in it.
 */
import { TuttiError } from '../errors.js';

/** Source of the worker script (classic script, no imports). */
export const wasmWorkerSource = `
const port = typeof postMessage === 'function' ? self : require('node:worker_threads').parentPort;
let memory, table, run;
const handle = (m) => {
  try {
    if (m.kind === 'start') {
      memory = m.memory;
      table = new WebAssembly.Table({ element: 'anyfunc', initial: m.tableSize });
    } else if (m.kind === 'load') {
      const { exports } = new WebAssembly.Instance(m.module, { env: { memory, table } });
      for (const [name, index] of m.functions) table.set(index, exports[name]);
      run = exports.runCommands;
    } else if (m.kind === 'run') {
      const steps = run(m.list, m.calls, m.steps, m.firstStep, m.thread, m.threads, m.control);
      port.postMessage({ kind: 'done', steps });
      return;
    }
    port.postMessage({ kind: 'ok' });
  } catch (error) {
    port.postMessage({ kind: 'error', message: String(error && error.stack || error) });
  }
};
if (port.on) port.on('message', handle); else port.onmessage = (event) => handle(event.data);
`;

export interface ThreadReply {
  readonly kind: 'ok' | 'done' | 'error';
  readonly steps?: number;
  readonly message?: string;
}

export interface WasmThreads {
  readonly count: number;
  /** Sends one message to each thread (made from its index) and resolves with all replies. */
  ask(message: (thread: number) => object): Promise<readonly ThreadReply[]>;
  close(): Promise<void>;
}

interface Port {
  post(message: object): void;
  onMessage(listener: (reply: ThreadReply) => void): void;
  onFailure(listener: (why: string) => void): void;
  /** Whether this worker keeps a Node process alive. */
  hold(alive: boolean): void;
  terminate(): Promise<void>;
}

/** @param onFailure called once when a worker dies or throws; the memory is then in an unknown state */
export async function startWasmThreads(
  count: number,
  workerUrl: string | URL | undefined,
  onFailure: (why: string) => void,
): Promise<WasmThreads> {
  const ports: Port[] = [];
  let waiting: ((error: TuttiError) => void) | undefined;
  let closed = false;
  const fail = (why: string): void => {
    if (closed) return;
    waiting?.(new TuttiError('DEVICE_FAILED', why));
    onFailure(why);
  };
  for (let i = 0; i < count; i++) {
    const port = await openPort(workerUrl);
    port.onFailure(fail);
    ports.push(port);
  }
  return {
    count,
    ask(message) {
      return new Promise((resolve, reject) => {
        const replies: ThreadReply[] = [];
        waiting = reject;
        ports.forEach((port, thread) => {
          port.hold(true);
          port.onMessage((reply) => {
            port.hold(false);
            if (reply.kind === 'error') return fail(`a worker thread failed: ${reply.message}`);
            replies.push(reply);
            if (replies.length === count) {
              waiting = undefined;
              resolve(replies);
            }
          });
          port.post(message(thread));
        });
      });
    },
    async close() {
      closed = true;
      await Promise.all(ports.map((port) => port.terminate()));
    },
  };
}

async function openPort(workerUrl: string | URL | undefined): Promise<Port> {
  if (typeof Worker === 'function') {
    const blob =
      workerUrl === undefined
        ? URL.createObjectURL(new Blob([wasmWorkerSource], { type: 'text/javascript' }))
        : undefined;
    const worker = new Worker(blob ?? workerUrl!);
    return {
      post: (message) => worker.postMessage(message),
      onMessage(listener) {
        worker.onmessage = (event: MessageEvent<ThreadReply>) => {
          if (blob) URL.revokeObjectURL(blob);
          listener(event.data);
        };
      },
      onFailure(listener) {
        worker.onerror = (event) => listener(`a worker thread failed: ${event.message || 'its script did not load'}`);
      },
      hold: () => {},
      terminate: async () => worker.terminate(),
    };
  }
  // The specifier is computed so that bundlers for browsers, where this line never runs, leave it alone.
  const specifier = ['node', 'worker_threads'].join(':');
  const threads = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ specifier
  )) as typeof import('node:worker_threads');
  const worker =
    workerUrl === undefined
      ? new threads.Worker(wasmWorkerSource, { eval: true })
      : new threads.Worker(new URL(workerUrl));
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    onMessage(listener) {
      worker.removeAllListeners('message');
      worker.on('message', listener);
      // A message listener references the worker again.
    },
    onFailure(listener) {
      worker.on('error', (error) => listener(`a worker thread failed: ${error.message}`));
      worker.on('exit', (code) => listener(`a worker thread exited with code ${code}`));
    },
    hold(alive) {
      if (alive) worker.ref();
      else worker.unref();
    },
    async terminate() {
      await worker.terminate();
    },
  };
}
