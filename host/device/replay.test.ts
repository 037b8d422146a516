import { afterEach, describe, expect, it } from 'vitest';
import { DeviceLostError, TuttiError } from '../errors.js';
import type { Device } from './device.js';
import { addStep, createLosableDevice, type LosableDevice } from './fixtures/losable-device.js';
import { createDevicePool, type DevicePool } from './pool.js';
import { runWithReplay } from './replay.js';

const opened: LosableDevice[] = [];
const byDevice = (device: Device): LosableDevice => opened.find((made) => made.device === device)!;
let pool: DevicePool;

const open = (names: readonly string[], maxRestarts?: number): void => {
  opened.length = 0;
  pool = createDevicePool({
    backoffMs: 1,
    members: names.map((name) => ({
      name,
      kind: 'simulated' as const,
      ...(maxRestarts === undefined ? {} : { maxRestarts }),
      open() {
        const made = createLosableDevice(`${name}#${opened.length}`);
        opened.push(made);
        return Promise.resolve(made.device);
      },
    })),
  });
};
afterEach(() => pool.close());

/** 16 steps over host data: each value becomes 2 * 16 + (0 + 1 + ... + 15) + itself. */
async function work(device: Device, input: Uint32Array): Promise<Uint32Array> {
  const values = device.allocate(input.byteLength, 'values');
  try {
    device.write(values, input);
    await device.run([addStep({ values, count: input.length, amount: 2 })], { steps: 16 });
    return new Uint32Array(await device.read(values));
  } finally {
    values.release();
  }
}
const input = Uint32Array.of(5, 6, 7);
const expected = Uint32Array.of(157, 158, 159);

describe('runWithReplay', () => {
  it('gives the right answer with the device lost in mid-run, 100 times in a row', async () => {
    open(['a', 'b']);
    let replays = 0;
    for (let round = 0; round < 100; round++) {
      const result = await runWithReplay(
        pool,
        {},
        (device, attempt) => {
          if (attempt === 0) byDevice(device).loseAfter(1 + (round % 15), 'pulled out');
          return work(device, input);
        },
        { onReplay: () => replays++ },
      );
      expect(result).toEqual(expected);
    }
    expect(replays).toBe(100);
    expect(opened.length).toBeGreaterThanOrEqual(100);
  });

  it('also when the loss is only the cause of the error', async () => {
    open(['a']);
    const result = await runWithReplay(pool, {}, async (device, attempt) => {
      if (attempt === 0) byDevice(device).lose('at once');
      return work(device, input).catch((cause: unknown) => {
        throw new Error('wrapped', { cause });
      });
    });
    expect(result).toEqual(expected);
  });

  it('does not take the dead device again when its pool hears late of the loss', async () => {
    const made: LosableDevice[] = [];
    pool = createDevicePool({
      members: [
        {
          name: 'late',
          kind: 'simulated',
          open() {
            const losable = createLosableDevice(`late#${made.length}`);
            made.push(losable);
            const lost = losable.device.lost.then(
              (why) => new Promise<typeof why>((resolve) => setTimeout(() => resolve(why), 20)),
            );
            return Promise.resolve({ ...losable.device, lost });
          },
        },
      ],
    });
    const used: string[] = [];
    const result = await runWithReplay(pool, {}, (device, attempt) => {
      used.push(device.id);
      if (attempt === 0) made[0]!.lose('now');
      const values = made.at(-1)!.device;
      return work(values, input);
    });
    expect(result).toEqual(expected);
    expect(used).toEqual(['late#0', 'late#1']);
  });

  it('stops after the given number of attempts, and leaves nothing leased', async () => {
    open(['a', 'b']);
    const attempts: number[] = [];
    const error = await runWithReplay(
      pool,
      {},
      (device, attempt) => {
        attempts.push(attempt);
        byDevice(device).lose('always');
        return work(device, input);
      },
      { attempts: 3 },
    ).catch((e: unknown) => e);
    expect(attempts).toEqual([0, 1, 2]);
    expect(error).toBeInstanceOf(DeviceLostError);
    expect((error as Error).message).toContain('in the last of 3 attempts');
    (await pool.lease({ count: 2 })).release();
  });

  it('lets other errors through at once and releases the device', async () => {
    open(['a']);
    let calls = 0;
    const failing = runWithReplay(pool, {}, () => {
      calls++;
      return Promise.reject(new RangeError('mine'));
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(calls).toBe(1);
    (await pool.lease()).release();
  });

  it('does not replay work whose device was closed on purpose', async () => {
    open(['a', 'b']);
    let calls = 0;
    const closed = runWithReplay(pool, {}, async (device) => {
      calls++;
      await device.close();
      return work(device, input);
    });
    await expect(closed).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    expect(calls).toBe(1);
  });

  it('says so when there is nothing left to run on', async () => {
    open(['a'], 0);
    const dead = runWithReplay(pool, {}, (device) => {
      byDevice(device).lose('for good');
      return work(device, input);
    });
    await expect(dead).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('for good'),
    });
  });

  it('honours its signal, while waiting and between attempts', async () => {
    open(['a']);
    const held = await pool.lease();
    const controller = new AbortController();
    const waiting = runWithReplay(pool, {}, (device) => work(device, input), { signal: controller.signal });
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    held.release();
    const between = new AbortController();
    const replayed = runWithReplay(
      pool,
      {},
      (device) => {
        byDevice(device).lose('now');
        return work(device, input);
      },
      { signal: between.signal, onReplay: () => between.abort() },
    );
    await expect(replayed).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(runWithReplay(pool, {}, () => Promise.resolve(1), { attempts: 0 })).rejects.toThrow(TuttiError);
  });
});
