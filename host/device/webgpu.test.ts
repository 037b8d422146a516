import { afterEach, describe, expect, it, vi } from 'vitest';
import { DeviceLostError, TuttiError } from '../errors.js';
import { defineKernel } from '../kernels/kernel.js';
import { injectCurrentF32, spikeCompact } from '../kernels/snn/index.js';
import type { Device, DeviceBuffer, KernelCall } from './device.js';
import { createOracleDevice } from './oracle.js';
import {
  bufferPoolStatistics,
  createWebGpuDevice,
  describeWebGpu,
  gpuDeviceOf,
  simulateLoss,
  type WebGpuDeviceOptions,
} from './webgpu.js';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const wasm = { name: 'none', bytes: new Uint8Array() };

/** A kernel that doubles `data`, with WGSL of the test's choice. */
const doubling = (source: string, groups: readonly [number, number, number] = [1, 1, 1]) =>
  defineKernel({
    name: 'double',
    buffers: { factor: ['f32', 'read'], data: ['f32', 'read-write'] },
    scalars: { count: 'u32' },
    elements: (s) => ({ factor: 1, data: s.count }),
    oracle: ({ factor, data, count }) => {
      for (let i = 0; i < count; i++) data[i]! *= factor[0]!;
    },
    wasm,
    wgsl: [{ requires: [], source }],
    workgroups: () => groups,
  });
const header = `
struct Params { step: u32, count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> factor: array<f32>;
@group(0) @binding(2) var<storage, read_write> data: array<f32>;
`;
const good = `${header}
@compute @workgroup_size(64) fn double(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { data[id.x] *= factor[0]; }
}`;

/** A broken body, at line 7. */
const broken = doubling(`${header}\n@compute @workgroup_size(64) fn double() { data[0] = nonsense; }`);

/** That the device is as good as new. */
async function works(device: Device): Promise<void> {
  const [factor, data] = [device.allocate(4, 'factor'), device.allocate(64, 'data')];
  device.write(factor, Float32Array.of(3));
  device.write(data, new Float32Array(16).fill(2));
  await device.run([doubling(good)({ factor, data, count: 16 })]);
  expect([...new Float32Array(await device.read(data))]).toEqual(new Array(16).fill(6));
  factor.release();
  data.release();
}

/** A list that keeps a device busy: `steps` of it take a while. */
function work(device: Device): { list: KernelCall[]; input: ReturnType<Device['allocate']> } {
  const neurons = 4096;
  const current = device.allocate(4 * neurons, 'current');
  device.write(current, new Float32Array(neurons).fill(1));
  const input = device.allocate(4 * neurons, 'input');
  return {
    input,
    list: [
      injectCurrentF32({
        current,
        input,
        batch: 1,
        neurons,
        inputStride: neurons,
        inputOffset: 0,
        frames: 1,
        origin: 0,
      }),
    ],
  };
}

