import { describe, expect, it } from 'vitest';
import { DeviceLostError } from '../errors.js';
import { defineKernel } from '../kernels/kernel.js';
import { injectCurrentF32, spikeCompact } from '../kernels/snn/index.js';
import type { Device, KernelCall } from './device.js';
import { bufferPoolStatistics, createWebGpuDevice, describeWebGpu, simulateLoss } from './webgpu.js';

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
    const broken = doubling(`${header}\n@compute @workgroup_size(64) fn double() { data[0] = nonsense; }`);
    await expect(device.run([broken({ factor, data, count: 16 })])).rejects.toMatchObject({
      code: 'KERNEL_UNSUPPORTED',
      message: expect.stringMatching(/kernel double.*line 7.*nonsense/s) as string,
    });
    // The device is as good as before.
    device.write(factor, Float32Array.of(3));
    device.write(data, new Float32Array(16).fill(2));
    await device.run([doubling(good)({ factor, data, count: 16 })]);
    expect([...new Float32Array(await device.read(data))]).toEqual(new Array(16).fill(6));
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
    });
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

describe('WebGPU devices that are lost', () => {
  it('in mid-run, in mid-read and in warm-up, 100 times in a row, reject everything and hang nothing', async () => {
    for (let round = 0; round < 100; round++) {
      const device = await createWebGpuDevice({ id: `victim ${round}` });
      const { list, input } = work(device);
      const pending =
        round % 3 === 0
          ? [device.run(list, { steps: 200_000 }), device.read(input)]
          : round % 3 === 1
            ? [device.read(input), device.read(input)]
            : [device.warmup([spikeCompact.body]), device.run(list, { steps: 100 })];
      const settled = Promise.allSettled(pending);
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, round % 7));
      simulateLoss(device);
      for (const result of await settled) {
        if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(DeviceLostError);
      }
      expect((await device.lost).reason).toBe('lost');
      await expect(device.read(input)).rejects.toBeInstanceOf(DeviceLostError);
      await expect(device.run(list)).rejects.toBeInstanceOf(DeviceLostError);
      expect(() => device.allocate(4, 'late')).toThrow(DeviceLostError);
      input.release();
      await device.close();
    }
  });
});

describe('WebGPU memory', () => {
  it('is reused by class and does not grow over 1,000 rounds', async () => {
    const device = await createWebGpuDevice({ memoryBudget: 2 ** 22 });
    for (let round = 0; round < 1000; round++) {
      const { list, input } = work(device);
      await device.run(list);
      list[0]!.buffers.forEach((buffer) => buffer.release());
      if (round % 250 === 0) expect(input.released).toBe(true);
    }
    const { created, reused, liveBuffers } = bufferPoolStatistics(device);
    expect(device.memory.inUse).toBe(0);
    expect(liveBuffers).toBe(0);
    expect(created).toBeLessThan(20);
    expect(created + reused).toBe(2000);
    await device.close();
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

  it('says why when software does not count', async () => {
    const report = await describeWebGpu({ software: 'never' });
    if (!report.available) expect(report.why).toMatch(/software|no adapter/);
    await expect(createWebGpuDevice({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
