import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MemoryRefusedError } from '../errors.js';
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

it('names need, budget, what is in use and its holders, largest first, and says what to do', () => {
  const memory = createMemoryBudget('gpu 0', 1000);
  memory.lease(100, 'small');
  const half = memory.lease(200, 'kv cache');
  memory.lease(400, 'weights');
  memory.lease(150, 'kv cache');
  const holders = [
    { holder: 'weights', bytes: 400 },
    { holder: 'kv cache', bytes: 350 },
    { holder: 'small', bytes: 100 },
  ];
  expect(memory.holders()).toEqual(holders);
  let refused: unknown;
  try {
    memory.lease(151, 'activations');
  } catch (error) {
    refused = error;
  }
  expect(refused).toMatchObject({
    code: 'MEMORY_REFUSED',
    where: 'gpu 0',
    need: 151,
    budget: 1000,
    inUse: 850,
    holders,
    facts: { holder: 'activations', need: 151, budget: 1000, inUse: 850 },
    message: expect.stringMatching(
      /gpu 0 refused 151 B for "activations": 850 B of its 1000 B .*weights 400 B, kv cache 350 B.*release/,
    ) as string,
  });
  // The refusal keeps its own account of that moment.
  half.release();
  expect((refused as MemoryRefusedError).holders).toEqual(holders);
  expect(memory.lease(350, 'activations').bytes).toBe(350);
  expect(memory.inUse).toBe(1000);
});

it('a lease grows and shrinks in place, or stays as it is', () => {
  const memory = createMemoryBudget('device', 1000);
  const lease = memory.lease(600, 'a');
  const other = memory.lease(300, 'b');
  expect(() => lease.resize(701)).toThrow(MemoryRefusedError);
  expect(() => lease.resize(-1)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
  expect(lease.bytes).toBe(600);
  lease.resize(700);
  expect(memory).toMatchObject({ inUse: 1000, peak: 1000 });
  lease.resize(0);
  expect(memory.holders()).toEqual([{ holder: 'b', bytes: 300 }]);
  other.release();
  expect(other.released).toBe(true);
  expect(memory).toMatchObject({ inUse: 0, peak: 1000, budget: 1000 });
});
