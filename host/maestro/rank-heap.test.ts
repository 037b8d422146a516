import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ticket } from './decision.js';
import { createNumberMap } from './number-map.js';
import { compareRanks, createRankHeap, type Rank } from './rank-heap.js';

const ticket = (number: number): Ticket => ({ number }) as Ticket;

describe('a heap of ranks', () => {
  it.each([false, true])('has the first in rank in front, whatever is set and deleted (worst first: %s)', (worst) => {
    const step = fc.tuple(fc.nat(30), fc.option(fc.record({ tier: fc.integer({ min: -1, max: 1 }), key: fc.nat(9) })));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = createRankHeap(worst);
        const model = new Map<number, Rank>();
        for (const [number, rank] of steps) {
          if (rank) {
            heap.set(ticket(number), rank);
            model.set(number, rank);
          } else {
            expect(heap.delete(ticket(number))).toBe(model.delete(number));
          }
          const first = [...model].sort(([m, a], [n, b]) => (worst ? -1 : 1) * (compareRanks(a, b) || m - n))[0];
          expect(heap.at(0)?.number).toBe(first?.[0]);
          expect(heap.size).toBe(model.size);
        }
      }),
    );
  });
});

describe('a map of numbers', () => {
  it('holds what a Map holds', () => {
    const step = fc.tuple(fc.oneof(fc.nat(40), fc.constantFrom(2 ** 31 - 1, 2 ** 20, 2 ** 21)), fc.option(fc.nat()));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const map = createNumberMap<number>();
        const model = new Map<number, number>();
        for (const [key, value] of steps) {
          if (value === null) expect(map.delete(key)).toBe(model.delete(key));
          else {
            map.set(key, value);
            model.set(key, value);
          }
          expect(map.size).toBe(model.size);
        }
        for (const [key, value] of model) expect(map.get(key)).toBe(value);
        for (let key = 0; key <= 40; key++) expect(map.get(key)).toBe(model.get(key));
      }),
    );
  });
});
