/** What device.ts promises, as tests that every implementation runs. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryRefusedError } from '../errors.js';
import { injectCurrentF32, recordState } from '../kernels/snn/index.js';
import type { Device, DeviceBuffer, KernelCall } from './device.js';
import { createOracleDevice } from './oracle.js';

const MIB = 2 ** 20;

/** `make` opens a device with a memory budget of 8 MiB. */
export function deviceContract(name: string, make: () => Promise<Device>): void {
  describe(`the device contract: ${name}`, () => {
    let device: Device;
    beforeEach(async () => {
      device = await make();
    });
    afterEach(() => device.close());

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
      ] as const) {
        await expect(device.read(buffer, offset, bytes)).rejects.toMatchObject({ code: 'BUFFER_RANGE' });
      }
      expect(() => device.write(buffer, new Uint32Array(2), 12)).toThrow(/outside/);
      const bytes = put(Int8Array.of(-1, 2, -3, 4, 5));
      expect([...new Int8Array(await device.read(bytes))].slice(0, 5)).toEqual([-1, 2, -3, 4, 5]);
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
      device.allocate(7 * MIB, 'now it fits').release();
      expect(() => device.allocate(2 ** 50, 'huge')).toThrow(
        expect.objectContaining({ code: 'LIMIT_EXCEEDED' }) as Error,
      );
      expect(() => device.allocate(-1, 'negative')).toThrow(
        expect.objectContaining({ code: 'KERNEL_ARGUMENT' }) as Error,
      );
      expect(device.memory.inUse).toBe(0);
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

    it('warms up with progress', async () => {
      const seen: number[] = [];
      const bodies = [injectCurrentF32.body, recordState.body];
      await Promise.all([
        device.warmup(bodies, { onProgress: ({ done }) => void seen.push(done) }),
        device.warmup(bodies),
      ]);
      if (device.kind !== 'oracle') expect(seen.length).toBeGreaterThan(0);
      const input = put(Float32Array.of(1));
      await device.run([add(put(Float32Array.of(5)), input, 1)]);
      expect(await floats(input)).toEqual([6]);
    });

    it('does not grow over 1,000 rounds of create, run, release', async () => {
      for (let round = 0; round < 1000; round++) {
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
      const buffer = put(Float32Array.of(1));
      const call = add(buffer, put(Float32Array.of(1)), 1);
      await Promise.all([device.close(), device.close()]);
      expect((await device.lost).reason).toBe('destroyed');
      const closed = { code: 'DEVICE_CLOSED' };
      expect(() => device.allocate(4, 'late')).toThrow(expect.objectContaining(closed) as Error);
      await expect(device.read(buffer)).rejects.toMatchObject(closed);
      await expect(device.run([call])).rejects.toMatchObject(closed);
      await expect(device.warmup([call.kernel])).rejects.toMatchObject(closed);
      buffer.release();
    });
  });
}

/** Sum of the whole numbers from `from` to `to` - 1, as f32 additions in order would give it. */
function sum(from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total = Math.fround(total + i);
  return total;
}
