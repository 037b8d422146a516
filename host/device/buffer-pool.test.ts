import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createBufferPool, sizeClass } from './buffer-pool.js';

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

it('destroys what is idle, never what is in use', () => {
  const destroyed: number[] = [];
  let next = 0;
  const pool = createBufferPool<number>({
    create: () => next++,
    destroy: (raw) => void destroyed.push(raw),
    capBytes: 1024,
  });
  const taken = [256, 256, 512, 2048, 256].map((bytes) => pool.acquire(bytes));
  pool.trim(0);
  expect(destroyed).toEqual([]);
  pool.release(taken[3]!.raw, taken[3]!.bytes); // larger than the cap: not kept
  expect(destroyed).toEqual([3]);
  for (const i of [0, 1, 2]) pool.release(taken[i]!.raw, taken[i]!.bytes);
  expect(pool.statistics()).toMatchObject({ idleBuffers: 3, idleBytes: 1024, liveBuffers: 1, liveBytes: 256 });
  expect(pool.acquire(200)).toEqual({ raw: 1, bytes: 256, reused: true });
  pool.trim(512);
  expect(destroyed).toEqual([3, 0]);
  pool.discard(taken[4]!.raw, taken[4]!.bytes);
  expect(destroyed).toEqual([3, 0, 4]);
  expect(pool.statistics()).toEqual({
    created: 5,
    reused: 1,
    destroyed: 3,
    liveBuffers: 1,
    liveBytes: 256,
    idleBuffers: 1,
    idleBytes: 512,
  });
});

it('counts nothing that could not be made', () => {
  const pool = createBufferPool<number>({
    create() {
      throw new Error('no memory');
    },
    destroy: () => {},
    capBytes: 1024,
  });
  expect(() => pool.acquire(100)).toThrow('no memory');
  expect(pool.statistics()).toMatchObject({ created: 0, liveBuffers: 0, liveBytes: 0 });
});
