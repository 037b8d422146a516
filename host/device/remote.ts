/**
 * A device that lives in another thread: the same `Device` interface over a message port. `allocate`, `write`, `run` and
 * `release` are ordered messages that nobody waits for, so a pipeline costs no round trip; only `read`, and the settling of
 * `run` and `warmup`, are answered. The remote device is dedicated to this client, therefore the client can keep the books
 * of its memory: an allocation is granted or refused here and now, and the other side realises it in order.
 */
import { abortedError, DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import { checkAllocation, checkBuffer, checkRange, checkRun, closedError, roundUp4 } from './arguments.js';
import type { Device, DeviceBuffer, DeviceLost, KernelCall, LongCallOptions, Progress } from './device.js';
import { createMemoryBudget } from './memory-budget.js';
import { openWire, type RemotePort } from './remote-port.js';
import { unpackError, type ClientMessage, type ServerMessage } from './remote-protocol.js';

export interface RemoteDeviceOptions {
  /** Default: the id that the device has in its worker. */
  readonly id?: string;
  /** Also end the other side when the device is closed or lost: terminate the Worker, close the MessagePort. Default false. */
  readonly terminate?: boolean;
  readonly signal?: AbortSignal;
}

interface Question {
  readonly resolve: (value: ArrayBuffer | undefined) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

type Ready = Extract<ServerMessage, { kind: 'ready' }>;

/** Lists of kernel calls that the other side remembers, so that an engine sends each of its lists once. */
const REMEMBERED_LISTS = 64;

/**
 * Connects to the device that `serveDevice` serves at the other end of `port` and resolves when it is ready.
 * @throws what opening the device in the worker threw; DeviceLostError when the worker ends first; TuttiError ABORTED
 */
export function createRemoteDevice(port: RemotePort, options: RemoteDeviceOptions = {}): Promise<Device> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    throwIfAborted(signal, 'opening a remote device');
    const lock = typeof port.on === 'function' ? '' : `tutti-device-${Math.random().toString(36).slice(2)}`;
    let receive = (message: ServerMessage): void => {
      if (message.kind === 'hello') wire.post({ kind: 'open', lock });
      else if (message.kind === 'unavailable') fail(unpackError(message.error));
      else if (message.kind === 'closed') fail(new DeviceLostError(name, 'its worker closed it'));
      else if (message.kind === 'ready') {
        signal?.removeEventListener('abort', abort);
        const client = connect(message, wire, options);
        receive = client.receive;
        die = client.die;
        if (message.locked) watchLock(lock, client.device, client.die);
        resolve(client.device);
      }
    };
    const name = options.id ?? 'remote device';
    const fail = (error: TuttiError): void => {
      signal?.removeEventListener('abort', abort);
      if (options.terminate) wire.end();
      else wire.detach();
      reject(error);
    };
    let die = (why: string): void => fail(new DeviceLostError(name, why));
    const wire = openWire<ServerMessage, ClientMessage>(
      port,
      (message) => receive(message),
      (why) => die(why),
    );
    const abort = (): void => {
      wire.post({ kind: 'close' });
      fail(abortedError(signal!, `opening ${name}`));
    };
    signal?.addEventListener('abort', abort, { once: true });
    wire.post({ kind: 'open', lock });
  });
}

type ClientWire = ReturnType<typeof openWire<ServerMessage, ClientMessage>>;

interface Client {
  readonly device: Device;
  readonly receive: (message: ServerMessage) => void;
  readonly die: (why: string) => void;
}