describe('WebGPU kernels that go wrong', () => {
  it('name the kernel, the line and the message of a compile error', async () => {
    const device = await createWebGpuDevice();
    const [factor, data] = [device.allocate(4, 'factor'), device.allocate(64, 'data')];
    await expect(device.warmup([broken.body])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED', where: 'double' });
    await expect(device.run([broken({ factor, data, count: 16 })])).rejects.toMatchObject({
      code: 'KERNEL_UNSUPPORTED',
      message: expect.stringMatching(/kernel double.*line 7.*nonsense/s) as string,
    });
    await works(device);
    // Each of several errors is heard of, and none of them by nobody.
    const other = doubling(`${header}\n@compute @workgroup_size(64) fn double() { data[0] = gibberish; }`);
    const calls = [broken({ factor, data, count: 16 }), other({ factor, data, count: 16 })];
    await expect(device.run(calls)).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
    await expect(device.warmup([other.body, broken.body])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
    await works(device);
    await device.close();
  });

  it('are refused when they bind one buffer for reading and for writing, or dispatch too much', async () => {
    const device = await createWebGpuDevice();
    const data = device.allocate(64, 'data');
    await expect(device.run([doubling(good)({ factor: data, data, count: 16 })])).rejects.toMatchObject({
      code: 'KERNEL_ARGUMENT',
      message: expect.stringMatching(/"factor" and "data" are the same buffer/) as string,
    });
    const factor = device.allocate(4, 'factor');
    await expect(device.run([doubling(good, [70_000, 1, 1])({ factor, data, count: 16 })])).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringMatching(/kernel double needs 70000 x 1 x 1 workgroups.*65535/) as string,
    });
    const data2 = device.allocate(64, 'data');
    await expect(device.run([doubling(good, [1, 65_536, 1])({ factor, data: data2, count: 16 })])).rejects.toThrow(
      /1 x 65536 x 1/,
    );
    const long = new Array<KernelCall>(1025).fill(doubling(good)({ factor, data, count: 16 }));
    await expect(device.run(long)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await device.run(long.slice(1));
    await works(device);
    await device.run([doubling(good, [0, 1, 1])({ factor, data, count: 16 })]);
    await device.close();
  });

  it('need a variant that the device can run', async () => {
    const device = await createWebGpuDevice({ disableFeatures: ['subgroups'] });
    expect(device.capabilities.features.has('subgroups')).toBe(false);
    expect(device.capabilities.subgroupSize).toBeUndefined();
    const only = {
      ...spikeCompact.body,
      wgsl: { ...spikeCompact.body.wgsl, variants: [spikeCompact.body.wgsl.variants[0]!] },
    };
    await expect(device.warmup([only])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
    await device.close();
  });
});

describe('WebGPU pipelines', () => {
  it('are made once, however often they are asked for', async () => {
    const device = await createWebGpuDevice();
    const compile = vi.spyOn(gpuDeviceOf(device), 'createComputePipelineAsync');
    const { list } = work(device);
    const bodies = [list[0]!.kernel, spikeCompact.body];
    await Promise.all([device.warmup(bodies), device.run(list), device.warmup(bodies), device.run([...list])]);
    await device.run(list);
    expect(compile).toHaveBeenCalledTimes(2);
    await device.close();
  });

  it('can be given up before they are ready', async () => {
    const device = await createWebGpuDevice();
    const controller = new AbortController();
    const warm = device.warmup([doubling(good).body], { signal: controller.signal });
    controller.abort(new Error('no time'));
    await expect(warm).rejects.toMatchObject({
      code: 'ABORTED',
      cause: expect.objectContaining({ message: 'no time' }) as Error,
    });
    await works(device);
    await device.close();
  });
});

describe('WebGPU failures that no call asked for', () => {
  it('are not read as zeros', async () => {
    const device = await createWebGpuDevice();
    const data = device.allocate(64, 'data');
    device.write(data, new Float32Array(16).fill(1));
    (data as DeviceBuffer & { readonly raw: GPUBuffer }).raw.destroy();
    await expect(device.read(data)).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: expect.stringMatching(/rejected a read of "data"/) as string,
    });
    const factor = device.allocate(4, 'factor');
    await expect(device.run([doubling(good)({ factor, data, count: 16 })])).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: expect.stringMatching(/rejected a run of double/) as string,
    });
    await works(device);
    await device.close();
  });
});

