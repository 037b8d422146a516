/**
 * WebAssembly as a device: SIMD kernels over one linear memory, one thread in place or several workers that meet at a
 * barrier after every kernel. Lists of kernel calls are laid out in the memory once and run by `runCommands` there.
 */
import { abortedError, TuttiError, throwIfAborted } from '../errors.js';
import type { Capabilities, Device, KernelBody, KernelCall, LongCallOptions, RunOptions } from './device.js';
import { createHostDevice, type HostBuffer, type HostDevice, type HostExecutor } from './host-device.js';
import { createWasmHeap, type HeapStatistics } from './wasm-heap.js';
import { compileWasm } from './wasm-module.js';
import { startWasmThreads, type WasmThreads } from './wasm-threads.js';

export interface WasmDeviceOptions {
  readonly id?: string;
  /** Default 1. 'auto' takes the processors that there are. Needs SharedArrayBuffer; without it one thread runs, with a notice. */
  readonly threads?: number | 'auto';
  /** Bytes; default 1 GiB, at most 4 GiB. */
  readonly memoryBudget?: number;
  /** Script for worker threads where blob: workers are forbidden. */
  readonly workerUrl?: string | URL;
  readonly signal?: AbortSignal;
}

export interface WasmReport {
  readonly available: boolean;
  readonly why?: string;
  readonly simd: boolean;
  readonly sharedMemory: boolean;
  readonly processors: number;
}

const PAGE = 65536;
/** 4 GiB, all that a 32-bit memory can have. */
const MOST_PAGES = 65536;
/** Page 0 is never handed out: address 0 stays invalid, and modules may keep small static data there. */
const HEAP_BASE = PAGE;
const TABLE_SIZE = 1024;
const CONTROL_WORDS = 16;
/** How long a time slice of a single-threaded run is, in milliseconds. */
const SLICE_MS = 10;
const CACHED_LISTS = 64;

export interface WasmMemoryStatistics extends HeapStatistics {
  /** Size of the linear memory, which never shrinks. */
  readonly memoryBytes: number;
}
const statistics = new WeakMap<Device, () => WasmMemoryStatistics>();

/** What a Wasm device's memory holds; its own few blocks (command lists, control words) are counted with the callers'. */
export function wasmMemoryStatistics(device: Device): WasmMemoryStatistics {
  const read = statistics.get(device);
  if (!read)
    throw new TuttiError('OPTION_INVALID', `${device.id} is not a Wasm device of this thread`, { where: device.id });
  return read();
}

/** What this host can do for a Wasm device. Never throws. */
export function describeWasm(): WasmReport {
  const processors = globalThis.navigator?.hardwareConcurrency ?? nodeProcessors() ?? 1;
  const sharedMemory =
    typeof SharedArrayBuffer === 'function' &&
    (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;
  if (typeof WebAssembly !== 'object') {
    return { available: false, why: 'this host has no WebAssembly', simd: false, sharedMemory, processors };
  }
  // (func (result v128) i32.const 0 i8x16.splat) in the smallest possible module.
  const simd = WebAssembly.validate(
    Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11),
  );
  if (!simd) return { available: false, why: 'this host has WebAssembly without SIMD', simd, sharedMemory, processors };
  return { available: true, simd, sharedMemory, processors };
}

/**
 * @throws TuttiError DEVICE_UNAVAILABLE where there is no Wasm SIMD or no worker thread can be started, OPTION_INVALID for a
 *   bad option, MEMORY_REFUSED where the host has no such memory to give, ABORTED. Nothing is left behind in any case.
 */
