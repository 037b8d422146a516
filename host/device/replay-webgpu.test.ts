/** The real thing: WebGPU devices destroyed behind the runtime's back in mid-run, 100 times in a row. */
import { expect, it } from 'vitest';
import type { Device } from './device.js';
import { addStep } from './fixtures/losable-device.js';
import { createDevicePool } from './pool.js';
import { runWithReplay } from './replay.js';
import { createWebGpuDevice, simulateLoss } from './webgpu.js';

const STEPS = 300;
const COUNT = 1000;
const input = Uint32Array.from({ length: COUNT }, (_, i) => i);
const expected = input.map((value) => value + STEPS + (STEPS * (STEPS - 1)) / 2);

async function work(device: Device, lose: boolean, when: number): Promise<Uint32Array> {
  const values = device.allocate(input.byteLength, 'values');
  device.write(values, input);
  const run = device.run([addStep({ values, count: COUNT, amount: 1 })], { steps: STEPS });
  const read = device.read(values);
  const both = Promise.all([read, run]);
  if (lose) {
    // At another point of the run each time: at once, after some microtasks, or in a later turn.
    for (let i = 0; i < when % 10; i++) await Promise.resolve();
    if (when % 3 === 2) await new Promise((resolve) => setImmediate(resolve));
    simulateLoss(device);
  }
  const [bytes] = await both;
  values.release();
  return new Uint32Array(bytes);
}

it(
  'work on WebGPU devices lost in mid-run gives the right answer, 100 times in a row',
  { timeout: 300_000 },
  async () => {
    await using pool = createDevicePool({
      members: ['gpu 0', 'gpu 1'].map((name) => ({
        name,
        kind: 'webgpu' as const,
        open: (signal?: AbortSignal) => createWebGpuDevice({ id: name, ...(signal ? { signal } : {}) }),
      })),
    });
    let replays = 0;
    let joined = 0;
    pool.on('joined', () => joined++);
    for (let round = 0; round < 100; round++) {
      const result = await runWithReplay(
        pool,
        { kind: 'webgpu' },
        (device, attempt) => work(device, attempt === 0, round),
        {
          onReplay: () => replays++,
        },
      );
      expect(result).toEqual(expected);
    }
    // A loss that comes after the last byte was read needs no replay; there cannot be many of those.
    expect(replays).toBeGreaterThanOrEqual(80);
    expect(joined).toBeGreaterThanOrEqual(100);
    expect(pool.members.map((member) => member.state).filter((state) => state === 'failed')).toEqual([]);
  },
);
