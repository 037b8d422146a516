/** Remote devices in real worker threads, with every kind of device inside. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeviceLostError } from '../errors.js';
import { injectCurrentI32 } from '../kernels/snn/index.js';
import type { Device } from './device.js';
import { bundleDeviceWorker, type WorkerBundle } from './fixtures/bundle-worker.js';
import { addStep } from './fixtures/losable-device.js';
import { createDevicePool } from './pool.js';
import { createRemoteDevice } from './remote.js';
import { runWithReplay } from './replay.js';

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleDeviceWorker();
});
afterAll(() => bundle.remove());

/** input += current, 8 steps long, with the uploads, two runs and the read issued in one go. */
async function inject(device: Device): Promise<readonly number[]> {
  const current = device.allocate(12, 'current');
  const input = device.allocate(12, 'input');
  device.write(current, Int32Array.of(1, -2, 3));
  device.write(input, Int32Array.of(10, 20, 30));
  const calls = [
    injectCurrentI32({ current, input, batch: 1, neurons: 3, inputStride: 3, inputOffset: 0, frames: 1, origin: 2 }),
  ];
  const runs = [device.run(calls, { steps: 5 }), device.run(calls, { steps: 3, firstStep: 5 })];
  const [bytes] = await Promise.all([device.read(input), ...runs]);
  const result = new Int32Array(bytes);
  current.release();
  input.release();
  return [...result];
}

/** Long enough to be in flight when something happens. */
function endlessRun(device: Device): Promise<void> {
  const values = device.allocate(4 * 64, 'values');
  return device.run([addStep({ values, count: 64, amount: 1 })], { steps: 50_000_000 });
}

for (const kind of ['oracle', 'wasm', 'wasmThreads', 'webgpu'] as const) {
  it(`${kind} in a worker thread computes as it does in place`, async () => {
    const worker = bundle.start(kind);
    const exit = once(worker, 'exit');
    const device = await createRemoteDevice(worker);
    expect(device.kind).toBe(kind === 'wasmThreads' ? 'wasm' : kind);
    await device.warmup([injectCurrentI32.body]);
    expect(await inject(device)).toEqual([16, 8, 48]);
    expect(device.memory.inUse).toBe(0);
    await device.close();
    await exit; // nothing keeps the worker alive once its device is closed
  });
}

it('several at once, each in its own thread, do not disturb each other', async () => {
  const devices = await Promise.all(
    (['wasm', 'oracle', 'webgpu'] as const).map((kind) => createRemoteDevice(bundle.start(kind))),
  );
  const results = await Promise.all(devices.flatMap((device) => [inject(device), inject(device)]));
  for (const result of results) expect(result).toEqual([16, 8, 48]);
  await Promise.all(devices.map((device) => device.close()));
});

describe('a worker that dies loses its device', () => {
  const deaths: Readonly<Record<string, (worker: ReturnType<WorkerBundle['start']>) => unknown>> = {
    exits: (worker) => worker.postMessage('exit'),
    throws: (worker) => worker.postMessage('throw'),
    'is terminated': (worker) => worker.terminate(),
  };
  for (const [how, die] of Object.entries(deaths)) {
    it(how, async () => {
      const worker = bundle.start('oracle');
      const device = await createRemoteDevice(worker);
      const inFlight = Promise.allSettled([
        endlessRun(device),
        device.warmup([]).then(() => device.read(device.allocate(8, 'more'))),
      ]);
      die(worker);
      const results = await inFlight;
      for (const result of results)
        expect(result.status === 'rejected' && result.reason).toBeInstanceOf(DeviceLostError);
      expect(await device.lost).toMatchObject({
        reason: 'lost',
        message: expect.stringMatching(/the worker (failed|exited)/),
      });
      await device.close();
    });
  }

  it('before it is ready', async () => {
    const worker = bundle.start('oracle');
    const opening = createRemoteDevice(worker);
    await worker.terminate();
    await expect(opening).rejects.toBeInstanceOf(DeviceLostError);
  });

  it('and a pool starts another and replays the work there', async () => {
    let current: ReturnType<WorkerBundle['start']>;
    await using pool = createDevicePool({
      members: [
        {
          name: 'worker',
          kind: 'wasm',
          open: (signal) =>
            createRemoteDevice((current = bundle.start('wasm')), { terminate: true, ...(signal ? { signal } : {}) }),
        },
      ],
    });
    for (let round = 0; round < 3; round++) {
      const result = await runWithReplay(pool, { kind: 'wasm' }, async (device, attempt) => {
        const computing = inject(device);
        if (attempt === 0) void current.terminate();
        return computing.then(() => inject(device));
      });
      expect(result).toEqual([16, 8, 48]);
    }
    expect(pool.members[0]).toMatchObject({ state: 'idle' });
  });
});