export async function createWasmDevice(options: WasmDeviceOptions = {}): Promise<Device> {
  const report = describeWasm();
  const id = options.id ?? 'wasm';
  if (!report.available) throw new TuttiError('DEVICE_UNAVAILABLE', `no Wasm device: ${report.why}`, { where: id });
  throwIfAborted(options.signal, `opening ${id}`);
  const asked = options.threads === 'auto' ? Math.min(64, report.processors) : (options.threads ?? 1);
  if (!Number.isInteger(asked) || asked < 1 || asked > 64) {
    throw new TuttiError(
      'OPTION_INVALID',
      `threads must be 'auto' or a whole number from 1 to 64, got ${String(options.threads)}`,
      { where: id },
    );
  }
  const budget = options.memoryBudget ?? 2 ** 30;
  if (!Number.isInteger(budget) || budget <= 0 || budget > 2 ** 32) {
    throw new TuttiError(
      'OPTION_INVALID',
      `memoryBudget must be a whole number of bytes from 1 to 4 GiB, got ${budget}`,
      { where: id },
    );
  }
  const notices: string[] = [];
  let threads = asked;
  if (threads > 1 && !report.sharedMemory) {
    threads = 1;
    notices.push(
      `single-threaded: ${asked} threads were asked for, but SharedArrayBuffer is not allowed here (serve the page with COOP: same-origin and COEP: require-corp)`,
    );
  }
  const shared = threads > 1;
  const { memory, maximum } = openMemory(id, budget, shared);
  let bytes = new Uint8Array(memory.buffer);
  let words = new Int32Array(memory.buffer);
  const heap = createWasmHeap(HEAP_BASE, (need) => {
    const have = memory.buffer.byteLength;
    if (need <= have) return;
    const least = Math.ceil((need - have) / PAGE);
    const room = maximum - have / PAGE;
    if (least > room) {
      throw new TuttiError(
        'MEMORY_REFUSED',
        `no free range in the Wasm memory of ${id} is long enough, and it cannot grow beyond ${maximum * PAGE} B; release buffers or raise memoryBudget`,
        { where: id, facts: { need, limit: maximum * PAGE } },
      );
    }
    // Growing is costly where it moves the memory: double it, unless the host cannot.
    if (!grow(memory, Math.min(room, Math.max(least, have / PAGE))) && !grow(memory, least)) {
      throw new TuttiError(
        'MEMORY_REFUSED',
        `the host could not grow the Wasm memory of ${id} from ${have} to ${need} B; release buffers or free memory`,
        { where: id, facts: { need } },
      );
    }
    bytes = new Uint8Array(memory.buffer);
    words = new Int32Array(memory.buffer);
  });
  const control = heap.allocate(CONTROL_WORDS * 4);

  const capabilities: Capabilities = {
    name: `WebAssembly SIMD, ${threads} thread${threads > 1 ? 's' : ''}`,
    features: new Set(shared ? ['simd', 'threads'] : ['simd']),
    threads,
    subgroupSize: undefined,
    maxBufferBytes: Math.min(budget, 2 ** 31),
    maxWorkgroupInvocations: 1,
    maxWorkgroupBytes: 0,
    maxBuffersPerKernel: 16,
    software: false,
    notices,
  };

  let host: HostDevice | undefined;
  let pool: WasmThreads | undefined;
  if (shared) {
    const opened = await startWasmThreads(threads, options.workerUrl, (why) => host?.lose(why));
    const abort = (): void => void opened.close();
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      throwIfAborted(options.signal, `opening ${id}`);
      await opened.ask(() => ({ kind: 'start', memory, tableSize: TABLE_SIZE }));
    } catch (cause) {
      await opened.close();
      if (options.signal?.aborted) throw abortedError(options.signal, `opening ${id}`);
      throw new TuttiError('DEVICE_UNAVAILABLE', `the worker threads of ${id} did not start: ${String(cause)}`, {
        where: id,
        cause,
      });
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
    pool = opened;
  }
  const executor = createExecutor();
  host = createHostDevice({
    id,
    kind: 'wasm',
    capabilities,
    memoryBudget: budget,
    storage: {
      allocate(size) {
        const address = heap.allocate(size);
        bytes.fill(0, address, address + size);
        return address;
      },
      release: (address) => heap.release(address),
      view: (address, size) => bytes.subarray(address, address + size),
    },
    executor,
  });
  statistics.set(host.device, () => ({ ...heap.statistics(), memoryBytes: memory.buffer.byteLength }));
  return host.device;

  function createExecutor(): HostExecutor {
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_SIZE });
    const indices = new Map<KernelBody, number>();
    let lastLoad: Promise<void> = Promise.resolve();
    let nextIndex = 1;
    let run: ((...args: number[]) => number) | undefined;

    const load = async (module: KernelBody['wasm']['module'], kernels: readonly KernelBody[]): Promise<void> => {
      if (kernels.length === 0) return;
      const compiled = await compileWasm(module, shared);
      const exported = new Set(WebAssembly.Module.exports(compiled).map(({ name }) => name));
      for (const { name } of kernels) {
        if (exported.has(name)) continue;
        throw new TuttiError('KERNEL_UNSUPPORTED', `Wasm module "${module.name}" has no kernel "${name}"`, {
          where: name,
        });
      }
      if (nextIndex + kernels.length > TABLE_SIZE)
        throw new TuttiError('LIMIT_EXCEEDED', `${id} holds at most ${TABLE_SIZE - 1} kernels`, { where: id });
      const functions = kernels.map((kernel) => ({ kernel, index: nextIndex++ }));
      if (pool) {
        const pairs = functions.map(({ kernel, index }) => [kernel.name, index] as const);
        await pool.ask(() => ({ kind: 'load', module: compiled, functions: pairs }));
      } else {
        const { exports } = await WebAssembly.instantiate(compiled, { env: { memory, table } });
        for (const { kernel, index } of functions) table.set(index, exports[kernel.name]);
        run = exports['runCommands'] as (...args: number[]) => number;
      }
      for (const { kernel, index } of functions) indices.set(kernel, index);
    };

    interface List {
      readonly address: number;
      readonly blocks: readonly number[];
      stepMs: number;
    }
    const lists = new Map<readonly KernelCall[], List>();

    /** Lays a list of calls out in linear memory, once per list. */
    const layOut = (calls: readonly KernelCall[]): List => {
      let list = lists.get(calls);
      if (list) return list;
      if (lists.size >= CACHED_LISTS) {
        const [oldest, old] = lists.entries().next().value!;
        lists.delete(oldest);
        old.blocks.forEach((block) => heap.release(block));
      }
      const argumentWords = calls.reduce((sum, call) => sum + call.buffers.length + call.scalars.length, 0);
      const address = heap.allocate(4 * (2 * calls.length + argumentWords));
      const floats = new Float32Array(memory.buffer);
      // Addresses may lie above 2 GiB: no shifts, which would make them negative.
      const start = address / 4;
      let at = start + 2 * calls.length;
      calls.forEach((call, i) => {
        words[start + 2 * i] = indices.get(call.kernel)!;
        words[start + 2 * i + 1] = at * 4;
        for (const buffer of call.buffers) words[at++] = (buffer as HostBuffer).address;
        call.scalars.forEach((value, k) => {
          if (call.kernel.scalars[k]!.type === 'f32') floats[at++] = value;
          else words[at++] = value | 0;
        });
      });
      list = { address, blocks: [address], stepMs: 0 };
      lists.set(calls, list);
      return list;
    };

    const sliceInPlace = (calls: readonly KernelCall[], list: List, firstStep: number, steps: number): number => {
      // The first call of a list finds out how long a step is; later ones fill their slice.
      const count = Math.min(steps, list.stepMs > 0 ? Math.max(1, Math.floor(SLICE_MS / list.stepMs)) : 1);
      const start = performance.now();
      run!(list.address, calls.length, count, firstStep, 0, 1, control);
      const took = Math.max(1e-5, (performance.now() - start) / count);
      list.stepMs = list.stepMs === 0 ? took : 0.5 * (list.stepMs + took);
      return count;
    };

    const runThreads = async (
      calls: readonly KernelCall[],
      list: List,
      firstStep: number,
      steps: number,
      options: RunOptions,
    ): Promise<number> => {
      const flags = control / 4;
      words.fill(0, flags, flags + CONTROL_WORDS);
      const { signal, onProgress } = options;
      const abort = (): void => void Atomics.store(words, flags, 1);
      signal?.addEventListener('abort', abort, { once: true });
      const total = options.steps ?? 1;
      let thrown: { readonly error: unknown } | undefined;
      const timer = onProgress
        ? setInterval(() => {
            try {
              if (!thrown) onProgress({ done: total - steps + Atomics.load(words, flags + 3), total, what: 'steps' });
            } catch (error) {
              // It is the caller of run who has to hear of it.
              thrown = { error };
              abort();
            }
          }, 50)
        : undefined;
      try {
        const replies = await pool!.ask((thread) => ({
          kind: 'run',
          list: list.address,
          calls: calls.length,
          steps,
          firstStep,
          thread,
          threads,
          control,
        }));
        if (thrown) throw thrown.error;
        return replies[0]!.steps!;
      } finally {
        clearInterval(timer);
        signal?.removeEventListener('abort', abort);
      }
    };

    return {
      ready: (calls) => calls.every((call) => indices.has(call.kernel)),
      async prepare(kernels, { signal, onProgress }: LongCallOptions = {}) {
        const missing = kernels.filter((kernel) => !indices.has(kernel));
        const modules = new Map<Uint8Array, KernelBody[]>();
        for (const kernel of new Set(missing)) {
          const { bytes } = kernel.wasm.module;
          const group = modules.get(bytes) ?? [];
          if (group.length === 0) modules.set(bytes, group);
          group.push(kernel);
        }
        const report = (what: string): void => {
          const done = kernels.filter((kernel) => indices.has(kernel)).length;
          onProgress?.({ done, total: kernels.length, what });
        };
        if (modules.size === 0) report('all kernels were ready');
        for (const group of modules.values()) {
          throwIfAborted(signal, `warming up ${id}`);
          const { module } = group[0]!.wasm;
          // One load at a time, so that a kernel asked for twice is loaded once.
          const loading = lastLoad.then(() =>
            load(
              module,
              group.filter((kernel) => !indices.has(kernel)),
            ),
          );
          lastLoad = loading.catch(() => {});
          await loading;
          report(`Wasm module ${module.name}`);
        }
      },
      slice(calls, firstStep, steps, options) {
        const list = layOut(calls);
        return pool ? runThreads(calls, list, firstStep, steps, options) : sliceInPlace(calls, list, firstStep, steps);
      },
      async close() {
        lists.clear();
        await pool?.close();
      },
    };
  }
}

