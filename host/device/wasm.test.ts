import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeviceLostError, MemoryRefusedError } from '../errors.js';
import { injectCurrentF32, recordState, spikeCompact } from '../kernels/snn/index.js';
import { snnModule } from '../kernels/snn/module.js';
import { lifForward } from '../kernels/training/index.js';
import { trainingModule } from '../kernels/training/module.js';
import type { Device, DeviceBuffer, KernelCall } from './device.js';
import { createOracleDevice } from './oracle.js';
import { wasmWorkerSource } from './wasm-threads.js';
import { createWasmDevice, describeWasm, wasmMemoryStatistics } from './wasm.js';

const MIB = 2 ** 20;
const COUNTS = [1, 2] as const;

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Adds `current` to `input`. */
const add = (current: DeviceBuffer, input: DeviceBuffer, neurons: number): KernelCall =>
  injectCurrentF32({
    current,
    input,
    batch: 1,
    neurons,
    inputStride: neurons,
    inputOffset: 0,
    frames: 1,
    origin: 0,
  });

function put(device: Device, values: readonly number[]): DeviceBuffer {
  const buffer = device.allocate(4 * values.length, 'data');
  device.write(buffer, Float32Array.from(values));
  return buffer;
}

const floats = async (device: Device, buffer: DeviceBuffer): Promise<number[]> => [
  ...new Float32Array(await device.read(buffer)),
];

/** What a device that is as good as new computes. */
async function works(device: Device): Promise<void> {
  const input = put(device, [1, 2, 3]);
  const current = put(device, [10, 20, 30]);
  await device.run([add(current, input, 3)], { steps: 2 });
  expect(await floats(device, input)).toEqual([21, 42, 63]);
  input.release();
  current.release();
}

