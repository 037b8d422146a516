import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { createWasmHeap, type WasmHeap } from './wasm-heap.js';

const BASE = 65536;

interface Range {
  readonly address: number;
  readonly bytes: number;
}

/** The simplest thing that is right: the bytes that are free below `top`, as maximal runs of 64-byte lines. */
function freeRuns(live: readonly Range[], top: number): Range[] {
  const runs: Range[] = [];
  let at = BASE;
  for (const { address, bytes } of [...live].sort((a, b) => a.address - b.address)) {
    if (address > at) runs.push({ address: at, bytes: address - at });
    at = address + bytes;
  }
  if (top > at) runs.push({ address: at, bytes: top - at });
  return runs;
}

const lines = (bytes: number): number => Math.max(64, Math.ceil(bytes / 64) * 64);

describe('the heap of a Wasm device', () => {
  it('is first fit over all that is free: no overlap, no leak, neighbours merged, growing only when it must', () => {
    const steps = fc.array(
      fc.record({
        what: fc.constantFrom('allocate', 'allocate', 'release'),
        bytes: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 5000 })),
        at: fc.nat(),
      }),
      { maxLength: 150 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        let top = BASE;
        const heap = createWasmHeap(BASE, (bytes) => (top = Math.max(top, bytes)));
        const live: Range[] = [];
        for (const { what, bytes, at } of all) {
          if (what === 'release') {
            if (live.length > 0) heap.release(live.splice(at % live.length, 1)[0]!.address);
          } else {
            const need = lines(bytes);
            const free = freeRuns(live, top);
            const fits = free.find((run) => run.bytes >= need);
            const last = free.at(-1);
            const end = last && last.address + last.bytes === top ? last.address : top;
            const before = top;
            const address = heap.allocate(bytes);
            expect(address).toBe(fits ? fits.address : end);
            expect(top).toBe(fits ? before : end + need);
            live.push({ address, bytes: need });
          }
          const { liveBlocks, liveBytes, freeBytes } = heap.statistics();
          expect(liveBlocks).toBe(live.length);
          expect(liveBytes).toBe(live.reduce((sum, range) => sum + range.bytes, 0));
          expect(freeBytes).toBe(top - BASE - liveBytes);
        }
        for (const { address } of live) heap.release(address);
        // Everything is one block again.
        const before = top;
        if (before > BASE) expect(heap.allocate(before - BASE)).toBe(BASE);
        expect(top).toBe(before);
      }),
      { numRuns: 200 },
    );
  });

  it('is as it was when the memory cannot grow', () => {
    const limit = BASE + 1024;
    const heap: WasmHeap = createWasmHeap(BASE, (bytes) => {
      if (bytes > limit) throw new TuttiError('MEMORY_REFUSED', 'full');
    });
    const first = heap.allocate(512);
    const second = heap.allocate(256);
    heap.release(second);
    const before = heap.statistics();
    expect(() => heap.allocate(1024)).toThrow('full');
    expect(heap.statistics()).toEqual(before);
    // The free block at the end is extended, not left behind.
    expect(heap.allocate(512)).toBe(second);
    expect(() => heap.allocate(1)).toThrow('full');
    heap.release(first);
    expect(heap.allocate(512)).toBe(first);
  });

  it('ignores addresses that it did not give, and the second release of one', () => {
    const heap = createWasmHeap(64, () => {});
    heap.release(4711);
    const address = heap.allocate(10);
    heap.release(address);
    heap.release(address);
    expect(heap.statistics()).toEqual({ liveBlocks: 0, liveBytes: 0, freeBytes: 64 });
  });
});
