import { afterEach, describe, expect, it, vi } from 'vitest';
import { TuttiError } from '../errors.js';
import type { DeviceKind } from './device.js';
import { createLosableDevice, type LosableDevice } from './fixtures/losable-device.js';
import { createDevicePool, type DevicePool, type DevicePoolOptions, type PoolMember } from './pool.js';

interface TestMember extends PoolMember {
  /** Every device that was opened, oldest first. */
  readonly opened: LosableDevice[];
  /** Errors for the next openings. */
  readonly failures: Error[];
}

function member(name: string, options: { kind?: DeviceKind; budget?: number; maxRestarts?: number } = {}): TestMember {
  const opened: LosableDevice[] = [];
  const failures: Error[] = [];
  return {
    name,
    kind: options.kind ?? 'simulated',
    ...(options.maxRestarts === undefined ? {} : { maxRestarts: options.maxRestarts }),
    opened,
    failures,
    open() {
      const failure = failures.shift();
      if (failure) return Promise.reject(failure);
      const made = createLosableDevice(`${name}#${opened.length}`, options.budget);
      opened.push(made);
      return Promise.resolve(made.device);
    },
  };
}

let pool: DevicePool;
const open = async (members: readonly PoolMember[], options: Partial<DevicePoolOptions> = {}): Promise<DevicePool> => {
  pool = createDevicePool({ members, backoffMs: 1, ...options });
  await pool.settled();
  return pool;
};
afterEach(async () => {
  vi.useRealTimers();
  await pool.close();
});

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const next = <E extends 'joined' | 'lost' | 'failed'>(event: E): Promise<unknown> =>
  new Promise((resolve) => {
    const stop = pool.on(event, (payload) => {
      stop();
      resolve(payload);
    });
  });

/** Whether a promise has an answer by now. */
async function answered(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const note = (): void => void (done = true);
  promise.then(note, note);
  await settle();
  return done;
}

