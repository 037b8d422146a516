/**
 * WebAssembly as a device: SIMD kernels over one linear memory, one thread in place or several workers that meet at a
 * barrier after every kernel. Lists of kernel calls are laid out in the memory once and run by `runCommands` there.
 */
import { TuttiError, throwIfAborted } from '../errors.js';
import type { Capabilities, Device, KernelBody, KernelCall, LongCallOptions, RunOptions } from './device.js';
import { createHostDevice, type HostBuffer, type HostDevice, type HostExecutor } from './host-device.js';
import { createWasmHeap } from './wasm-heap.js';
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
/** Page 0 is never handed out: address 0 stays invalid, and modules may keep small static data there. */
const HEAP_BASE = PAGE;
const TABLE_SIZE = 1024;
const CONTROL_WORDS = 16;
/** How long a time slice of a single-threaded run is, in milliseconds. */
const SLICE_MS = 10;
const CACHED_LISTS = 64;

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

/** @throws TuttiError DEVICE_UNAVAILABLE where there is no Wasm SIMD, OPTION_INVALID for a bad option. */
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
  if (!(budget > 0) || budget > 2 ** 32) {
    throw new TuttiError('OPTION_INVALID', `memoryBudget must be from 1 byte to 4 GiB, got ${budget}`, { where: id });
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
  // Command lists and rounding to the heap's alignment come on top of what callers lease.
  const maximum = Math.min(PAGE, Math.ceil(budget / PAGE) + 64);
  const memory = new WebAssembly.Memory({ initial: 2, maximum, shared });
  let bytes = new Uint8Array(memory.buffer);
  let words = new Int32Array(memory.buffer);
  const heap = createWasmHeap(HEAP_BASE, (need) => {
    const have = memory.buffer.byteLength;
    if (need <= have) return;
    // Growing is costly where it moves the memory: at least double.
    const pages = Math.min(maximum - have / PAGE, Math.max(Math.ceil((need - have) / PAGE), have / PAGE));
    try {
      memory.grow(Math.ceil(pages));
    } catch (cause) {
      throw new TuttiError('MEMORY_REFUSED', `the host could not grow Wasm memory of ${id} from ${have} to ${need} B`, {
        where: id,
        cause,
      });
    }
    bytes = new Uint8Array(memory.buffer);
    words = new Int32Array(memory.buffer);
    if (need > memory.buffer.byteLength)
      throw new TuttiError('MEMORY_REFUSED', `Wasm memory of ${id} is full`, { where: id });
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
    pool = await startWasmThreads(threads, options.workerUrl, (why) => host?.lose(why));
    await pool.ask(() => ({ kind: 'start', memory, tableSize: TABLE_SIZE }));
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
  return host.device;

  function createExecutor(): HostExecutor {
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_SIZE });
    const indices = new Map<KernelBody, number>();
    const loaded = new Map<string, Promise<void>>();
    let nextIndex = 1;
    let run: ((...args: number[]) => number) | undefined;

    const load = async (module: KernelBody['wasm']['module'], kernels: readonly KernelBody[]): Promise<void> => {
      const compiled = await compileWasm(module, shared);
      const functions = kernels.map((kernel) => {
        const index = nextIndex++;
        if (index >= TABLE_SIZE)
          throw new TuttiError('LIMIT_EXCEEDED', `${id} holds at most ${TABLE_SIZE - 1} kernels`);
        return { kernel, index };
      });
      if (pool) {
        const pairs = functions.map(({ kernel, index }) => [kernel.name, index] as const);
        await pool.ask(() => ({ kind: 'load', module: compiled, functions: pairs }));
      } else {
        const { exports } = await WebAssembly.instantiate(compiled, { env: { memory, table } });
        for (const { kernel, index } of functions) {
          const body = exports[kernel.name];
          if (typeof body !== 'function') {
            throw new TuttiError('KERNEL_UNSUPPORTED', `Wasm module "${module.name}" has no kernel "${kernel.name}"`, {
              where: kernel.name,
            });
          }
          table.set(index, body);
        }
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
      let at = (address >> 2) + 2 * calls.length;
      calls.forEach((call, i) => {
        words[(address >> 2) + 2 * i] = indices.get(call.kernel)!;
        words[(address >> 2) + 2 * i + 1] = at << 2;
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
      words.fill(0, control >> 2, (control >> 2) + CONTROL_WORDS);
      const { signal, onProgress } = options;
      const abort = (): void => void Atomics.store(words, control >> 2, 1);
      signal?.addEventListener('abort', abort, { once: true });
      const total = options.steps ?? 1;
      const timer = onProgress
        ? setInterval(
            () => onProgress({ done: total - steps + Atomics.load(words, (control >> 2) + 3), total, what: 'steps' }),
            50,
          )
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
        const modules = new Map<string, KernelBody[]>();
        for (const kernel of missing) {
          const { name } = kernel.wasm.module;
          const group = modules.get(name) ?? [];
          if (group.length === 0) modules.set(name, group);
          group.push(kernel);
        }
        let done = 0;
        for (const [name, group] of modules) {
          throwIfAborted(signal, `warming up ${id}`);
          // One load at a time: threads answer one question at a time.
          const before = loaded.get('last') ?? Promise.resolve();
          const loading = before.then(() =>
            load(
              group[0]!.wasm.module,
              group.filter((kernel) => !indices.has(kernel)),
            ),
          );
          loaded.set(
            'last',
            loading.catch(() => {}),
          );
          await loading;
          onProgress?.({ done: (done += group.length), total: missing.length, what: `Wasm module ${name}` });
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

function nodeProcessors(): number | undefined {
  const host = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const os = host.process?.getBuiltinModule?.('node:os') as { availableParallelism?: () => number } | undefined;
  return os?.availableParallelism?.();
}
