import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planIteration, type SequenceState } from './plan-iteration.js';

const sequence = (id: number, tokens: number, computed: number, rest: Partial<SequenceState> = {}): SequenceState => ({
  ...{ id, arrival: id, priority: 0, tokens, computed, blocks: Math.ceil(computed / 4) },
  ...rest,
});
const limits = { rows: 8, sequences: 4, blockSize: 4, freeBlocks: 100 };

describe('the plan of an iteration', () => {
  it('lets every sequence decode, and gives a prompt what is left', () => {
    const { steps } = planIteration([sequence(0, 30, 4), sequence(1, 9, 8), sequence(2, 6, 5)], limits);
    expect(steps).toEqual([
      { id: 0, rows: 6, newBlocks: 2 },
      { id: 1, rows: 1, newBlocks: 1 },
      { id: 2, rows: 1, newBlocks: 0 },
    ]);
  });

  it('takes the higher priority first, then the earlier arrival', () => {
    const { steps } = planIteration([sequence(0, 5, 0), sequence(1, 5, 0, { priority: 1 }), sequence(2, 5, 0)], limits);
    expect(steps.map(({ id, rows }) => [id, rows])).toEqual([
      [1, 5],
      [0, 3],
    ]);
  });

  it('takes blocks from the last in order when there are none', () => {
    const states = [sequence(0, 9, 8), sequence(1, 9, 8), sequence(2, 13, 12)];
    expect(planIteration(states, { ...limits, freeBlocks: 0 })).toEqual({
      steps: [
        { id: 0, rows: 1, newBlocks: 1 },
        { id: 1, rows: 1, newBlocks: 1 },
      ],
      evicted: [2],
    });
  });

  it('cuts a prompt to the room that there is', () => {
    expect(planIteration([sequence(0, 40, 0)], { ...limits, rows: 40, freeBlocks: 3 }).steps).toEqual([
      { id: 0, rows: 12, newBlocks: 3 },
    ]);
  });

  it('keeps to its limits, whatever there is, and the first in order never waits for others', () => {
    const state = fc.record({ tokens: fc.integer({ min: 1, max: 60 }), computed: fc.nat(59), priority: fc.nat(2) });
    fc.assert(
      fc.property(
        fc.array(state, { minLength: 1, maxLength: 8 }),
        fc.nat(12),
        fc.integer({ min: 1, max: 20 }),
        (list, freeBlocks, rows) => {
          const states = list.map((s, id) =>
            sequence(id, s.tokens, Math.min(s.computed, s.tokens - 1), { priority: s.priority }),
          );
          const { steps, evicted } = planIteration(states, { ...limits, rows, freeBlocks });
          const byId = new Map(states.map((s) => [s.id, s]));
          expect(steps.length).toBeLessThanOrEqual(limits.sequences);
          expect(steps.reduce((sum, step) => sum + step.rows, 0)).toBeLessThanOrEqual(rows);
          const given = evicted.reduce((sum, id) => sum + byId.get(id)!.blocks, freeBlocks);
          expect(steps.reduce((sum, step) => sum + step.newBlocks, 0)).toBeLessThanOrEqual(given);
          for (const { id, rows: taken, newBlocks } of steps) {
            const s = byId.get(id)!;
            expect(evicted).not.toContain(id);
            expect(taken).toBeGreaterThan(0);
            expect(s.computed + taken).toBeLessThanOrEqual(
              Math.min(s.tokens, (s.blocks + newBlocks) * limits.blockSize),
            );
          }
          const total = states.reduce((sum, s) => sum + s.blocks, freeBlocks);
          const first = [...states].sort((a, b) => b.priority - a.priority || a.arrival - b.arrival)[0]!;
          const all = Math.ceil((first.computed + 1) / limits.blockSize) <= total;
          if (all) expect(steps.map(({ id }) => id)).toContain(first.id);
        },
      ),
      { numRuns: 1000, seed: 3 },
    );
  });
});