describe('lease', () => {
  it('gives a device to one holder at a time, in the order of asking', async () => {
    await open([member('a')]);
    const first = await pool.lease();
    const order: number[] = [];
    const waiting = [1, 2, 3].map((n) => pool.lease().then((lease) => (order.push(n), lease)));
    await settle();
    expect(order).toEqual([]);
    first.release();
    for (const lease of waiting) (await lease).release();
    expect(order).toEqual([1, 2, 3]);
  });

  it('release is idempotent and does not free what another holds by then', async () => {
    await open([member('a')]);
    const first = await pool.lease();
    first.release();
    const second = await pool.lease();
    first.release();
    expect([first.released, second.released]).toEqual([true, false]);
    expect(await answered(pool.lease())).toBe(false);
  });

  it('waits for the first opening', async () => {
    let release!: () => void;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const late = member('late');
    pool = createDevicePool({
      members: [{ name: 'late', kind: 'simulated', open: () => gate.then(() => late.open()) }],
    });
    const lease = pool.lease();
    expect(await answered(lease)).toBe(false);
    release();
    expect((await lease).devices[0]!.id).toBe('late#0');
  });

  it('takes the kinds in order of preference, among the devices that are free', async () => {
    await open([member('w', { kind: 'wasm' }), member('g', { kind: 'webgpu' })]);
    const kind = ['webgpu', 'wasm'] as const;
    const ids = [(await pool.lease({ kind })).devices[0]!.id, (await pool.lease({ kind })).devices[0]!.id];
    expect(ids).toEqual(['g#0', 'w#0']);
  });

  it('leases several devices at once, and excludes by name', async () => {
    await open([member('a'), member('b'), member('c')]);
    const lease = await pool.lease({ count: 2, exclude: ['a'] });
    expect(lease.devices.map((d) => d.id)).toEqual(['b#0', 'c#0']);
    await expect(pool.lease({ count: 3, exclude: ['a'] })).rejects.toThrow(
      /3 devices other than a.*a \(simulated, idle\)/,
    );
  });

  it('a large request is not starved by small ones, and does not hold up those that it cannot use', async () => {
    await open([member('a'), member('b'), member('w', { kind: 'wasm' })]);
    const a = await pool.lease({ kind: 'simulated' });
    const both = pool.lease({ kind: 'simulated', count: 2 });
    const one = pool.lease({ kind: 'simulated' });
    const other = await pool.lease({ kind: 'wasm' });
    expect(other.devices[0]!.id).toBe('w#0');
    expect(await answered(one)).toBe(false);
    a.release();
    const pair = await both;
    expect(pair.devices).toHaveLength(2);
    expect(await answered(one)).toBe(false);
    pair.release();
    (await one).release();
  });

  it('prefers a device with the bytes unused, and takes another rather than wait', async () => {
    await open([member('a', { budget: 1000 }), member('b', { budget: 1000 })]);
    pool.devices[0]!.allocate(600, 'resident weights');
    const first = await pool.lease({ bytes: 500 });
    const second = await pool.lease({ bytes: 500 });
    expect([first.devices[0]!.id, second.devices[0]!.id]).toEqual(['b#0', 'a#0']);
  });

  it('refuses at once what can never be met, saying what there is', async () => {
    await open([member('a', { budget: 1000 }), member('b', { budget: 2000 })]);
    const held = await pool.lease({ count: 2 });
    const refused = async (request: Parameters<DevicePool['lease']>[0]): Promise<TuttiError> => {
      const error = await pool.lease(request).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(TuttiError);
      return error as TuttiError;
    };
    const kind = await refused({ kind: 'fpga' });
    expect(kind.code).toBe('DEVICE_UNAVAILABLE');
    expect(kind.message).toContain('1 fpga device');
    expect(kind.message).toContain('a (simulated, leased)');
    expect((await refused({ count: 3 })).code).toBe('DEVICE_UNAVAILABLE');
    const bytes = await refused({ bytes: 3000 });
    expect(bytes.code).toBe('MEMORY_REFUSED');
    expect(bytes.facts).toMatchObject({ need: 3000, budgets: [{ budget: 1000 }, { budget: 2000 }] });
    expect((await refused({ bytes: 1500, count: 2 })).code).toBe('MEMORY_REFUSED');
    for (const bad of [{ count: 0 }, { count: 1.5 }, { bytes: -1 }, { bytes: Number.NaN }]) {
      expect((await refused(bad)).code).toBe('OPTION_INVALID');
    }
    held.release();
  });

  it('an abort takes a request out of the queue and lets the next one through', async () => {
    await open([member('a'), member('b')]);
    const a = await pool.lease();
    const controller = new AbortController();
    const both = pool.lease({ count: 2, signal: controller.signal });
    const one = pool.lease();
    expect(await answered(one)).toBe(false);
    controller.abort(new Error('enough'));
    await expect(both).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') });
    (await one).release();
    a.release();
    await expect(pool.lease({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await pool.lease({ count: 2 })).devices).toHaveLength(2);
  });

  it('an abort after the grant changes nothing', async () => {
    await open([member('a')]);
    const controller = new AbortController();
    const removed = vi.spyOn(controller.signal, 'removeEventListener');
    const lease = await pool.lease({ signal: controller.signal });
    expect(removed).toHaveBeenCalledTimes(1);
    controller.abort();
    expect(lease.released).toBe(false);
  });
});

describe('events', () => {
  it('come with their payloads, and stop', async () => {
    pool = createDevicePool({ members: [member('a')] });
    const seen: string[] = [];
    const stops = [
      pool.on('joined', ({ member: name, device }) => seen.push(`joined ${name} ${device.id}`)),
      pool.on('leased', ({ devices }) => seen.push(`leased ${devices.length}`)),
      pool.on('released', ({ devices }) => seen.push(`released ${devices.length}`)),
    ];
    const lease = await pool.lease();
    lease.release();
    lease.release();
    stops.forEach((stop) => stop());
    (await pool.lease()).release();
    expect(seen).toEqual(['joined a a#0', 'leased 1', 'released 1']);
  });

  it('a listener may lease in the midst of a round, and no device is given twice', async () => {
    await open([member('a'), member('b')]);
    const both = await pool.lease({ count: 2 });
    const waiting = [pool.lease(), pool.lease(), pool.lease()];
    const stop = pool.on('leased', () => {
      stop();
      waiting.push(pool.lease());
    });
    both.release();
    const [first, second] = await Promise.all(waiting.slice(0, 2));
    expect(first!.devices[0]).not.toBe(second!.devices[0]);
    expect(await answered(waiting[2]!)).toBe(false);
    first!.release();
    const third = await waiting[2]!;
    expect(await answered(waiting[3]!)).toBe(false);
    second!.release();
    expect((await waiting[3]!).devices[0]).not.toBe(third.devices[0]);
  });
});

describe('loss', () => {
  it('ends the lease, tells its holder, and brings the member back', async () => {
    const a = member('a');
    await open([a]);
    const lease = await pool.lease();
    const lost = next('lost');
    const joined = next('joined');
    a.opened[0]!.lose('driver reset');
    expect(await lease.lost).toMatchObject({ reason: 'lost', message: 'driver reset', device: { id: 'a#0' } });
    expect(await lost).toMatchObject({ member: 'a', restarting: true, lost: { reason: 'lost' } });
    expect(pool.devices).toEqual([]);
    await joined;
    expect(pool.members).toMatchObject([{ name: 'a', state: 'idle', restarts: 1 }]);
    lease.release(); // late, and of the device that is gone
    const again = await pool.lease();
    expect(again.devices[0]!.id).toBe('a#1');
    expect(await answered(again.lost)).toBe(false);
  });

  it('the other devices of a lease stay leased until it is released', async () => {
    const [a, b] = [member('a', { maxRestarts: 0 }), member('b')];
    await open([a, b]);
    const lease = await pool.lease({ count: 2 });
    a.opened[0]!.lose('gone');
    await lease.lost;
    const waiting = pool.lease();
    expect(await answered(waiting)).toBe(false);
    lease.release();
    expect((await waiting).devices[0]!.id).toBe('b#0');
  });

  it('a device that was closed on purpose is not opened again', async () => {
    const a = member('a');
    await open([a, member('b')]);
    const lost = next('lost');
    await pool.devices[0]!.close();
    expect(await lost).toMatchObject({ restarting: false, lost: { reason: 'destroyed' } });
    await settle();
    expect(a.opened).toHaveLength(1);
    expect(pool.members[0]!.state).toBe('closed');
    const b = await pool.lease();
    expect(b.devices[0]!.id).toBe('b#0');
  });

  it('restarts are bounded: then waiting requests are refused with the reason', async () => {
    const a = member('a', { maxRestarts: 2 });
    await open([a]);
    const lease = await pool.lease();
    const waiting = pool.lease();
    a.failures.push(new Error('no adapter'), new Error('still no adapter'));
    const failed = next('failed');
    a.opened[0]!.lose('unplugged');
    await expect(waiting).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('a (simulated, failed: still no adapter)'),
      cause: new Error('still no adapter'),
    });
    expect(await failed).toMatchObject({ member: 'a', error: new Error('still no adapter') });
    await expect(pool.lease()).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    lease.release();
  });

  it('a lease that ends well starts the count of restarts anew', async () => {
    const a = member('a', { maxRestarts: 1 });
    await open([a]);
    for (let round = 0; round < 5; round++) {
      const joined = next('joined');
      a.opened.at(-1)!.lose('again');
      await joined;
      (await pool.lease()).release();
    }
    expect(a.opened).toHaveLength(6);
    const joined = next('joined');
    a.opened.at(-1)!.lose('first');
    await joined;
    const failed = next('failed');
    a.opened.at(-1)!.lose('second, with no lease in between');
    await failed;
    expect(pool.members[0]!.state).toBe('failed');
  });

  it('a device that was lost lately is taken after its equals', async () => {
    const [a, b] = [member('a'), member('b')];
    await open([a, b]);
    for (const [worse, better] of [
      [a, 'b'],
      [b, 'a'],
      [b, 'a'],
    ] as const) {
      const joined = next('joined');
      worse.opened.at(-1)!.lose('once more');
      await joined;
      const lease = await pool.lease();
      expect(lease.devices[0]!.id).toMatch(new RegExp(`^${better}#`));
      lease.release();
    }
  });

  it('waits longer before each further re-opening, and no longer than until close', async () => {
    const a = member('a', { maxRestarts: 10 });
    await open([a], { backoffMs: 1000 });
    vi.useFakeTimers();
    a.failures.push(...Array.from({ length: 10 }, () => new Error('no')));
    a.opened[0]!.lose('gone');
    const waits: number[] = [];
    for (let left = a.failures.length; left > 4; left = a.failures.length) {
      let waited = 0;
      while (a.failures.length === left) {
        await vi.advanceTimersByTimeAsync(waited === 0 ? 0 : 500);
        waited += waited === 0 ? 0.001 : 500;
        if (waited > 20_000) throw new Error('never opened again');
      }
      waits.push(Math.floor(waited));
    }
    expect(waits).toEqual([0, 1000, 2000, 4000, 5000, 5000]);
    expect(vi.getTimerCount()).toBe(1);
    await pool.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a member that never opens is reported and refused', async () => {
    const a = member('a');
    a.failures.push(new TuttiError('DEVICE_UNAVAILABLE', 'no WebGPU here'));
    await open([a]);
    expect(pool.members[0]).toMatchObject({ state: 'failed', error: { message: 'no WebGPU here' } });
    await expect(pool.lease()).rejects.toThrow('no WebGPU here');
    await expect(pool.add(member('a'))).resolves.toMatchObject({ id: 'a#0' });
    (await pool.lease()).release();
  });
});

