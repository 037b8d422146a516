/**
 * What the devices that compute in host memory (Wasm, oracle) have in common: buffers leased from a budget, operations in
 * the order of issue, long runs cut into time slices so that the event loop, an AbortSignal and a progress bar get their
 * turn. An idle device starts a run at once, synchronously, so a short run costs no trip through the event loop.
 */
import { abortedError, DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type {
  Capabilities,
  Device,
  DeviceBuffer,
  DeviceKind,
  DeviceLost,
  KernelBody,
  KernelCall,
  LongCallOptions,
  RunOptions,
} from './device.js';
import { createMemoryBudget } from './memory-budget.js';

export interface HostStorage {
  /** Address of a zero-filled range. */
  allocate(bytes: number): number;
  release(address: number): void;
  /** The live bytes at an address; valid until the next allocation. */
  view(address: number, bytes: number): Uint8Array;
}

export interface HostExecutor {
  /** Whether `slice` may be called for this list at once; otherwise `prepare` is awaited first. */
  ready(calls: readonly KernelCall[]): boolean;
  prepare(kernels: readonly KernelBody[], options?: LongCallOptions): Promise<void>;
  /** Runs some of the steps and returns how many (a promise where other threads do the work). */
  slice(calls: readonly KernelCall[], firstStep: number, steps: number, options: RunOptions): number | Promise<number>;
  close(): Promise<void>;
}

export interface HostBuffer extends DeviceBuffer {
  readonly address: number;
}

export interface HostDeviceParts {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly capabilities: Capabilities;
  readonly memoryBudget: number;
  readonly storage: HostStorage;
  readonly executor: HostExecutor;
}

export interface HostDevice {
  readonly device: Device;
  /** Marks the device as lost: everything in flight and later rejects with DeviceLostError. */
  lose(message: string): void;
}

export function createHostDevice(parts: HostDeviceParts): HostDevice {
  const { id, storage, executor, capabilities } = parts;
  const memory = createMemoryBudget(id, parts.memoryBudget);
  let gone: TuttiError | undefined;
  let resolveLost: (lost: DeviceLost) => void;
  const lost = new Promise<DeviceLost>((resolve) => (resolveLost = resolve));
  let rejectGone: (error: TuttiError) => void;
  const whenGone = new Promise<never>((_, reject) => (rejectGone = reject));
  whenGone.catch(() => {}); // raced against, not awaited, by operations
  const buffers = new Set<HostBuffer>();
  let nextBuffer = 1;
  /** Operations not finished yet, in order; undefined when idle. */
  let tail: Promise<unknown> | undefined;

  const enqueue = <T>(operation: () => T | Promise<T>): Promise<T> => {
    const result = (tail ?? Promise.resolve()).then(() => {
      if (gone) throw gone;
      return Promise.race([operation(), whenGone]);
    });
    const settled: Promise<unknown> = result
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        if (tail === settled) tail = undefined;
      });
    tail = settled;
    return result;
  };

  const own = (buffer: DeviceBuffer, doing: string): HostBuffer => {
    if (gone) throw gone;
    if (buffer.device !== device) {
      throw new TuttiError(
        'KERNEL_ARGUMENT',
        `${doing}: buffer "${buffer.label}" belongs to device ${buffer.device.id}, not to ${id}`,
        { where: id },
      );
    }
    if (buffer.released) {
      throw new TuttiError(
        'BUFFER_RELEASED',
        `${doing}: buffer "${buffer.label}" on ${id} was released; allocate it again`,
        { where: id },
      );
    }
    return buffer as HostBuffer;
  };

  const range = (buffer: DeviceBuffer, offset: number, bytes: number, doing: string): void => {
    if (offset % 4 || offset < 0 || bytes < 0 || offset + bytes > roundUp4(buffer.bytes)) {
      throw new TuttiError(
        'BUFFER_RANGE',
        `${doing}: bytes ${offset}..${offset + bytes} are outside buffer "${buffer.label}" of ${buffer.bytes} B, or not a multiple of 4`,
        { where: id },
      );
    }
  };

  const runSlices = async (calls: readonly KernelCall[], done: number, options: RunOptions): Promise<void> => {
    const { steps = 1, firstStep = 0, signal, onProgress } = options;
    while (done < steps) {
      if (signal?.aborted) throw abortedError(signal, `run on ${id}`);
      if (gone) throw gone;
      done += await executor.slice(calls, firstStep + done, steps - done, options);
      onProgress?.({ done, total: steps, what: 'steps' });
      if (done < steps) await nextTurn();
    }
  };

  const device: Device = {
    id,
    kind: parts.kind,
    capabilities,
    memory,
    lost,
    allocate(bytes, label) {
      if (gone) throw gone;
      if (!Number.isSafeInteger(bytes) || bytes < 0) {
        throw new TuttiError(
          'KERNEL_ARGUMENT',
          `allocate("${label}"): size must be a whole number of bytes >= 0, got ${bytes}`,
          { where: id },
        );
      }
      if (bytes > capabilities.maxBufferBytes) {
        throw new TuttiError(
          'LIMIT_EXCEEDED',
          `allocate("${label}"): ${bytes} B exceed the largest buffer of ${id}, ${capabilities.maxBufferBytes} B`,
          {
            where: id,
            facts: { need: bytes, limit: capabilities.maxBufferBytes },
          },
        );
      }
      const lease = memory.lease(roundUp4(bytes), label);
      let address: number;
      try {
        address = storage.allocate(Math.max(4, roundUp4(bytes)));
      } catch (error) {
        lease.release();
        throw error;
      }
      let released = false;
      const buffer: HostBuffer = {
        device,
        id: nextBuffer++,
        bytes,
        label,
        address,
        get released() {
          return released;
        },
        release() {
          if (released) return;
          released = true;
          buffers.delete(buffer);
          if (gone) return;
          lease.release();
          // Operations issued earlier may still use the range.
          if (tail) void tail.then(() => gone ?? storage.release(address));
          else storage.release(address);
        },
      };
      buffers.add(buffer);
      return buffer;
    },
    write(buffer, data, byteOffset = 0) {
      const target = own(buffer, 'write');
      range(buffer, byteOffset, data.byteLength, 'write');
      const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (!tail) storage.view(target.address + byteOffset, data.byteLength).set(source);
      else {
        const copy = source.slice();
        enqueue(() => storage.view(target.address + byteOffset, copy.length).set(copy)).catch(() => {}); // a lost device answers at the next read
      }
    },
    async read(buffer, byteOffset = 0, bytes = roundUp4(buffer.bytes) - byteOffset) {
      const source = own(buffer, 'read');
      range(buffer, byteOffset, bytes, 'read');
      const copy = (): ArrayBuffer => {
        const out = new Uint8Array(bytes);
        out.set(storage.view(source.address + byteOffset, bytes));
        return out.buffer;
      };
      return tail ? enqueue(copy) : copy();
    },
    async run(calls, options = {}) {
      const { steps = 1, firstStep = 0, signal } = options;
      if (gone) throw gone;
      throwIfAborted(signal, `run on ${id}`);
      if (!Number.isSafeInteger(steps) || steps < 0 || !Number.isSafeInteger(firstStep)) {
        throw new TuttiError(
          'OPTION_INVALID',
          `run on ${id}: steps must be a whole number >= 0 and firstStep a whole number, got ${steps}, ${firstStep}`,
        );
      }
      for (const call of calls) for (const buffer of call.buffers) own(buffer, `kernel ${call.kernel.name}`);
      if (calls.length === 0 || steps === 0) return tail ? enqueue(() => {}) : undefined;
      if (!tail && executor.ready(calls)) {
        const first = executor.slice(calls, firstStep, steps, options);
        if (first === steps) {
          options.onProgress?.({ done: steps, total: steps, what: 'steps' });
          return;
        }
        return enqueue(async () => {
          const done = await first;
          options.onProgress?.({ done, total: steps, what: 'steps' });
          if (done < steps) await nextTurn();
          await runSlices(calls, done, options);
        });
      }
      return enqueue(async () => {
        if (!executor.ready(calls)) await executor.prepare(kernelsOf(calls));
        await runSlices(calls, 0, options);
      });
    },
    async warmup(kernels, options) {
      if (gone) throw gone;
      await Promise.race([executor.prepare(kernels, options), whenGone]);
    },
    async close() {
      if (gone) return;
      end(new TuttiError('DEVICE_CLOSED', `device ${id} was closed by its owner`, { where: id }), {
        reason: 'destroyed',
        message: 'closed by its owner',
      });
      await executor.close();
    },
    [Symbol.asyncDispose]: () => device.close(),
  };

  const end = (error: TuttiError, why: DeviceLost): void => {
    gone = error;
    rejectGone(error);
    resolveLost(why);
    buffers.clear();
  };

  return {
    device,
    lose(message) {
      if (gone) return;
      end(new DeviceLostError(id, message), { reason: 'lost', message });
      void executor.close();
    },
  };
}

export function kernelsOf(calls: readonly KernelCall[]): readonly KernelBody[] {
  return [...new Set(calls.map((call) => call.kernel))];
}

function roundUp4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

/** Lets timers, input and signals in. */
function nextTurn(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}
