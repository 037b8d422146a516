/**
 * What the devices that compute in host memory (Wasm, oracle) have in common: buffers leased from a budget, operations in
 * the order of issue, long runs cut into time slices so that the event loop, an AbortSignal and a progress bar get their
 * turn. An idle device starts a run at once, synchronously, so a short run costs no trip through the event loop.
 */
import { abortedError, DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import {
  checkAllocation,
  checkBuffer,
  checkRange,
  checkRun,
  closedError,
  createLifetime,
  createOperationQueue,
  roundUp4,
} from './arguments.js';
import type {
  Capabilities,
  Device,
  DeviceBuffer,
  DeviceKind,
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
  const life = createLifetime();
  const operations = createOperationQueue(life);
  let nextBuffer = 1;
  const own = (buffer: DeviceBuffer, doing: string): HostBuffer => {
    life.check();
    checkBuffer(device, buffer, doing);
    return buffer as HostBuffer;
  };

  const runSlices = async (calls: readonly KernelCall[], done: number, options: RunOptions): Promise<void> => {
    const { steps = 1, firstStep = 0, signal, onProgress } = options;
    while (done < steps) {
      if (signal?.aborted) throw abortedError(signal, `run on ${id}`);
      life.check();
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
    lost: life.lost,
    allocate(bytes, label) {
      life.check();
      checkAllocation(id, capabilities, bytes, label);
      const lease = memory.lease(roundUp4(bytes), label);
      let address: number;
      try {
        address = storage.allocate(Math.max(4, roundUp4(bytes)));
      } catch (cause) {
        lease.release();
        if (cause instanceof TuttiError) throw cause;
        throw new TuttiError('MEMORY_REFUSED', `the host has no ${bytes} B left for "${label}" on ${id}`, {
          where: id,
          cause,
        });
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
          lease.release();
          // Operations issued earlier may still use the range.
          operations.after(() => life.gone ?? storage.release(address));
        },
      };
      return buffer;
    },
    write(buffer, data, byteOffset = 0) {
      const target = own(buffer, 'write');
      checkRange(buffer, byteOffset, data.byteLength, 'write');
      const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (!operations.busy) storage.view(target.address + byteOffset, data.byteLength).set(source);
      else {
        const copy = source.slice();
        operations.add(() => storage.view(target.address + byteOffset, copy.length).set(copy)).catch(() => {}); // a lost device answers at the next read
      }
    },
    async read(buffer, byteOffset = 0, bytes = roundUp4(buffer.bytes) - byteOffset) {
      const source = own(buffer, 'read');
      checkRange(buffer, byteOffset, bytes, 'read');
      const copy = (): ArrayBuffer => {
        const out = new Uint8Array(bytes);
        out.set(storage.view(source.address + byteOffset, bytes));
        return out.buffer;
      };
      return operations.busy ? operations.add(copy) : copy();
    },
    async run(calls, options = {}) {
      const { steps = 1, firstStep = 0 } = options;
      life.check();
      checkRun(device, calls, options);
      if (calls.length === 0 || steps === 0) return operations.busy ? operations.add(() => {}) : undefined;
      if (!operations.busy && executor.ready(calls)) {
        const first = executor.slice(calls, firstStep, steps, options);
        if (first === steps) {
          options.onProgress?.({ done: steps, total: steps, what: 'steps' });
          return;
        }
        return operations.add(async () => {
          const done = await first;
          options.onProgress?.({ done, total: steps, what: 'steps' });
          if (done < steps) await nextTurn();
          await runSlices(calls, done, options);
        });
      }
      return operations.add(async () => {
        if (!executor.ready(calls)) await executor.prepare(kernelsOf(calls));
        await runSlices(calls, 0, options);
      });
    },
    async warmup(kernels, options) {
      life.check();
      throwIfAborted(options?.signal, `warming up ${id}`);
      await Promise.race([executor.prepare(kernels, options), life.whenGone]);
    },
    async close() {
      if (!life.end(closedError(id), { reason: 'destroyed', message: 'closed by its owner' })) return;
      await executor.close();
    },
    [Symbol.asyncDispose]: () => device.close(),
  };

  return {
    device,
    lose(message) {
      if (!life.end(new DeviceLostError(id, message), { reason: 'lost', message })) return;
      void executor.close();
    },
  };
}

export function kernelsOf(calls: readonly KernelCall[]): readonly KernelBody[] {
  return [...new Set(calls.map((call) => call.kernel))];
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
