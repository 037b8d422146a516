import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryRefusedError } from '../errors.js';
import { createBufferPool, sizeClass } from './buffer-pool.js';
import { createMemoryBudget } from './memory-budget.js';

it('a budget is never exceeded, and every refusal changes nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ what: fc.constantFrom('lease', 'resize', 'release'), bytes: fc.nat(600), at: fc.nat() }), {
        maxLength: 60,
      }),
      (steps) => {
        const memory = createMemoryBudget('device', 1000);
        const leases: ReturnType<typeof memory.lease>[] = [];
        for (const { what, bytes, at } of steps) {
          const before = memory.inUse;
          const lease = leases[at % Math.max(1, leases.length)];
          try {
            if (what === 'lease') leases.push(memory.lease(bytes, `holder ${at % 3}`));
            else if (what === 'resize' && lease && !lease.released) lease.resize(bytes);
            else lease?.release();
          } catch (error) {
            expect(error).toBeInstanceOf(MemoryRefusedError);
            expect(memory.inUse).toBe(before);
          }
          const held = leases.filter((l) => !l.released).reduce((sum, l) => sum + l.bytes, 0);
          expect(memory.inUse).toBe(held);
          expect(memory.inUse).toBeLessThanOrEqual(1000);
          expect(memory.holders().reduce((sum, h) => sum + h.bytes, 0)).toBe(held);
          expect(memory.peak).toBeGreaterThanOrEqual(memory.inUse);
        }
      },
    ),
  );
});

it('refuses sizes that are no sizes', () => {
  const memory = createMemoryBudget('device', 1000);
  for (const bytes of [-1, 0.5, Number.NaN, Infinity]) {
    expect(() => memory.lease(bytes, 'x')).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    expect(() => createMemoryBudget('device', bytes)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }) as Error,
    );
  }
  const lease = memory.lease(10, 'x');
  lease.release();
  lease.release();
  expect(() => lease.resize(5)).toThrow(expect.objectContaining({ code: 'BUFFER_RELEASED' }) as Error);
  expect(memory.inUse).toBe(0);
});

it('size classes waste at most a quarter', () => {
  fc.assert(
    fc.property(fc.integer({ min: 257, max: 2 ** 40 }), (bytes) => {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(sizeClass(bytes)).toBeLessThanOrEqual(bytes * 1.25 + 1);
      expect(sizeClass(sizeClass(bytes))).toBe(sizeClass(bytes));
    }),
  );
});

it('a buffer pool reuses by class, keeps its cap, and accounts for every buffer', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ take: fc.boolean(), bytes: fc.integer({ min: 1, max: 3000 }), at: fc.nat() }), {
        maxLength: 80,
      }),
      (steps) => {
        const alive = new Set<{ bytes: number }>();
        const pool = createBufferPool<{ bytes: number }>({
          create(bytes) {
            const raw = { bytes };
            alive.add(raw);
            return raw;
          },
          destroy: (raw) => expect(alive.delete(raw)).toBe(true),
          capBytes: 4096,
        });
        const live: { raw: { bytes: number }; bytes: number }[] = [];
        for (const { take, bytes, at } of steps) {
          if (take || live.length === 0) {
            const taken = pool.acquire(bytes);
            expect(taken.raw.bytes).toBe(taken.bytes);
            expect(taken.bytes).toBeGreaterThanOrEqual(bytes);
            expect(live.some((other) => other.raw === taken.raw)).toBe(false);
            live.push(taken);
          } else {
            const [back] = live.splice(at % live.length, 1);
            pool.release(back!.raw, back!.bytes);
          }
          const s = pool.statistics();
          expect(s.idleBytes).toBeLessThanOrEqual(4096);
          expect(s.liveBuffers).toBe(live.length);
          expect(s.liveBuffers + s.idleBuffers).toBe(alive.size);
          expect(s.created - s.destroyed).toBe(alive.size);
        }
        pool.trim(0);
        expect(pool.statistics()).toMatchObject({ idleBuffers: 0, idleBytes: 0 });
      },
    ),
  );
});