describe('members', () => {
  it('joining later serve who waits for a restart', async () => {
    await open([member('a')]);
    const held = await pool.lease();
    const waiting = pool.lease();
    const b = await pool.add(member('b'));
    expect((await waiting).devices[0]).toBe(b);
    held.release();
  });

  it('have names of their own', async () => {
    await open([member('a')]);
    expect(() => createDevicePool({ members: [member('x'), member('x')] })).toThrow(/two pool members are named "x"/);
    await expect(pool.add(member('a'))).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  it('a bad name opens nothing', () => {
    const x = member('x');
    expect(() => createDevicePool({ members: [x, member('x')] })).toThrow(TuttiError);
    expect(x.opened).toHaveLength(0);
  });
});

describe('close', () => {
  it('closes every device, refuses who waits, tells who holds, and is idempotent', async () => {
    const a = member('a');
    await open([a]);
    const lease = await pool.lease();
    const waiting = pool.lease();
    const refused = expect(waiting).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await Promise.all([pool.close(), pool.close()]);
    await refused;
    expect(await lease.lost).toMatchObject({ reason: 'destroyed' });
    expect(await a.opened[0]!.device.lost).toMatchObject({ reason: 'destroyed' });
    lease.release();
    expect(pool.devices).toEqual([]);
    await expect(pool.lease()).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await expect(pool.add(member('b'))).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    expect(a.opened).toHaveLength(1);
  });

  it('aborts an opening, and closes the device of one that comes all the same', async () => {
    const late = createLosableDevice('late');
    let signal: AbortSignal | undefined;
    pool = createDevicePool({
      members: [
        {
          name: 'late',
          kind: 'simulated',
          open: (given) =>
            new Promise((resolve) => {
              signal = given;
              given!.addEventListener('abort', () => resolve(late.device));
            }),
        },
      ],
    });
    const joined = vi.fn();
    pool.on('joined', joined);
    await pool.close();
    expect(signal!.aborted).toBe(true);
    expect(await late.device.lost).toMatchObject({ reason: 'destroyed' });
    expect(joined).not.toHaveBeenCalled();
  });
});
