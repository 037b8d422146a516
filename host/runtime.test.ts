import { afterEach, describe, expect, it, vi } from 'vitest';
import { addStep, createLosableDevice } from './device/fixtures/losable-device.js';
import { openWordMachine } from './fpga/fixtures/word-machine.js';
import { injectCurrentI32 } from './kernels/snn/index.js';
import type { PoolMember } from './device/pool.js';
import * as tutti from './index.js';
import { createRuntime, runWithReplay, TuttiError, type Device, type Runtime } from './index.js';

let runtime: Runtime | undefined;
afterEach(() => runtime?.close());

const member = (name: string, open?: PoolMember['open']): PoolMember => ({
  name,
  kind: 'simulated',
  open: open ?? (() => Promise.resolve(createLosableDevice(name).device)),
});

async function inject(device: Device): Promise<readonly number[]> {
  const current = device.allocate(8, 'current');
  const input = device.allocate(8, 'input');
  device.write(current, Int32Array.of(3, -4));
  await device.run(
    [injectCurrentI32({ current, input, batch: 1, neurons: 2, inputStride: 2, inputOffset: 0, frames: 1, origin: 0 })],
    { steps: 5 },
  );
  return [...new Int32Array(await device.read(input))];
}

describe('createRuntime', () => {
  it("'auto' opens Wasm and WebGPU, and both compute", async () => {
    const seen: string[] = [];
    runtime = await createRuntime({ onProgress: ({ done, total, what }) => seen.push(`${done}/${total} ${what}`) });
    expect(runtime.devices.map((device) => device.kind).sort()).toEqual(['wasm', 'webgpu']);
    expect(seen.map((line) => line.slice(0, 3))).toEqual(['1/2', '2/2']);
    for (const kind of ['wasm', 'webgpu'] as const) {
      expect(await runWithReplay(runtime.pool, { kind }, inject)).toEqual([15, -20]);
    }
    const report = runtime.report();
    expect(report.devices.map((device) => device.state)).toEqual(['idle', 'idle']);
    for (const device of report.devices) expect(device.memory!.peak).toBeGreaterThan(0);
  });

  it('opens exactly what a list names, with the given budget and threads', async () => {
    runtime = await createRuntime({ devices: ['wasm'], memoryBudget: 2 ** 20, threads: 2 });
    expect(runtime.devices).toHaveLength(1);
    expect(runtime.devices[0]!.memory.budget).toBe(2 ** 20);
    expect(runtime.devices[0]!.capabilities.threads).toBe(2);
  });

  it('a device that was asked for by name must open, and nothing stays behind', async () => {
    const good = createLosableDevice('good');
    const bad = new TuttiError('DEVICE_UNAVAILABLE', 'no board on this bus');
    const opening = createRuntime({
      devices: [member('good', () => Promise.resolve(good.device)), member('bad', () => Promise.reject(bad))],
    });
    await expect(opening).rejects.toBe(bad);
    expect(await good.device.lost).toMatchObject({ reason: 'destroyed' });
  });

  it('has boards as members, which only those get who ask for them', async () => {
    runtime = await createRuntime({
      devices: ['wasm'],
      fpga: [{ link: openWordMachine() }, { link: openWordMachine(), id: 'second' }],
      memoryBudget: 2 ** 20,
    });
    expect(runtime.report().devices.map(({ name, kind, state }) => [name, kind, state])).toEqual([
      ['wasm', 'wasm', 'idle'],
      ['fpga', 'fpga', 'idle'],
      ['second', 'fpga', 'idle'],
    ]);
    expect(runtime.devices[1]!.memory.budget).toBe(2 ** 20);
    const any = await runtime.pool.lease();
    const waiting = runtime.pool.lease();
    const board = await runtime.pool.lease({ kind: 'fpga', count: 2 });
    expect(board.devices.map(({ id }) => id)).toEqual(['fpga', 'second']);
    any.release();
    expect((await waiting).devices[0]!.kind).toBe('wasm');
    const twin = await createRuntime({ devices: ['fpga'] });
    expect(twin.devices.map(({ kind, capabilities }) => [kind, capabilities.machine?.spus])).toEqual([['fpga', 16]]);
    await twin.close();
    const nowhere = createRuntime({ devices: ['fpga'], fpga: { url: 'tcp://127.0.0.1:1' } });
    await expect(nowhere).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE', where: 'tcp://127.0.0.1:1' });
  });

  it('carries members of any kind', async () => {
    runtime = await createRuntime({ devices: [member('a'), member('b')] });
    const lease = await runtime.pool.lease({ count: 2 });
    const values = lease.devices[1]!.allocate(4, 'values');
    await lease.devices[1]!.run([addStep({ values, count: 1, amount: 7 })]);
    expect(new Uint32Array(await lease.devices[1]!.read(values))[0]).toBe(7);
    lease.release();
    await runtime.close();
    await runtime.close();
    expect(runtime.devices).toEqual([]);
    expect(runtime.report().devices.map((device) => device.state)).toEqual(['closed', 'closed']);
  });

  it('refuses bad options by name', async () => {
    const bad = (options: unknown): Promise<Runtime> => createRuntime(options as Parameters<typeof createRuntime>[0]);
    await expect(bad({ devices: ['wasm', 'cuda'] })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      where: 'devices[1]',
    });
    await expect(bad({ devices: [] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(bad({ devices: 'wasm' })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(bad({ devices: ['wasm', 'wasm'] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(bad({ devices: ['wasm'], threads: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  it('honours its signal in the midst of opening, and closes what was open by then', async () => {
    const good = createLosableDevice('good');
    const controller = new AbortController();
    const opening = createRuntime({
      devices: [
        member('good', () => Promise.resolve(good.device)),
        member(
          'slow',
          (signal) => new Promise((_, reject) => signal!.addEventListener('abort', () => reject(new Error('stopped')))),
        ),
      ],
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(opening).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await good.device.lost).toMatchObject({ reason: 'destroyed' });
    await expect(createRuntime({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe("'auto' without WebGPU", () => {
  it('is a notice that says why, not an error', async () => {
    // The driver file that the environment names is not there: Dawn finds no adapter.
    vi.stubEnv('VK_DRIVER_FILES', '/nowhere/no_driver.json');
    vi.stubEnv('VK_ICD_FILENAMES', '/nowhere/no_driver.json');
    try {
      runtime = await createRuntime();
      expect(runtime.devices.map((device) => device.kind)).toEqual(['wasm']);
      const { notices, devices } = runtime.report();
      expect(notices.join('\n')).toMatch(/no webgpu: .*no_driver\.json/);
      expect(devices.find((device) => device.name === 'webgpu')).toMatchObject({ state: 'failed' });
      expect(await runWithReplay(runtime.pool, { kind: ['webgpu', 'wasm'] }, inject)).toEqual([15, -20]);
      await expect(createRuntime({ devices: ['webgpu'] })).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

it('the public entry exports what it promises', () => {
  const functions = [
    'createRuntime',
    'createDevicePool',
    'createFpgaDevice',
    'createWasmDevice',
    'createWebGpuDevice',
    'createOracleDevice',
    'createRemoteDevice',
    'serveDevice',
    'runWithReplay',
    'describeDevices',
    'TuttiError',
    'DeviceLostError',
    'MemoryRefusedError',
  ];
  expect(Object.keys(tutti).sort()).toEqual(functions.sort());
  for (const value of Object.values(tutti)) expect(typeof value).toBe('function');
});
