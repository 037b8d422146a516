/** What device.ts promises, as tests that every implementation runs: in place, in threads, behind a port, in browsers. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryRefusedError } from '../errors.js';
import { injectCurrentF32, recordState, spikeCompact } from '../kernels/snn/index.js';
import type { Device, DeviceBuffer, KernelCall, Progress } from './device.js';
import { createOracleDevice } from './oracle.js';

const MIB = 2 ** 20;

/** The memory budget with which a device under test is opened. */
export const CONTRACT_BUDGET = 8 * MIB;

export interface DeviceContractOptions {
  /** How often buffers are made, used and released in the test that nothing grows. Default 1,000. */
  readonly rounds?: number;
  /** Called after each test, when its device has been closed: ends the worker or the port behind it. */
  readonly cleanUp?: () => unknown;
}

/** Declares the tests; `make` opens a device with a budget of `CONTRACT_BUDGET` that has the kernels of host/kernels/snn. */
export function deviceContract(name: string, make: () => Promise<Device>, options: DeviceContractOptions = {}): void {
  describe(`the device contract: ${name}`, () => {
    let device: Device;
    beforeEach(async () => {
      device = await make();
    });
    afterEach(async () => {
      await device.close();
      await options.cleanUp?.();
    });

    const put = (data: ArrayBufferView, label = 'data'): DeviceBuffer => {
      const buffer = device.allocate(data.byteLength, label);
      device.write(buffer, data);
      return buffer;
    };
    const floats = async (buffer: DeviceBuffer): Promise<number[]> => [...new Float32Array(await device.read(buffer))];
    /** Adds `current` to `input` in every step. */
    const add = (current: DeviceBuffer, input: DeviceBuffer, neurons: number): KernelCall =>
      injectCurrentF32({
        current,
        input,
        batch: 1,
        neurons,
        inputStride: neurons,
        inputOffset: 0,
        frames: current.bytes / 4 / neurons,
        origin: 0,
      });

    it('keeps the order of issue without anything being awaited', async () => {
      const current = put(Float32Array.of(1, 2));
      const input = put(Float32Array.of(10, 10));
      const list = [add(current, input, 2)];
      const runs = [device.run(list, { steps: 3 })];
      device.write(current, Float32Array.of(100, 0));
      runs.push(device.run(list));
      const between = floats(input);
      device.write(input, Float32Array.of(0, 0));
      runs.push(device.run(list, { steps: 2 }));
      const after = floats(input);
      expect(await between).toEqual([113, 16]);
      expect(await after).toEqual([200, 0]);
      await Promise.all(runs);
    });

    it('keeps two lists apart that take turns', async () => {
      const drive = put(Float32Array.of(1, 10));
      const [first, second] = [put(Float32Array.of(0, 0)), put(Float32Array.of(0, 0))];
      const up = [add(drive, first, 2)];
      const on = [add(first, second, 2)];
      const runs = [up, on, up, on, on, up].map((list) => device.run(list));
      const [a, b] = await Promise.all([floats(first), floats(second)]);
      expect(a).toEqual([3, 30]);
      expect(b).toEqual([1 + 2 + 2, 50]);
      await Promise.all(runs);
      // The same two, as one list, and a list of which each call has its own scalars.
      await device.run([...up, ...on], { steps: 2 });
      expect(await floats(second)).toEqual([5 + 4 + 5, 140]);
    });

    it('takes what is written at once, and hands out copies', async () => {
      const whole = Uint32Array.of(1, 2, 3, 4);
      const buffer = device.allocate(8, 'data');
      const part = whole.subarray(1, 3);
      device.write(buffer, part);
      part.fill(99);
      const copy = new Uint32Array(await device.read(buffer));
      expect([...copy]).toEqual([2, 3]);
      copy.fill(77);
      expect([...new Uint32Array(await device.read(buffer))]).toEqual([2, 3]);
      const input = put(Float32Array.of(0));
      const run = device.run([add(put(Float32Array.of(1)), input, 1)], { steps: 1000 });
      const late = Uint32Array.of(5, 6);
      device.write(buffer, late); // while the run is under way
      late.fill(99);
      expect([...new Uint32Array(await device.read(buffer))]).toEqual([5, 6]);
      expect((await floats(input))[0]).toBe(1000);
      await run;
    });

    it('counts steps from firstStep, over many submits and slices', async () => {
      const frames = 5000;
      const current = put(Float32Array.from({ length: frames }, (_, i) => i));
      const input = put(Float32Array.of(0));
      await device.run([add(current, input, 1)], { steps: 3000, firstStep: 1000 });
      expect(await floats(input)).toEqual([sum(1000, 4000)]);
      const state = put(Uint32Array.of(7, 8, 9));
      const record = device.allocate(4 * 4, 'record');
      const ids = put(Uint32Array.of(2));
      await device.run([recordState({ state, ids, record, batch: 1, neurons: 3, chosen: 1, frames: 4, origin: 10 })], {
        steps: 2,
        firstStep: 11,
      });
      expect([...new Uint32Array(await device.read(record))]).toEqual([0, 9, 9, 0]);
    });

    it('hands out zeroed memory, also when it is used again', async () => {
      for (let round = 0; round < 4; round++) {
        const buffer = device.allocate(4096, 'scratch');
        expect(new Uint8Array(await device.read(buffer)).every((byte) => byte === 0)).toBe(true);
        device.write(buffer, new Uint8Array(4096).fill(255));
        buffer.release();
      }
    });

    it('hands out zeroed memory while what was there before is still computed with', async () => {
      const ones = new Float32Array(4096).fill(1);
      const [current, input] = [put(ones), put(ones)];
      const run = device.run([add(current, input, 4096)], { steps: 200 });
      const before = floats(input);
      current.release();
      input.release();
      const fresh = [device.allocate(4 * 4096, 'fresh'), device.allocate(4 * 4096, 'fresh')];
      for (const buffer of fresh) expect((await floats(buffer)).every((value) => value === 0)).toBe(true);
      expect((await before).every((value) => value === 201)).toBe(true);
      await run;
      for (const buffer of fresh) expect((await floats(buffer)).every((value) => value === 0)).toBe(true);
    });

    it('reads and writes ranges, and refuses what lies outside', async () => {
      const buffer = put(Uint32Array.of(1, 2, 3, 4));
      device.write(buffer, Uint32Array.of(30), 8);
      expect([...new Uint32Array(await device.read(buffer, 4, 8))]).toEqual([2, 30]);
      expect((await device.read(buffer, 16, 0)).byteLength).toBe(0);
      for (const [offset, bytes] of [
        [12, 8],
        [-4, 4],
        [2, 4],
        [20, 4],
        [4, 6],
        [0, Number.NaN],
        [Number.NaN, 4],
        [0, 0.5],
        [Infinity, 0],
      ] as const) {
        await expect(device.read(buffer, offset, bytes)).rejects.toMatchObject({ code: 'BUFFER_RANGE' });
      }
      for (const offset of [-4, 2, 16, Number.NaN]) {
        expect(() => device.write(buffer, Uint32Array.of(9), offset)).toThrow(
          expect.objectContaining({ code: 'BUFFER_RANGE' }) as Error,
        );
      }
      expect([...new Uint32Array(await device.read(buffer))]).toEqual([1, 2, 30, 4]);
      expect(() => device.write(buffer, new Uint32Array(2), 12)).toThrow(/outside/);
      const bytes = put(Int8Array.of(-1, 2, -3, 4, 5));
      expect([...new Int8Array(await device.read(bytes))].slice(0, 5)).toEqual([-1, 2, -3, 4, 5]);
      // Part of a word, in the middle: devices that move whole words would spoil its neighbours.
      expect(() => device.write(bytes, Int8Array.of(1, 2, 3))).toThrow(
        expect.objectContaining({ code: 'BUFFER_RANGE' }) as Error,
      );
      device.write(bytes, Int8Array.of(6), 4);
      expect([...new Int8Array(await device.read(bytes))].slice(0, 5)).toEqual([-1, 2, -3, 4, 6]);
      const empty = device.allocate(0, 'empty');
      expect((await device.read(empty)).byteLength).toBe(0);
    });

    it('refuses memory beyond its budget, naming need, budget and holders, and leaves nothing behind', async () => {
      const held = device.allocate(6 * MIB, 'weights');
      const inUse = device.memory.inUse;
      let refused: unknown;
      try {
        device.allocate(4 * MIB, 'activations');
      } catch (error) {
        refused = error;
      }
      expect(refused).toBeInstanceOf(MemoryRefusedError);
      expect(refused).toMatchObject({ code: 'MEMORY_REFUSED', need: 4 * MIB, budget: 8 * MIB });
      expect((refused as Error).message).toMatch(/weights.*release/);
      expect(device.memory.inUse).toBe(inUse);
      expect(device.memory.holders()[0]!.holder).toBe('weights');
      held.release();
      held.release();
      expect(device.memory.inUse).toBe(0);
      const all = device.allocate(CONTRACT_BUDGET, 'all of it');
      expect(() => device.allocate(1, 'one more')).toThrow(MemoryRefusedError);
      expect(device.memory.holders()).toEqual([{ holder: 'all of it', bytes: CONTRACT_BUDGET }]);
      all.release();
      expect(() => device.allocate(2 ** 50, 'huge')).toThrow(
        expect.objectContaining({ code: 'LIMIT_EXCEEDED' }) as Error,
      );
      expect(() => device.allocate(2 ** 50, 'huge')).toThrow(/"huge".*largest buffer/);
      for (const bytes of [-1, 0.5, Number.NaN]) {
        expect(() => device.allocate(bytes, 'no size')).toThrow(
          expect.objectContaining({ code: 'KERNEL_ARGUMENT' }) as Error,
        );
      }
      expect(device.memory.inUse).toBe(0);
      expect(device.memory.holders()).toEqual([]);
      const input = put(Float32Array.of(1));
      await device.run([add(put(Float32Array.of(2)), input, 1)]);
      expect(await floats(input)).toEqual([3]);
    });

    it('finds room for whatever the budget allows, whatever was released before', async () => {
      const pieces = Array.from({ length: 8 }, (_, i) => device.allocate(MIB, `piece ${i}`));
      pieces.forEach((piece, i) => i % 2 && piece.release());
      const long = device.allocate(4 * MIB, 'as long as four pieces');
      device.write(long, Uint32Array.of(1), 4 * MIB - 4);
      expect([...new Uint32Array(await device.read(long, 4 * MIB - 8, 8))]).toEqual([0, 1]);
      for (const piece of [...pieces, long]) piece.release();
      // Released in mid-run: the range is still in use, its lease is not.
      const [current, input] = [device.allocate(3 * MIB, 'current'), device.allocate(3 * MIB, 'input')];
      const run = device.run([add(current, input, (3 * MIB) / 4)], { steps: 2 });
      current.release();
      input.release();
      const next = device.allocate(6 * MIB, 'next');
      expect(new Uint32Array(await device.read(next, 6 * MIB - 4, 4))[0]).toBe(0);
      await run;
    });

    it('refuses released buffers and buffers of other devices', async () => {
      const buffer = put(Float32Array.of(1));
      const input = put(Float32Array.of(1));
      const call = add(buffer, input, 1);
      buffer.release();
      expect(() => device.write(buffer, Float32Array.of(2))).toThrow(
        expect.objectContaining({ code: 'BUFFER_RELEASED' }) as Error,
      );
      await expect(device.read(buffer)).rejects.toMatchObject({ code: 'BUFFER_RELEASED' });
      await expect(device.run([call])).rejects.toMatchObject({ code: 'BUFFER_RELEASED' });
      const other = createOracleDevice({ id: 'another' });
      const foreign = other.allocate(4, 'foreign');
      await expect(device.read(foreign)).rejects.toMatchObject({ code: 'KERNEL_ARGUMENT' });
      await expect(device.run([add(foreign, input, 1)])).rejects.toThrow(/belongs to device another/);
      await other.close();
    });

    it('does nothing for no steps and no calls, and refuses half steps', async () => {
      const input = put(Float32Array.of(1));
      const list = [add(put(Float32Array.of(5)), input, 1)];
      await device.run([], { steps: 10 });
      await device.run(list, { steps: 0 });
      expect(await floats(input)).toEqual([1]);
      await expect(device.run(list, { steps: 1.5 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
      await expect(device.run(list, { steps: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    });

    it('leaves a run that follows an aborted one alone', async () => {
      const input = device.allocate(4 * 4096, 'input');
      const list = [add(put(new Float32Array(4096).fill(1)), input, 4096)];
      const controller = new AbortController();
      const long = device.run(list, {
        steps: 2_000_000,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      });
      const aborted = expect(long).rejects.toMatchObject({ code: 'ABORTED' });
      device.write(input, new Float32Array(4096).fill(5));
      const next = device.run(list, { steps: 3 });
      const result = floats(input);
      await aborted;
      await next;
      expect((await result).every((value) => value === 8)).toBe(true);
    });

    it('rejects only the call whose progress callback throws', async () => {
      const input = device.allocate(4 * 4096, 'input');
      const list = [add(put(new Float32Array(4096).fill(1)), input, 4096)];
      const run = device.run(list, {
        steps: 2_000_000,
        onProgress() {
          throw new RangeError('a bug of the caller');
        },
      });
      await expect(run).rejects.toThrow('a bug of the caller');
      device.write(input, new Float32Array(4096));
      await device.run(list);
      expect((await floats(input))[4095]).toBe(1);
    });

    it('reports progress up to the last step', async () => {
      const list = [add(put(Float32Array.of(1)), put(Float32Array.of(0)), 1)];
      const seen: number[] = [];
      await device.run(list, {
        steps: 4000,
        onProgress: ({ done, total }) => void (expect(total).toBe(4000), seen.push(done)),
      });
      expect(seen.at(-1)).toBe(4000);
      expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    });

    it('can be aborted before and in the middle of a run, and goes on afterwards', async () => {
      const input = device.allocate(4 * 4096, 'input');
      const list = [add(put(new Float32Array(4096).fill(1)), input, 4096)];
      await expect(device.run(list, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
      await device.run(list, { steps: 3 });
      const controller = new AbortController();
      const long = device.run(list, {
        steps: 2_000_000,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('enough')),
      });
      await expect(long).rejects.toMatchObject({
        code: 'ABORTED',
        cause: expect.objectContaining({ message: 'enough' }) as Error,
      });
      device.write(input, new Float32Array(4096));
      await device.run(list, { steps: 2 });
      expect((await floats(input))[17]).toBe(2);
    });

    it('warms up with progress, also twice at once', async () => {
      const seen: Progress[] = [];
      const bodies = [injectCurrentF32.body, recordState.body, injectCurrentF32.body];
      await Promise.all([
        device.warmup(bodies, { onProgress: (progress) => void seen.push(progress) }),
        device.warmup(bodies),
      ]);
      expect(seen.at(-1)).toMatchObject({ done: 3, total: 3 });
      expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b));
      await device.warmup([]);
      const again: Progress[] = [];
      await device.warmup(bodies, { onProgress: (progress) => void again.push(progress) });
      expect(again.at(-1)).toMatchObject({ done: 3, total: 3 });
      await expect(device.warmup(bodies, { signal: AbortSignal.abort(new Error('no')) })).rejects.toMatchObject({
        code: 'ABORTED',
        cause: expect.objectContaining({ message: 'no' }) as Error,
      });
      const input = put(Float32Array.of(1));
      await device.run([add(put(Float32Array.of(5)), input, 1)]);
      expect(await floats(input)).toEqual([6]);
    });

    it('warms up and computes at the same time', async () => {
      const input = put(Float32Array.of(1));
      const list = [add(put(Float32Array.of(1)), input, 1)];
      await device.run(list);
      const runs = [device.run(list, { steps: 500 })];
      const warm = [device.warmup([recordState.body]), device.warmup([spikeCompact.body])];
      runs.push(device.run(list, { steps: 500 }));
      await Promise.all([...runs, ...warm]);
      expect(await floats(input)).toEqual([1002]);
    });

    const { rounds = 1000 } = options;
    it(`does not grow over ${rounds} rounds of create, run, release`, async () => {
      for (let round = 0; round < rounds; round++) {
        const current = put(Float32Array.of(round, 1));
        const input = device.allocate(8, 'input');
        const run = device.run([add(current, input, 2)]);
        if (round % 100 === 0) expect(await floats(input)).toEqual([round, 1]);
        current.release();
        input.release();
        await run;
      }
      expect(device.memory.inUse).toBe(0);
      expect(device.memory.peak).toBeLessThan(64 * 1024);
    });

    it('closes once, and refuses everything afterwards', async () => {
      const open = Symbol('open');
      expect(await Promise.race([device.lost, Promise.resolve(open)])).toBe(open);
      const buffer = put(Float32Array.of(1));
      const input = put(Float32Array.of(1));
      const call = add(buffer, input, 1);
      await Promise.all([device.close(), device.close()]);
      await device.close();
      await device[Symbol.asyncDispose]();
      expect((await device.lost).reason).toBe('destroyed');
      const closed = { code: 'DEVICE_CLOSED' };
      expect(() => device.allocate(4, 'late')).toThrow(expect.objectContaining(closed) as Error);
      expect(() => device.write(buffer, Float32Array.of(2))).toThrow(expect.objectContaining(closed) as Error);
      await expect(device.read(buffer)).rejects.toMatchObject(closed);
      await expect(device.run([call])).rejects.toMatchObject(closed);
      await expect(device.run([])).rejects.toMatchObject(closed);
      await expect(device.warmup([call.kernel])).rejects.toMatchObject(closed);
      buffer.release();
      input.release();
      expect(buffer.released).toBe(true);
      expect(device.memory.inUse).toBe(0);
    });

    it('can be closed in the middle of everything', async () => {
      const input = device.allocate(4 * 4096, 'input');
      const list = [add(put(new Float32Array(4096).fill(1)), input, 4096)];
      let reports = 0;
      let started = (): void => {};
      const running = new Promise<void>((resolve) => (started = resolve));
      const onProgress = (): void => {
        reports++;
        started();
      };
      const pending = [
        device.run(list, { steps: 2_000_000, onProgress }),
        device.read(input),
        device.run(list, { steps: 2 }),
      ];
      const settled = Promise.allSettled([...pending, running.then(() => device.warmup([spikeCompact.body]))]);
      await running;
      await device.close();
      const results = await settled;
      expect(results.slice(0, 3).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'DEVICE_CLOSED' });
      }
      expect((await device.lost).reason).toBe('destroyed');
      // Nothing goes on behind the caller's back.
      const then = reports;
      await new Promise((resolve) => setTimeout(resolve, 120));
      expect(reports).toBe(then);
    });
  });
}

/** Sum of the whole numbers from `from` to `to` - 1, as f32 additions in order would give it. */
function sum(from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total = Math.fround(total + i);
  return total;
}
