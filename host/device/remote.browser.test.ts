/** Remote devices in real Web Workers, with every kind of device inside. */
import { afterEach, describe, expect, it } from 'vitest';
import { DeviceLostError } from '../errors.js';
import { injectCurrentI32 } from '../kernels/snn/index.js';
import type { Device } from './device.js';
import { addStep } from './fixtures/losable-device.js';
import { createDevicePool } from './pool.js';
import { createRemoteDevice } from './remote.js';
import { runWithReplay } from './replay.js';

const workers: Worker[] = [];
const start = (kind: 'oracle' | 'wasm' | 'wasmThreads' | 'webgpu'): Worker => {
  const worker = new Worker(new URL('./fixtures/device-web-worker.ts', import.meta.url), { type: 'module' });
  worker.postMessage({ start: kind });
  workers.push(worker);
  return worker;
};
afterEach(() => workers.splice(0).forEach((worker) => worker.terminate()));

/** input += current, 8 steps long. */
async function inject(device: Device): Promise<readonly number[]> {
  const current = device.allocate(12, 'current');
  const input = device.allocate(12, 'input');
  device.write(current, Int32Array.of(1, -2, 3));
  device.write(input, Int32Array.of(10, 20, 30));
  const calls = [
    injectCurrentI32({ current, input, batch: 1, neurons: 3, inputStride: 3, inputOffset: 0, frames: 1, origin: 2 }),
  ];
  const run = device.run(calls, { steps: 8 });
  const [bytes] = await Promise.all([device.read(input), run]);
  current.release();
  input.release();
  return [...new Int32Array(bytes)];
}

for (const kind of ['oracle', 'wasm', 'wasmThreads', 'webgpu'] as const) {
  it(`${kind} in a Web Worker computes as it does in place`, async () => {
    const device = await createRemoteDevice(start(kind), { terminate: true });
    if (kind === 'wasmThreads') expect(device.capabilities.threads).toBe(2);
    await device.warmup([injectCurrentI32.body]);
    expect(await inject(device)).toEqual([16, 8, 48]);
    expect(device.memory.inUse).toBe(0);
    await device.close();
    expect(await device.lost).toMatchObject({ reason: 'destroyed' });
  });
}

describe('a Web Worker that ends loses its device', () => {
  for (const how of ['terminate', 'throw'] as const) {
    it(how, async () => {
      const worker = start('oracle');
      const device = await createRemoteDevice(worker);
      const values = device.allocate(256, 'values');
      const inFlight = Promise.allSettled([
        device.run([addStep({ values, count: 64, amount: 1 })], { steps: 50_000_000 }),
        device.read(values),
      ]);
      await device.warmup([]);
      if (how === 'terminate') worker.terminate();
      else worker.postMessage('throw');
      for (const result of await inFlight) {
        expect(result.status === 'rejected' && result.reason).toBeInstanceOf(DeviceLostError);
      }
      expect(await device.lost).toMatchObject({ reason: 'lost' });
      await device.close();
    });
  }

  it('and a pool starts another and replays the work there', async () => {
    let current: Worker;
    const pool = createDevicePool({
      members: [
        {
          name: 'worker',
          kind: 'wasm',
          open: (signal) =>
            createRemoteDevice((current = start('wasm')), { terminate: true, ...(signal ? { signal } : {}) }),
        },
      ],
    });
    const result = await runWithReplay(pool, {}, async (device, attempt) => {
      const computing = inject(device);
      if (attempt === 0) current.terminate();
      return computing.then(() => inject(device));
    });
    expect(result).toEqual([16, 8, 48]);
    await pool.close();
  });
});

it('a script that does not load is told, and does not hang', async () => {
  const url = URL.createObjectURL(new Blob(['this is no script'], { type: 'text/javascript' }));
  await expect(createRemoteDevice(new Worker(url))).rejects.toBeInstanceOf(DeviceLostError);
  URL.revokeObjectURL(url);
});
