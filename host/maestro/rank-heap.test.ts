import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ticket } from './decision.js';
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