function connect(ready: Ready, wire: ClientWire, options: RemoteDeviceOptions): Client {
  const id = options.id ?? ready.id;
  const { capabilities } = ready;
  const memory = createMemoryBudget(id, ready.budget);
  const kernels = new Set(ready.kernels);
  const questions = new Map<number, Question>();
  const leases = new Map<number, ReturnType<typeof memory.lease>>();
  /** Insertion order is age. */
  const lists = new Map<readonly KernelCall[], number>();
  let next = 1;
  let gone: TuttiError | undefined;
  let closing: Promise<void> | undefined;
  let onClosed = (): void => {};
  let resolveLost: (lost: DeviceLost) => void;
  const lost = new Promise<DeviceLost>((resolve) => (resolveLost = resolve));

  const end = (error: TuttiError, why: DeviceLost): void => {
    if (gone) return;
    gone = error;
    lists.clear();
    leases.clear();
    for (const question of questions.values()) question.reject(error);
    questions.clear();
    resolveLost(why);
  };

  const disconnect = (): void => {
    if (options.terminate) wire.end();
    else wire.detach();
    onClosed();
  };

  const die = (why: string): void => {
    end(new DeviceLostError(id, why), { reason: 'lost', message: why });
    disconnect();
  };

  const ask = (
    message: (ask: number) => ClientMessage,
    doing: string,
    { signal, onProgress }: LongCallOptions = {},
  ): Promise<ArrayBuffer | undefined> =>
    new Promise((resolve, reject) => {
      if (gone) throw gone;
      throwIfAborted(signal, doing);
      const number = next++;
      const abort = (): void => wire.post({ kind: 'abort', ask: number });
      const settle =
        <T>(how: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', abort);
          how(value);
        };
      questions.set(number, {
        resolve: settle(resolve),
        // The worker's signal is not the caller's: its reason stays on this side.
        reject: settle((error: unknown) => {
          const aborted = error instanceof TuttiError && error.code === 'ABORTED' && signal?.aborted;
          reject(aborted ? abortedError(signal, doing) : (error as Error));
        }),
        onProgress,
      });
      signal?.addEventListener('abort', abort, { once: true });
      wire.post(message(number));
    });

  const receive = (message: ServerMessage): void => {
    if (message.kind === 'closed') {
      if (!closing) die('its worker closed it');
      else disconnect();
      return;
    }
    if (message.kind === 'lost') {
      const { lost: why } = message;
      if (why.reason === 'lost') end(new DeviceLostError(id, why.message), why);
      else end(closedError(id), why);
      wire.post({ kind: 'close' }); // its worker may let go of the rest; it answers with 'closed'
      return;
    }
    if (message.kind === 'leased') {
      try {
        leases.get(message.buffer)?.resize(message.bytes);
      } catch {
        // The books are full; the other side holds the memory all the same and refuses what no longer fits.
      }
      return;
    }
    if (message.kind !== 'answer' && message.kind !== 'failed' && message.kind !== 'progress') return;
    const question = questions.get(message.ask);
    if (!question) return;
    if (message.kind === 'progress') {
      try {
        question.onProgress?.(message.progress);
      } catch (error) {
        // It is the caller who has to hear of it; the work over there is of no use any more.
        questions.delete(message.ask);
        wire.post({ kind: 'abort', ask: message.ask });
        question.reject(error);
      }
      return;
    }
    questions.delete(message.ask);
    if (message.kind === 'answer') question.resolve(message.value);
    else question.reject(unpackError(message.error));
  };

  const own = (buffer: DeviceBuffer, doing: string): void => {
    if (gone) throw gone;
    checkBuffer(device, buffer, doing);
  };

  const served = (kernel: string): void => {
    if (kernels.has(kernel)) return;
    throw new TuttiError(
      'KERNEL_UNSUPPORTED',
      `kernel "${kernel}" is not served by the worker of ${id}; give it to serveDevice there`,
      {
        where: kernel,
        facts: { served: ready.kernels },
      },
    );
  };

  /** The number under which the other side knows this list. */
  const listOf = (calls: readonly KernelCall[]): number => {
    let list = lists.get(calls);
    if (list !== undefined) return list;
    for (const call of calls) served(call.kernel.name);
    if (lists.size >= REMEMBERED_LISTS) {
      const [oldest, number] = lists.entries().next().value!;
      lists.delete(oldest);
      wire.post({ kind: 'forget', list: number });
    }
    list = next++;
    lists.set(calls, list);
    wire.post({
      kind: 'list',
      list,
      calls: calls.map((call) => ({
        kernel: call.kernel.name,
        buffers: call.buffers.map((buffer) => buffer.id),
        scalars: call.scalars,
      })),
    });
    return list;
  };

  const device: Device = {
    id,
    kind: ready.deviceKind,
    capabilities,
    memory,
    lost,
    allocate(bytes, label) {
      if (gone) throw gone;
      checkAllocation(id, capabilities, bytes, label);
      const lease = memory.lease(roundUp4(bytes), label);
      const number = next++;
      leases.set(number, lease);
      let released = false;
      wire.post({ kind: 'allocate', buffer: number, bytes, label });
      return {
        device,
        id: number,
        bytes,
        label,
        get released() {
          return released;
        },
        release() {
          if (released) return;
          released = true;
          lease.release();
          if (gone) return;
          leases.delete(number);
          wire.post({ kind: 'release', buffer: number });
        },
      };
    },
    write(buffer, data, byteOffset = 0) {
      own(buffer, 'write');
      checkRange(buffer, byteOffset, data.byteLength, 'write');
      const copy = new Uint8Array(data.byteLength);
      copy.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      wire.post({ kind: 'write', buffer: buffer.id, offset: byteOffset, data: copy.buffer }, [copy.buffer]);
    },
    async read(buffer, byteOffset = 0, bytes = roundUp4(buffer.bytes) - byteOffset) {
      own(buffer, 'read');
      checkRange(buffer, byteOffset, bytes, 'read');
      return (await ask(
        (number) => ({ kind: 'read', ask: number, buffer: buffer.id, offset: byteOffset, bytes }),
        'read',
      ))!;
    },
    async run(calls, runOptions = {}) {
      const { steps = 1, firstStep = 0, signal, onProgress } = runOptions;
      if (gone) throw gone;
      checkRun(device, calls, runOptions);
      const list = listOf(calls);
      const progress = onProgress !== undefined;
      await ask((number) => ({ kind: 'run', ask: number, list, steps, firstStep, progress }), `run on ${id}`, {
        signal,
        onProgress,
      });
    },
    async warmup(wanted, { signal, onProgress } = {}) {
      if (gone) throw gone;
      for (const kernel of wanted) served(kernel.name);
      const names = wanted.map((kernel) => kernel.name);
      await ask(
        (number) => ({ kind: 'warmup', ask: number, kernels: names, progress: onProgress !== undefined }),
        `warming up ${id}`,
        {
          signal,
          onProgress,
        },
      );
    },
    close() {
      return (closing ??= new Promise<void>((resolve) => {
        onClosed = resolve;
        const alreadyLost = gone !== undefined;
        end(closedError(id), { reason: 'destroyed', message: 'closed by its owner' });
        // A lost device's worker may still be there to release the rest, or be gone: it is told, not waited for.
        wire.post({ kind: 'close' });
        if (alreadyLost) disconnect();
      }));
    },
    [Symbol.asyncDispose]: () => device.close(),
  };
  return { device, receive, die };
}

/**
 * A terminated Web Worker says nothing, but its Web Locks become free. Where the two sides turn out not to share their
 * locks (another origin), there is nothing to watch.
 */
function watchLock(name: string, device: Device, die: (why: string) => void): void {
  const locks = globalThis.navigator.locks as LockManager | undefined;
  if (!locks) return;
  const watching = new AbortController();
  void device.lost.then(() => watching.abort());
  void locks
    .request(name, { ifAvailable: true }, (free) => free !== null)
    .then((shared) => {
      if (shared) return undefined;
      return locks.request(name, { signal: watching.signal }, () => die('its worker ended'));
    })
    .catch(() => {}); // aborted: the device is gone already
}
