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

/**
 * @param onFailure called once when a worker dies or throws; the memory is then in an unknown state
 * @throws TuttiError DEVICE_UNAVAILABLE when a worker cannot be started; those that were are ended
 */
export async function startWasmThreads(
  count: number,
  workerUrl: string | URL | undefined,
  onFailure: (why: string) => void,
): Promise<WasmThreads> {
  const ports: Port[] = [];
  /** Why nothing is answered any more. */
  let over: TuttiError | undefined;
  let waiting: ((error: TuttiError) => void) | undefined;
  const fail = (why: string): void => {
    if (over) return;
    over = new TuttiError('DEVICE_FAILED', why);
    waiting?.(over);
    onFailure(why);
  };
  const close = async (): Promise<void> => {
    over ??= new TuttiError('DEVICE_CLOSED', 'the worker threads were ended');
    waiting?.(over);
    await Promise.all(ports.map((port) => port.terminate()));
  };
  try {
    for (let i = 0; i < count; i++) {
      const port = await openPort(workerUrl);
      port.onFailure(fail);
      ports.push(port);
    }
  } catch (cause) {
    await close();
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      `worker threads cannot be started: ${String(cause)}; pass a workerUrl that may be loaded, or threads: 1`,
      { cause },
    );
  }
  const exchange = (message: (thread: number) => object): Promise<readonly ThreadReply[]> =>
    new Promise((resolve, reject) => {
      if (over) throw over;
      const replies: ThreadReply[] = [];
      waiting = reject;
      ports.forEach((port, thread) => {
        port.hold(true);
        port.onMessage((reply) => {
          port.hold(false);
          if (reply.kind === 'error') return fail(`a worker thread failed: ${reply.message}`);
          replies.push(reply);
          if (replies.length < count) return;
          waiting = undefined;
          resolve(replies);
        });
        port.post(message(thread));
      });
    });
  let last: Promise<unknown> = Promise.resolve();
  return {
    count,
    ask(message) {
      // A run and the loading of another module may be asked for at once; replies do not say which they answer.
      const answered = last.then(() => exchange(message));
      last = answered.catch(() => {});
      return answered;
    },
    close,
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