/**
 * Command lists, rounding to the heap's alignment and ranges that a run in flight still uses come on top of what callers
 * lease: twice the budget where the host gives that (it is address space until it is used), a little more than the budget
 * where it does not.
 */
function openMemory(
  id: string,
  budget: number,
  shared: boolean,
): { readonly memory: WebAssembly.Memory; readonly maximum: number } {
  const least = Math.min(MOST_PAGES, Math.ceil(budget / PAGE) + 64);
  const generous = Math.min(MOST_PAGES, 2 * least);
  try {
    return { memory: new WebAssembly.Memory({ initial: 2, maximum: generous, shared }), maximum: generous };
  } catch {
    // Shared memory takes its whole address space at once, which a phone may not have.
  }
  try {
    return { memory: new WebAssembly.Memory({ initial: 2, maximum: least, shared }), maximum: least };
  } catch (cause) {
    throw new TuttiError(
      'MEMORY_REFUSED',
      `the host has no Wasm memory of up to ${least * PAGE} B to give to ${id}; lower memoryBudget`,
      { where: id, cause, facts: { need: least * PAGE } },
    );
  }
}

function grow(memory: WebAssembly.Memory, pages: number): boolean {
  try {
    memory.grow(pages);
    return true;
  } catch {
    return false;
  }
}

function nodeProcessors(): number | undefined {
  const host = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const os = host.process?.getBuiltinModule?.('node:os') as { availableParallelism?: () => number } | undefined;
  return os?.availableParallelism?.();
}