describe('Wasm devices', () => {
  it('mix kernels of several modules in one list', async () => {
    for (const threads of COUNTS) {
      const device = await createWasmDevice({ threads });
      const [current, v, count] = [put(device, [3, 0, 0, 0]), put(device, [0, 0, 0, 0]), put(device, [0, 0, 0, 0])];
      await device.run([
        add(current, v, 4),
        lifForward({
          current: v,
          v: current,
          count,
          steps: 1,
          batch: 1,
          neurons: 4,
          threshold: 2,
          leak: 0,
          floorLeak: 0,
        }),
      ]);
      expect(await floats(device, count)).toEqual([1, 0, 0, 0]);
      await device.close();
    }
  });

  it('run one thread with a notice where SharedArrayBuffer is not allowed', async () => {
    vi.stubGlobal('crossOriginIsolated', false);
    expect(describeWasm()).toMatchObject({ available: true, sharedMemory: false });
    const device = await createWasmDevice({ threads: 4 });
    expect(device.capabilities.threads).toBe(1);
    expect(device.capabilities.name).toBe('WebAssembly SIMD, 1 thread');
    expect(device.capabilities.features.has('threads')).toBe(false);
    expect(device.capabilities.notices).toEqual([
      expect.stringMatching(/^single-threaded: 4 threads were asked for.*COOP.*COEP/),
    ]);
    await works(device);
    const quiet = await createWasmDevice({ threads: 1 });
    expect(quiet.capabilities.notices).toEqual([]);
    await Promise.all([device.close(), quiet.close()]);
    vi.stubGlobal('SharedArrayBuffer', undefined);
    vi.stubGlobal('crossOriginIsolated', undefined);
    expect(describeWasm()).toMatchObject({ available: true, sharedMemory: false });
  });

  it('say how many threads they run', async () => {
    expect(describeWasm()).toMatchObject({ available: true, simd: true, sharedMemory: true });
    const device = await createWasmDevice({ threads: 2 });
    expect(device.capabilities).toMatchObject({
      name: 'WebAssembly SIMD, 2 threads',
      threads: 2,
      notices: [],
      features: new Set(['simd', 'threads']),
    });
    await device.close();
    const most = await createWasmDevice({ threads: 'auto' });
    expect(most.capabilities.threads).toBe(Math.min(64, describeWasm().processors));
    await most.close();
  });

  it('say that there is no Wasm, or none with SIMD', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    expect(describeWasm()).toMatchObject({ available: false, why: expect.stringMatching(/no WebAssembly/) as string });
    await expect(createWasmDevice()).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    vi.stubGlobal('WebAssembly', { validate: () => false });
    expect(describeWasm()).toMatchObject({ available: false, why: expect.stringMatching(/without SIMD/) as string });
    await expect(createWasmDevice()).rejects.toThrow(/without SIMD/);
  });

  it('compile and load once what is asked for twice', async () => {
    const instantiate = vi.spyOn(WebAssembly, 'instantiate');
    const device = await createWasmDevice();
    const bodies = [injectCurrentF32.body, recordState.body];
    await Promise.all([device.warmup(bodies), device.warmup(bodies), device.warmup(bodies.slice(1))]);
    expect(instantiate).toHaveBeenCalledTimes(1);
    await works(device);
    expect(instantiate).toHaveBeenCalledTimes(1);
    await device.close();
    const compile = vi.spyOn(WebAssembly, 'compile');
    const another = await createWasmDevice();
    await another.warmup(bodies);
    expect(compile).not.toHaveBeenCalled();
    await another.close();
  });

  it('refuse kernels that their module does not have, and are as good as before', async () => {
    for (const threads of COUNTS) {
      const device = await createWasmDevice({ threads });
      const nameless = { ...injectCurrentF32.body, name: 'nonesuch' };
      // Of another module with the same name, there is no confusion.
      const elsewhere = { ...injectCurrentF32.body, wasm: { module: { ...trainingModule, name: snnModule.name } } };
      const broken = { ...injectCurrentF32.body, wasm: { module: { name: 'none', bytes: new Uint8Array() } } };
      await expect(device.warmup([nameless])).rejects.toMatchObject({
        code: 'KERNEL_UNSUPPORTED',
        where: 'nonesuch',
        message: expect.stringMatching(/"snn" has no kernel "nonesuch"/) as string,
      });
      await expect(device.warmup([elsewhere])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
      await expect(device.warmup([broken])).rejects.toMatchObject({ code: 'FILE_INVALID', where: 'none' });
      const call = { ...add(put(device, [1]), put(device, [1]), 1), kernel: nameless };
      await expect(device.run([call])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
      await works(device);
      await device.close();
    }
  });
});

describe('the memory of a Wasm device', () => {
  it('does not grow over 1,000 rounds of create, run, release', async () => {
    for (const threads of COUNTS) {
      const device = await createWasmDevice({ threads, memoryBudget: 8 * MIB });
      let steady: ReturnType<typeof wasmMemoryStatistics> | undefined;
      for (let round = 0; round < 1000; round++) {
        const [current, input] = [device.allocate(40_000, 'current'), device.allocate(40_000, 'input')];
        await device.run([add(current, input, 10_000), add(input, current, 10_000)]);
        current.release();
        input.release();
        if (round === 199) steady = wasmMemoryStatistics(device);
      }
      expect(wasmMemoryStatistics(device)).toEqual(steady);
      expect(device.memory.inUse).toBe(0);
      // The command lists of the last runs are kept, a line each; the buffers are not.
      expect(steady!.liveBytes).toBeLessThan(64 * 256);
      expect(steady!.memoryBytes).toBeLessThan(MIB);
      await device.close();
    }
  });

  it('belongs to Wasm devices only', () => {
    expect(() => wasmMemoryStatistics(createOracleDevice())).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }) as Error,
    );
  });

  /** A host whose Wasm memories may have this many pages, declared and in fact. */
  function host(limits: { readonly maximum: number; readonly pages: number }): void {
    const { Memory } = WebAssembly;
    const Limited = function (this: unknown, descriptor: WebAssembly.MemoryDescriptor) {
      if (descriptor.maximum! > limits.maximum) throw new RangeError('could not allocate memory');
      const memory = new Memory(descriptor);
      memory.grow = (pages) => {
        if (memory.buffer.byteLength / 65536 + pages > limits.pages) throw new RangeError('maximum exceeded');
        return Memory.prototype.grow.call(memory, pages);
      };
      return memory;
    };
    vi.stubGlobal('WebAssembly', Object.create(WebAssembly, { Memory: { value: Limited } }));
  }

  it('is asked for with less room where the host has not more, and refused where it has none', async () => {
    const pages = (8 * MIB) / 65536 + 64;
    for (const threads of COUNTS) {
      host({ maximum: pages, pages });
      const device = await createWasmDevice({ threads, memoryBudget: 8 * MIB });
      device.allocate(8 * MIB, 'all of it').release();
      await works(device);
      await device.close();
      vi.unstubAllGlobals();
      host({ maximum: pages - 1, pages });
      await expect(createWasmDevice({ threads, memoryBudget: 8 * MIB })).rejects.toMatchObject({
        code: 'MEMORY_REFUSED',
        message: expect.stringMatching(/lower memoryBudget/) as string,
      });
      vi.unstubAllGlobals();
    }
  });

  it('is refused in plain words when the host cannot grow it, and nothing is left behind', async () => {
    host({ maximum: 65536, pages: 48 }); // 3 MiB
    const device = await createWasmDevice({ memoryBudget: 16 * MIB });
    const held = device.allocate(1.5 * MIB, 'held');
    const more = device.allocate(1.25 * MIB, 'more'); // the memory cannot be doubled for it, but grown
    const before = { ...wasmMemoryStatistics(device), inUse: device.memory.inUse };
    expect(() => device.allocate(2 * MIB, 'too much')).toThrow(
      expect.objectContaining({
        code: 'MEMORY_REFUSED',
        message: expect.stringMatching(/could not grow the Wasm memory of wasm/) as string,
      }) as Error,
    );
    expect({ ...wasmMemoryStatistics(device), inUse: device.memory.inUse }).toEqual(before);
    expect(() => device.allocate(16 * MIB, 'beyond the budget')).toThrow(MemoryRefusedError);
    held.release();
    more.release();
    device.allocate(2 * MIB, 'now it fits').release();
    await works(device);
    await device.close();
  });
});

