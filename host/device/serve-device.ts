/**
 * The worker's side of a remote device: realises the client's messages on a real device, in the order in which they come.
 * Nothing is awaited between messages; the device's own ordering does the rest. Kernels travel by name, so the worker says
 * which it has.
 *
 * In a worker: `serveDevice(parentPort ?? self, createWebGpuDevice(), snnKernels())`.
 */
import { TuttiError } from '../errors.js';
import type { Device, DeviceBuffer, KernelBody, KernelCall, LongCallOptions } from './device.js';
import { openWire, type RemotePort } from './remote-port.js';
import { packError, type ClientMessage, type ServerMessage } from './remote-protocol.js';

export interface ServedDevice {
  /** Resolves when the client has closed the device, or is gone, and everything is released. Never rejects. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves `device` to the one client at the other end of `port`; the device is dedicated to that client and is closed with it.
 * A promise of a device may be given: the client waits for it and gets its error where it rejects.
 * @param kernels every kernel that the client may run or warm up
 * @throws TuttiError OPTION_INVALID when two different kernels have one name
 */
export function serveDevice(
  port: RemotePort,
  device: Device | Promise<Device>,
  kernels: readonly KernelBody[],
): ServedDevice {
  const bodies = new Map<string, KernelBody>();
  for (const body of kernels) {
    if (bodies.has(body.name) && bodies.get(body.name) !== body) {
      throw new TuttiError(
        'OPTION_INVALID',
        `serveDevice: two different kernels are named "${body.name}"; remote kernels travel by name`,
        {
          where: body.name,
        },
      );
    }
    bodies.set(body.name, body);
  }
  const opening = Promise.resolve(device);
  let open: Device | undefined;
  let asked = false;
  let closing: Promise<void> | undefined;
  let releaseLock = (): void => {};
  /** A buffer that could not be allocated or written answers every later use with its error. */
  const buffers = new Map<number, DeviceBuffer | TuttiError>();
  const lists = new Map<number, readonly KernelCall[] | TuttiError>();
  const aborts = new Map<number, AbortController>();
  let resolveClosed: () => void;
  const closed = new Promise<void>((resolve) => (resolveClosed = resolve));

  const close = (): Promise<void> =>
    (closing ??= (async () => {
      try {
        await (await opening).close();
      } catch {
        // A device that never opened, or that fails while closing, has nothing left to release.
      }
      if (reachable) wire.post({ kind: 'closed' });
      wire.detach();
      releaseLock();
      resolveClosed();
    })());

  let reachable = true;
  const wire = openWire<ClientMessage, ServerMessage>(
    port,
    (message) => handle(message),
    () => {
      reachable = false;
      void close();
    },
  );

  const start = async (lock: string): Promise<void> => {
    try {
      const locked = lock !== '' && (await holdLock(lock));
      open = await opening;
      if (closing) return;
      wire.post({
        kind: 'ready',
        id: open.id,
        deviceKind: open.kind,
        capabilities: open.capabilities,
        budget: open.memory.budget - open.memory.inUse,
        kernels: [...bodies.keys()],
        locked,
      });
      const lost = await open.lost;
      if (!closing && reachable) wire.post({ kind: 'lost', lost });
    } catch (error) {
      if (reachable) wire.post({ kind: 'unavailable', error: packError(error) });
      await close();
    }
  };

  /** Holds a Web Lock until this worker ends, which is how a page finds out that it has. */
  const holdLock = (name: string): Promise<boolean> =>
    new Promise((granted) => {
      const locks = (globalThis.navigator as Navigator | undefined)?.locks;
      if (!locks) return granted(false);
      locks
        .request(name, () => {
          granted(true);
          return new Promise<void>((release) => (releaseLock = release));
        })
        .catch(() => granted(false));
    });

  const bufferOf = (id: number): DeviceBuffer => {
    const buffer = buffers.get(id);
    if (buffer instanceof TuttiError) throw buffer;
    if (!buffer)
      throw new TuttiError('BUFFER_RELEASED', `remote buffer ${id} is not allocated`, { where: open?.id ?? 'device' });
    return buffer;
  };

  const bodyOf = (name: string): KernelBody => {
    const body = bodies.get(name);
    if (!body)
      throw new TuttiError('KERNEL_UNSUPPORTED', `kernel "${name}" is not served; give it to serveDevice`, {
        where: name,
      });
    return body;
  };

  const answer = (ask: number, work: () => Promise<ArrayBuffer | void>): void => {
    // Called at once: the device sees operations in the order of their messages.
    const working = new Promise<ArrayBuffer | void>((resolve) => resolve(work()));
    working
      .then(
        (value) =>
          value instanceof ArrayBuffer
            ? wire.post({ kind: 'answer', ask, value }, [value])
            : wire.post({ kind: 'answer', ask }),
        (error: unknown) => wire.post({ kind: 'failed', ask, error: packError(error) }),
      )
      .finally(() => aborts.delete(ask));
  };

  const longCall = (ask: number, progress: boolean): LongCallOptions => {
    const controller = new AbortController();
    aborts.set(ask, controller);
    return {
      signal: controller.signal,
      ...(progress ? { onProgress: (at) => wire.post({ kind: 'progress', ask, progress: at }) } : {}),
    };
  };

  const allocate = (id: number, bytes: number, label: string): void => {
    const { memory } = open!;
    const before = memory.inUse;
    try {
      buffers.set(id, open!.allocate(bytes, label));
      if (memory.inUse - before !== bytes) wire.post({ kind: 'leased', buffer: id, bytes: memory.inUse - before });
    } catch (error) {
      buffers.set(id, asTuttiError(error));
    }
  };

  const handle = (message: ClientMessage): void => {
    if (message.kind === 'open') {
      if (!asked) void start(message.lock);
      asked = true;
      return;
    }
    if (message.kind === 'close') return void close();
    if (!open || closing) return;
    switch (message.kind) {
      case 'allocate':
        return allocate(message.buffer, message.bytes, message.label);
      case 'release': {
        const buffer = buffers.get(message.buffer);
        buffers.delete(message.buffer);
        if (buffer && !(buffer instanceof TuttiError)) buffer.release();
        return;
      }
      case 'write':
        try {
          open.write(bufferOf(message.buffer), new Uint8Array(message.data), message.offset);
        } catch (error) {
          const failed = buffers.get(message.buffer);
          if (failed && !(failed instanceof TuttiError)) failed.release();
          buffers.set(message.buffer, asTuttiError(error));
        }
        return;
      case 'read':
        return answer(message.ask, () => open!.read(bufferOf(message.buffer), message.offset, message.bytes));
      case 'list':
        try {
          const calls = message.calls.map((call) => ({
            kernel: bodyOf(call.kernel),
            buffers: call.buffers.map(bufferOf),
            scalars: call.scalars,
          }));
          lists.set(message.list, calls);
        } catch (error) {
          lists.set(message.list, asTuttiError(error));
        }
        return;
      case 'forget':
        return void lists.delete(message.list);
      case 'run':
        return answer(message.ask, () => {
          const calls = lists.get(message.list);
          if (calls instanceof TuttiError) throw calls;
          if (!calls)
            throw new TuttiError('KERNEL_ARGUMENT', `remote list ${message.list} is not known`, { where: open!.id });
          const { steps, firstStep } = message;
          return open!.run(calls, { steps, firstStep, ...longCall(message.ask, message.progress) });
        });
      case 'warmup':
        return answer(message.ask, () =>
          open!.warmup(message.kernels.map(bodyOf), longCall(message.ask, message.progress)),
        );
      case 'abort':
        return void aborts.get(message.ask)?.abort();
    }
  };

  // The other side may be listening already, or not yet; it asks to open in both cases.
  wire.post({ kind: 'hello' });
  opening.catch(() => {}); // reported to the client when it asks
  return { closed, close };
}

function asTuttiError(error: unknown): TuttiError {
  if (error instanceof TuttiError) return error;
  return new TuttiError(
    'DEVICE_FAILED',
    `the device failed: ${error instanceof Error ? error.message : String(error)}`,
    { cause: error },
  );
}