describe('WebGPU devices that are lost', () => {
  /** Work in flight, and whether it cannot have been done when the device is lost. */
  const inFlight: Readonly<Record<string, (device: Device) => readonly (readonly [Promise<unknown>, boolean])[]>> = {
    run(device) {
      const { list, input } = work(device);
      return [
        [device.run(list, { steps: 200_000 }), true],
        [device.read(input), true],
        [device.warmup([spikeCompact.body]), false],
      ];
    },
    read(device) {
      const { list, input } = work(device);
      const run = device.run(list);
      return [
        [run, false],
        [device.read(input), false],
        [device.read(list[0]!.buffers[0]!, 4, 8), false],
      ];
    },
    warmup(device) {
      const { list } = work(device);
      return [
        [device.warmup([spikeCompact.body, list[0]!.kernel]), false],
        [device.run(list, { steps: 100 }), false],
      ];
    },
    'everything at once'(device) {
      const { list, input } = work(device);
      const run = device.run(list, { steps: 100_000 });
      device.write(input, new Float32Array(4));
      input.release();
      const next = device.allocate(input.bytes, 'next');
      return [
        [run, true],
        [device.read(next), true],
        [device.run([doubling(good)({ factor: next, data: list[0]!.buffers[0]!, count: 4 })]), true],
      ];
    },
  };

  it('reject everything and hang nothing, 100 times in a row', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    const kinds = Object.values(inFlight);
    let rejected = 0;
    for (let round = 0; round < 100; round++) {
      const device = await createWebGpuDevice({ id: `victim ${round}` });
      const held = device.allocate(64, 'held');
      const pending = kinds[round % kinds.length]!(device);
      const settled = Promise.allSettled(pending.map(([promise]) => promise));
      // At another point each time: at once, after some microtasks, in a later turn.
      for (let i = 0; i < round % 11; i++) await Promise.resolve();
      if (round % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
      if (round % 3 === 2) await new Promise((resolve) => setTimeout(resolve, round % 7));
      simulateLoss(device);
      (await settled).forEach((result, i) => {
        if (pending[i]![1]) expect(result.status).toBe('rejected');
        if (result.status === 'fulfilled') return;
        rejected++;
        expect(result.reason).toBeInstanceOf(DeviceLostError);
        expect(result.reason).toMatchObject({ where: `victim ${round}` });
      });
      expect((await device.lost).reason).toBe('lost');
      await expect(device.read(held)).rejects.toBeInstanceOf(DeviceLostError);
      await expect(device.run([])).rejects.toBeInstanceOf(DeviceLostError);
      await expect(device.warmup([spikeCompact.body])).rejects.toBeInstanceOf(DeviceLostError);
      expect(() => device.write(held, new Uint32Array(1))).toThrow(DeviceLostError);
      expect(() => device.allocate(4, 'late')).toThrow(DeviceLostError);
      held.release();
      await device.close();
      // It was lost, and closing it does not rewrite that.
      expect((await device.lost).reason).toBe('lost');
    }
    expect(rejected).toBeGreaterThan(150);
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });

  it('leave the other devices of the process alone', async () => {
    const [victim, other] = await Promise.all([
      createWebGpuDevice({ id: 'victim' }),
      createWebGpuDevice({ id: 'other' }),
    ]);
    const { list, input } = work(other);
    const run = other.run(list, { steps: 2000 });
    const lost = expect(victim.run(work(victim).list, { steps: 200_000 })).rejects.toBeInstanceOf(DeviceLostError);
    simulateLoss(victim);
    await Promise.all([lost, run]);
    expect(new Float32Array(await other.read(input, 0, 4))[0]).toBe(2000);
    await Promise.all([victim.close(), other.close()]);
  });
});

describe('WebGPU memory', () => {
  it('is reused by class and does not grow over 1,000 rounds of create, run, read, release', async () => {
    const device = await createWebGpuDevice({ memoryBudget: 2 ** 22 });
    const create = vi.spyOn(gpuDeviceOf(device), 'createBuffer');
    let steady: unknown;
    for (let round = 0; round < 1000; round++) {
      const { list, input } = work(device);
      if (round % 2) {
        await device.run(list);
        if (round % 10 === 1) expect(new Float32Array(await device.read(input, 0, 4))[0]).toBe(1);
      } else void device.run(list);
      for (const buffer of list[0]!.buffers) buffer.release();
      if (round % 10 === 1) expect(device.memory.inUse).toBe(0);
      if (round === 101) steady = { made: create.mock.calls.length, idle: bufferPoolStatistics(device).idleBytes };
    }
    await device.run([]);
    await works(device);
    const { created, reused, liveBuffers, liveBytes, idleBytes } = bufferPoolStatistics(device);
    expect(device.memory.inUse).toBe(0);
    expect({ liveBuffers, liveBytes }).toEqual({ liveBuffers: 0, liveBytes: 0 });
    expect(created).toBeLessThan(20);
    expect(created + reused).toBe(2002);
    // The last check of what works made its own two small ones, and one to read through.
    expect(create.mock.calls.length).toBeLessThanOrEqual((steady as { made: number }).made + 3);
    expect(idleBytes).toBeLessThanOrEqual(2 ** 22 / 8);
    await device.close();
  });

  it('keeps no more released bytes than it is allowed to', async () => {
    const device = await createWebGpuDevice({ memoryBudget: 2 ** 22, poolBytes: 0 });
    await works(device);
    expect(bufferPoolStatistics(device)).toMatchObject({ created: 2, destroyed: 2, idleBuffers: 0, idleBytes: 0 });
    await device.close();
    expect(() => bufferPoolStatistics(createOracleDevice())).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }) as Error,
    );
  });

  it('opens and closes 30 devices, several at a time', async () => {
    for (let round = 0; round < 10; round++) {
      const devices = await Promise.all([0, 1, 2].map((i) => createWebGpuDevice({ id: `d${i}` })));
      const results = await Promise.all(
        devices.map(async (device, i) => {
          const { list, input } = work(device);
          await device.run(list, { steps: i + 1 });
          return new Float32Array(await device.read(input, 0, 4))[0];
        }),
      );
      expect(results).toEqual([1, 2, 3]);
      await Promise.all(devices.map((device) => device.close()));
    }
  });
});