describe('the threads of a Wasm device', () => {
  const started: Worker[] = [];
  let ended = 0;
  let folder: string;
  const onWorker = (worker: Worker): void => {
    started.push(worker);
    worker.once('exit', () => ended++);
  };
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tutti-threads-'));
    process.on('worker', onWorker);
  });
  beforeEach(() => {
    started.length = 0;
    ended = 0;
  });
  afterAll(() => {
    process.off('worker', onWorker);
    rmSync(folder, { recursive: true });
  });
  const script = (name: string, source: string): URL => {
    writeFileSync(join(folder, name), source);
    return pathToFileURL(join(folder, name));
  };
  const noneLeft = (count: number): void =>
    expect({ started: started.length, ended }).toEqual({ started: count, ended: count });

  it('come from a file where that is asked for', async () => {
    const device = await createWasmDevice({ threads: 2, workerUrl: script('worker.cjs', wasmWorkerSource) });
    await works(device);
    await device.close();
    noneLeft(2);
  });

  it('end with their device, 30 times over', async () => {
    for (let round = 0; round < 30; round++) {
      const device = await createWasmDevice({ threads: 2 });
      device.allocate(1 << 16, 'data');
      await device.close();
      expect((await device.lost).reason).toBe('destroyed');
    }
    noneLeft(60);
  });

  it('are not left behind by options that are refused', async () => {
    for (const options of [
      { threads: 0 },
      { threads: 65 },
      { threads: 1.5 },
      { memoryBudget: -5 },
      { memoryBudget: Number.NaN },
      { memoryBudget: 1000.5, threads: 2 },
      { memoryBudget: 2 ** 33, threads: 2 },
    ]) {
      await expect(createWasmDevice(options)).rejects.toMatchObject({ code: 'OPTION_INVALID', where: 'wasm' });
    }
    await expect(createWasmDevice({ threads: 2, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    noneLeft(0);
  });

  it('that do not start are told, and ended', async () => {
    for (const [workerUrl, why] of [
      [script('exits.cjs', 'process.exit(3);'), /exited with code 3/],
      [script('throws.cjs', 'throw new Error("not today");'), /not today/],
      [`${script('absent.cjs', '').href}.not`, /Cannot find module/],
      ['no URL at all', /pass a workerUrl that may be loaded/],
    ] as const) {
      await expect(createWasmDevice({ threads: 2, workerUrl })).rejects.toMatchObject({
        code: 'DEVICE_UNAVAILABLE',
        message: expect.stringMatching(why) as string,
      });
    }
    noneLeft(6);
  });

  it('that never answer can be given up', async () => {
    const controller = new AbortController();
    const opening = createWasmDevice({
      threads: 2,
      workerUrl: script('silent.cjs', 'setInterval(() => {}, 1000);'),
      signal: controller.signal,
    });
    setTimeout(() => controller.abort(new Error('too slow')), 50);
    await expect(opening).rejects.toMatchObject({
      code: 'ABORTED',
      cause: expect.objectContaining({ message: 'too slow' }) as Error,
    });
    noneLeft(2);
  });

  it('take the device with them when one of them dies', async () => {
    for (const when of ['in a run', 'while a module is loaded', 'between two runs'] as const) {
      const device = await createWasmDevice({ threads: 2 });
      const [input, current] = [put(device, [1]), put(device, [1])];
      const list = [add(current, input, 1)];
      await device.run(list);
      const pending: Promise<unknown>[] = [];
      if (when === 'in a run') {
        let running = (): void => {};
        const begun = new Promise<void>((resolve) => (running = resolve));
        pending.push(device.run(list, { steps: 500_000_000, onProgress: running }), device.read(input));
        for (const promise of pending) promise.catch(() => {});
        await begun;
      }
      const dying = started.at(-1)!.terminate();
      if (when === 'while a module is loaded') pending.push(device.warmup([lifForward.body]));
      const results = await Promise.allSettled(pending);
      expect(await device.lost).toMatchObject({ reason: 'lost', message: expect.stringMatching(/exited/) as string });
      for (const result of results) {
        expect(result.status).toBe('rejected');
        expect((result as PromiseRejectedResult).reason).toBeInstanceOf(DeviceLostError);
      }
      await dying;
      await expect(device.run(list)).rejects.toBeInstanceOf(DeviceLostError);
      await expect(device.warmup([spikeCompact.body])).rejects.toBeInstanceOf(DeviceLostError);
      expect(() => device.allocate(4, 'late')).toThrow(DeviceLostError);
      await device.close();
    }
  });
});
