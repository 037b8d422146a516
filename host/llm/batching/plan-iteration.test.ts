import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planIteration, type SequenceState } from './plan-iteration.js';

const sequence = (id: number, tokens: number, computed: number, rest: Partial<SequenceState> = {}): SequenceState => ({
  ...{ id, arrival: id, priority: 0, tokens, computed, blocks: Math.floor(computed / 4), reserved: 0 },
  resident: computed > 0,
  ...rest,
});
const limits = { rows: 8, sequences: 4, blockSize: 4, freeBlocks: 100 };

describe('the plan of an iteration', () => {
  it('lets every sequence decode, and gives a prompt what is left', () => {
    const { steps } = planIteration([sequence(0, 30, 4), sequence(1, 8, 7), sequence(2, 6, 5)], limits);
    expect(steps).toEqual([
      { id: 0, rows: 6, newBlocks: 1 },
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
    const states = [sequence(0, 8, 7), sequence(1, 8, 7), sequence(2, 17, 16)];
    expect(planIteration(states, { ...limits, freeBlocks: 0 })).toEqual({
      steps: [
        { id: 0, rows: 1, newBlocks: 1 },
        { id: 1, rows: 1, newBlocks: 1 },
      ],
      ...{ evicted: [2], missing: 1, outgrown: 1 },
    });
  });

  it('cuts a prompt to the room that there is, the block that is being filled included', () => {
    expect(planIteration([sequence(0, 40, 0)], { ...limits, rows: 40, freeBlocks: 3 }).steps).toEqual([
      { id: 0, rows: 15, newBlocks: 3 },
    ]);
  });

  it('lets in no more sequences than an iteration has, and those behind give way to those in front', () => {
    const states = [0, 1, 2, 3, 4].map((id) => sequence(id, 6, 5, { resident: id < 4 }));
    expect(planIteration(states, limits)).toMatchObject({ evicted: [] });
    expect(planIteration(states, limits).steps.map(({ id }) => id)).toEqual([0, 1, 2, 3]);
    const urgent = [...states.slice(0, 4), sequence(4, 6, 0, { priority: 1 })];
    expect(planIteration(urgent, limits)).toMatchObject({ evicted: [3] });
  });

  it('needs all that is set aside for a sequence to let it in, and nothing further while that lasts', () => {
    const newcomer = sequence(1, 5, 0, { reserved: 6 });
    expect(planIteration([sequence(0, 8, 7), newcomer], { ...limits, freeBlocks: 6 }).steps.map((s) => s.id)).toEqual([
      0,
    ]);
    expect(planIteration([sequence(0, 8, 7), newcomer], { ...limits, freeBlocks: 7 }).steps).toHaveLength(2);
    const settled = sequence(1, 8, 7, { reserved: 2 });
    expect(planIteration([settled], { ...limits, freeBlocks: 0 }).steps).toEqual([{ id: 1, rows: 1, newBlocks: 1 }]);
  });

  it('keeps to its limits, whatever there is, and the first in order never waits for others', () => {
    const state = fc.record({
      ...{ tokens: fc.integer({ min: 1, max: 60 }), computed: fc.nat(59), priority: fc.nat(2) },
      ...{ reserved: fc.nat(3), away: fc.boolean() },
    });
    fc.assert(
      fc.property(
        fc.array(state, { minLength: 1, maxLength: 8 }),
        fc.nat(12),
        fc.integer({ min: 1, max: 20 }),
        (list, freeBlocks, rows) => {
          let residents = 0;
          const states = list.map((s, id) => {
            const computed = Math.min(s.computed, s.tokens - 1);
            const resident = computed > 0 && !s.away && residents++ < limits.sequences;
            const { priority, reserved } = s;
            return sequence(id, s.tokens, computed, { priority, reserved, resident, ...(!resident && { blocks: 0 }) });
          });
          const { steps, evicted } = planIteration(states, { ...limits, rows, freeBlocks });
          const byId = new Map(states.map((s) => [s.id, s]));
          expect(steps.length).toBeLessThanOrEqual(limits.sequences);
          expect(steps.reduce((sum, step) => sum + step.rows, 0)).toBeLessThanOrEqual(rows);
          let free = freeBlocks;
          for (const id of evicted) {
            expect(byId.get(id)!.resident).toBe(true);
            free += byId.get(id)!.blocks + byId.get(id)!.reserved;
          }
          const now = new Set(states.filter((s) => s.resident).map((s) => s.id));
          for (const id of evicted) now.delete(id);
          for (const { id, rows: taken, newBlocks } of steps) {
            const s = byId.get(id)!;
            now.add(id);
            expect(evicted).not.toContain(id);
            expect(taken).toBeGreaterThan(0);
            expect(s.computed + taken).toBeLessThanOrEqual(s.tokens);
            expect(Math.floor((s.computed + taken) / limits.blockSize)).toBeLessThanOrEqual(s.blocks + newBlocks);
            free -= s.resident ? Math.max(0, newBlocks - s.reserved) : Math.max(newBlocks, s.reserved);
          }
          expect(free).toBeGreaterThanOrEqual(0);
          expect(now.size).toBeLessThanOrEqual(limits.sequences);
          const first = [...states].sort((a, b) => b.priority - a.priority || a.arrival - b.arrival)[0]!;
          const others = states.filter((s) => s !== first && s.resident);
          const total = others.reduce((sum, s) => sum + s.blocks + s.reserved, freeBlocks);
          const own = first.resident ? first.blocks + first.reserved : 0;
          const least = Math.floor((first.computed + 1) / limits.blockSize);
          if (Math.max(least, first.resident ? 0 : first.reserved) <= total + own)
            expect(steps.map(({ id }) => id)).toContain(first.id);
        },
      ),
      { numRuns: 1000, seed: 3 },
    );
  });
});