describe('finding WebGPU', () => {
  it('reports what there is', async () => {
    const report = await describeWebGpu();
    expect(report.available).toBe(true);
    expect(report.capabilities!.maxBufferBytes).toBeGreaterThan(2 ** 20);
  });

  /** `navigator.gpu` with this adapter, which is looked for first. */
  function browser(adapter: unknown): { asked: number } {
    const seen = { asked: 0 };
    const requestAdapter = async (): Promise<unknown> => {
      seen.asked++;
      return typeof adapter === 'function' ? (adapter as () => unknown)() : adapter;
    };
    vi.stubGlobal('navigator', { gpu: { requestAdapter } });
    return seen;
  }
  const unavailable = async (options: WebGpuDeviceOptions): Promise<string> => {
    const error = await createWebGpuDevice(options).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TuttiError);
    expect(error).toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    return (error as TuttiError).message;
  };

  it('says why there is no adapter', async () => {
    browser(null);
    const report = await describeWebGpu();
    expect(report).toEqual({ available: false, why: expect.stringMatching(/no adapter.*blocked or has no driver/) });
    expect(await unavailable({})).toBe(report.why);
    browser(() => {
      throw new Error('the GPU process crashed');
    });
    expect(await describeWebGpu()).toEqual({ available: false, why: 'the GPU process crashed' });
  });

  it('says why the adapter that there is does not count', async () => {
    browser({ info: { vendor: 'google', architecture: 'swiftshader', device: '', description: '' } });
    expect((await describeWebGpu({ software: 'never' })).why).toMatch(/only WebGPU adapter is software \(google swift/);
    expect(await unavailable({ software: 'never' })).toMatch(/software: 'never'/);
    browser({ info: { vendor: 'acme', architecture: 'rocket', device: '', description: '' } });
    expect(await unavailable({ software: 'only' })).toMatch(/hardware \(acme rocket\).*software: 'only'/);
  });

  it('says why the adapter gave no device', async () => {
    browser({
      info: { vendor: 'acme', architecture: 'rocket', device: '', description: 'Rocket 9' },
      features: new Set(),
      limits: {},
      requestDevice: () => Promise.reject(new Error('out of devices')),
    });
    expect(await unavailable({})).toMatch(/"Rocket 9" refused a device: .*out of devices/);
  });

  it('leaves nothing behind when it is refused or given up', async () => {
    const seen = browser(null);
    for (const options of [{ memoryBudget: -1 }, { memoryBudget: 0.5 }, { poolBytes: Number.NaN }, { poolBytes: -1 }]) {
      await expect(createWebGpuDevice(options)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
    await expect(createWebGpuDevice({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(seen.asked).toBe(0);
    // Given up while the adapter is making the device, which is then destroyed.
    const controller = new AbortController();
    const destroy = vi.fn();
    browser({
      info: { vendor: 'acme', architecture: '', device: '', description: '' },
      features: new Set(),
      limits: {},
      requestDevice() {
        controller.abort(new Error('enough'));
        return Promise.resolve({ destroy });
      },
    });
    await expect(createWebGpuDevice({ signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: expect.objectContaining({ message: 'enough' }) as Error,
    });
    expect(destroy).toHaveBeenCalledTimes(1);
  });
});
