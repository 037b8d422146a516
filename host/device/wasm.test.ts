import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TuttiError } from '../errors.js';
import { injectCurrentF32 } from '../kernels/snn/index.js';
import { lifForward } from '../kernels/training/index.js';
import { createWasmHeap } from './wasm-heap.js';
import { withUnsharedMemory } from './wasm-module.js';
import { createWasmDevice, describeWasm } from './wasm.js';

afterEach(() => vi.unstubAllGlobals());

describe('Wasm devices', () => {
  it('mixes kernels of several modules in one list', async () => {
    const device = await createWasmDevice();
    const buffer = (values: number[]) => {
      const made = device.allocate(4 * values.length, 'data');
      device.write(made, Float32Array.from(values));
      return made;
    };
    const [current, v, count] = [buffer([3, 0, 0, 0]), buffer([0, 0, 0, 0]), buffer([0, 0, 0, 0])];
    await device.run([
      injectCurrentF32({
        current,
        input: v,
        batch: 1,
        neurons: 4,
        inputStride: 4,
        inputOffset: 0,
        frames: 1,
        origin: 0,
      }),
      lifForward({
        current: v,
        v: current,
        count,
        steps: 1,
        batch: 1,
        neurons: 4,
        threshold: 2,
        leak: 0,
        floorLeak: 0,
      }),
    ]);
    expect([...new Float32Array(await device.read(count))]).toEqual([1, 0, 0, 0]);
    await device.close();
  });

  it('runs one thread with a notice where SharedArrayBuffer is not allowed', async () => {
    vi.stubGlobal('crossOriginIsolated', false);
    expect(describeWasm()).toMatchObject({ available: true, sharedMemory: false });
    const device = await createWasmDevice({ threads: 4 });
    expect(device.capabilities.threads).toBe(1);
    expect(device.capabilities.notices.join()).toMatch(/single-threaded: 4 threads were asked for.*COOP/);
    const quiet = await createWasmDevice({ threads: 1 });
    expect(quiet.capabilities.notices).toEqual([]);
    await Promise.all([device.close(), quiet.close()]);
  });

  it('says what is wrong with options', async () => {
    await expect(createWasmDevice({ threads: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(createWasmDevice({ threads: 65 })).rejects.toThrow(/1 to 64/);
    await expect(createWasmDevice({ memoryBudget: -5 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(createWasmDevice({ memoryBudget: Number.NaN })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(createWasmDevice({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('says that there is no Wasm, or none with SIMD, and never throws', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    expect(describeWasm()).toMatchObject({ available: false, why: expect.stringMatching(/no WebAssembly/) as string });
    await expect(createWasmDevice()).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
    vi.stubGlobal('WebAssembly', { validate: () => false });
    expect(describeWasm()).toMatchObject({ available: false, why: expect.stringMatching(/without SIMD/) as string });
  });

  it('is lost when one of its threads dies, and nothing hangs', async () => {
    const broken = "data:text/javascript,require('node:worker_threads').parentPort.on('message',()=>process.exit(3))";
    await expect(createWasmDevice({ threads: 2, workerUrl: broken })).rejects.toThrow();
  });

  it('opens and closes 30 times with threads', async () => {
    for (let round = 0; round < 30; round++) {
      const device = await createWasmDevice({ threads: 2 });
      device.allocate(1 << 16, 'data');
      await device.close();
      expect((await device.lost).reason).toBe('destroyed');
    }
  });
});

describe('the heap of a Wasm device', () => {
  it('never overlaps, never leaks, and merges what is released', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ keep: fc.boolean(), size: fc.integer({ min: 0, max: 5000 }), at: fc.nat() }), {
          maxLength: 120,
        }),
        (steps) => {
          let memory = 0;
          const heap = createWasmHeap(65536, (bytes) => (memory = Math.max(memory, bytes)));
          const live: { address: number; size: number }[] = [];
          for (const { keep, size, at } of steps) {
            if (keep || live.length === 0) {
              const address = heap.allocate(size);
              expect(address % 64).toBe(0);
              expect(address).toBeGreaterThanOrEqual(65536);
              expect(address + size).toBeLessThanOrEqual(memory);
              for (const other of live)
                expect(address + size <= other.address || other.address + other.size <= address).toBe(true);
              live.push({ address, size });
            } else heap.release(live.splice(at % live.length, 1)[0]!.address);
            expect(heap.statistics().liveBlocks).toBe(live.length);
          }
          for (const { address } of live) heap.release(address);
          const { liveBytes, freeBytes } = heap.statistics();
          expect(liveBytes).toBe(0);
          // One free block of everything: the largest request fits without growing.
          const before = memory;
          if (freeBytes > 0) heap.allocate(freeBytes);
          expect(memory).toBe(before);
        },
      ),
    );
  });

  it('ignores addresses that it did not give', () => {
    const heap = createWasmHeap(64, () => {});
    heap.release(4711);
    const address = heap.allocate(10);
    heap.release(address);
    heap.release(address);
    expect(heap.statistics()).toEqual({ liveBlocks: 0, liveBytes: 0, freeBytes: 64 });
  });
});

describe('modules on unshared memory', () => {
  const shared = new Uint8Array(readFileSync('build/snn.wasm'));

  it('differ from the shared ones by one bit', async () => {
    const patched = withUnsharedMemory(shared);
    expect(patched.filter((byte, i) => byte !== shared[i]).length).toBe(1);
    const [module] = WebAssembly.Module.imports(await WebAssembly.compile(patched as BufferSource)).filter(
      (i) => i.kind === 'memory',
    );
    expect(module).toMatchObject({ module: 'env', name: 'memory' });
  });

  it('answer every truncation, bit flip and arbitrary bytes with a module or a typed error', () => {
    const tries = (bytes: Uint8Array): void => {
      try {
        expect(withUnsharedMemory(bytes).length).toBe(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(TuttiError);
        expect(error).toMatchObject({ code: 'FILE_INVALID' });
      }
    };
    for (let length = 0; length < 400; length++) tries(shared.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(3000), (bit) => {
        const flipped = shared.slice();
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        tries(flipped);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        tries(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 2, ...bytes)),
      ),
    );
  });
});
