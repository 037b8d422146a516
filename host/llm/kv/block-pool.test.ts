import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlockPool } from './block-pool.js';

describe('the block pool', () => {
  it('hands out what is free, all or nothing', () => {
    const pool = createBlockPool(4);
    const first = pool.allocate(3)!;
    expect(new Set(first).size).toBe(3);
    expect(pool.allocate(2)).toBeUndefined();
    expect(pool).toMatchObject({ free: 1, used: 3 });
    pool.release(first[0]!);
    expect(pool.allocate(2)).toHaveLength(2);
    expect(() => createBlockPool(0)).toThrow(/blocks is 0/);
  });

  it('keeps cached blocks until their room is needed, and drops the longest unused first', () => {
    const pool = createBlockPool(3);
    const [a, b, c] = pool.allocate(3) as [number, number, number];
    [a, b, c].forEach((block, k) => pool.cache(block, `key ${k}`));
    [b, a, c].forEach((block) => pool.release(block));
    expect(pool).toMatchObject({ free: 3, used: 0 });
    expect(pool.lookUp('key 1')).toEqual({ block: b, content: 1 });
    expect(pool.allocate(1)).toEqual([a]);
    expect(pool.lookUp('key 0')).toBeUndefined();
    expect(pool.lookUp('key 2')).toEqual({ block: c, content: 2 });
    expect(() => {
      pool.release(c);
      pool.release(c);
    }).toThrow(/released more often/);
  });

  it('never gives a block to two, loses none, and finds under a key what was put there', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(9), fc.nat(9)), { maxLength: 200 }), (actions) => {
        const pool = createBlockPool(6);
        const held: number[] = [];
        const contents = new Map<number, string>();
        for (const [action, n, key] of actions) {
          if (action <= 1) {
            const free = pool.free;
            const got = pool.allocate(n);
            expect(got === undefined).toBe(n > free);
            for (const block of got ?? []) {
              expect(held).not.toContain(block);
              contents.set(block, `own ${block}`);
              held.push(block);
            }
          } else if (action === 2 && held.length > 0) {
            pool.release(held.splice(n % held.length, 1)[0]!);
          } else if (action === 3 && held.length > 0) {
            const block = held[n % held.length]!;
            if (contents.get(block)!.startsWith('own')) {
              contents.set(block, `key ${key}`);
              pool.cache(block, `key ${key}`);
            }
          } else if (action === 4) {
            const block = pool.lookUp(`key ${key}`)?.block;
            if (block !== undefined) {
              expect(contents.get(block)).toBe(`key ${key}`);
              held.push(block);
            }
          }
          expect(pool.used).toBe(new Set(held).size);
          expect(pool.used + pool.free).toBe(6);
          for (const block of held) expect(pool.referencesOf(block)).toBe(held.filter((b) => b === block).length);
        }
      }),
      { numRuns: 300, seed: 7 },
    );
  });

  it('sets blocks aside, which only their owner gets', () => {
    const pool = createBlockPool(5);
    expect(pool.reserve(3)).toBe(true);
    expect(pool.reserve(3)).toBe(false);
    expect(pool).toMatchObject({ free: 2, reserved: 3, used: 0 });
    expect(pool.allocate(3)).toBeUndefined();
    expect(pool.allocate(4, 2)).toHaveLength(4);
    expect(pool).toMatchObject({ free: 0, reserved: 1 });
    expect(pool.reserve(-2)).toBe(false);
    expect(pool.reserve(-1)).toBe(true);
    expect(pool.allocate(1)).toHaveLength(1);
  });

  it('grows and shrinks with everything that is held, its references and its keys', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(12)), { maxLength: 60 }), (actions) => {
        const pool = createBlockPool(6);
        let held: { block: number; key: string; content: number }[] = [];
        let keys = 0;
        for (const [action, n] of actions) {
          if (action === 0) {
            for (const block of pool.allocate(n % 4) ?? []) {
              const key = `key ${keys++}`;
              held.push({ block, key, content: pool.cache(block, key) });
            }
          } else if (action === 1 && held.length > 0) {
            pool.release(held.splice(n % held.length, 1)[0]!.block);
          } else {
            const next = n + 1;
            const moves = pool.resize(next);
            expect(moves === undefined).toBe(held.length > next);
            if (!moves) continue;
            expect(new Set(moves.flat()).size).toBe(2 * moves.length);
            const to = new Map(moves);
            held = held.map((one) => ({ ...one, block: to.get(one.block) ?? one.block }));
            expect(pool.blocks).toBe(next);
          }
          expect(pool.used).toBe(held.length);
          expect(pool.used + pool.free).toBe(pool.blocks);
          for (const { block, key, content } of held) {
            expect(block).toBeLessThan(pool.blocks);
            expect(pool.lookUp(key)).toEqual({ block, content });
            pool.release(block);
          }
        }
        const free = pool.free;
        expect(new Set(pool.allocate(free)).size).toBe(free);
      }),
      { numRuns: 300, seed: 11 },
    );
  });
});
