import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIterationFit } from './iteration-fit.js';

describe('what iterations take', () => {
  it('is found from those that were run', () => {
    const fit = createIterationFit();
    const truth = (decoding: number, prompt: number, context: number): number =>
      0.004 + 0.0007 * decoding + 0.0003 * prompt + 0.000002 * context;
    for (let k = 0; k < 2000; k++) {
      const [decoding, prompt, context] = [k % 9, (k * 7) % 64, (k * 131) % 5000];
      fit.note({ decoding, prompt, context, seconds: truth(decoding, prompt, context) });
    }
    for (const [decoding, prompt, context] of [
      [1, 0, 100],
      [8, 0, 4000],
      [0, 64, 32],
    ] as const) {
      const expected = truth(decoding, prompt, context);
      expect(Math.abs(fit.seconds(decoding, prompt, context) - expected)).toBeLessThan(0.05 * expected);
    }
  });

  it('is never nothing, and never less for more, whatever was measured', () => {
    const iteration = fc.record({
      ...{ decoding: fc.nat(16), prompt: fc.nat(64), context: fc.nat(10_000) },
      seconds: fc.double({ min: -1, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(iteration, { maxLength: 60 }), (list) => {
        const fit = createIterationFit();
        for (const each of list) fit.note(each);
        const one = fit.seconds(1, 0, 10);
        expect(one).toBeGreaterThan(0);
        expect(Number.isFinite(one)).toBe(true);
        expect(fit.seconds(8, 0, 1000)).toBeGreaterThanOrEqual(one);
        expect(fit.seconds(1, 64, 10)).toBeGreaterThanOrEqual(one);
      }),
      { numRuns: 300, seed: 5 },
    );
  });

  it('follows a device that has become slower', () => {
    const fit = createIterationFit();
    for (let k = 0; k < 500; k++) fit.note({ decoding: 1 + (k % 4), prompt: 0, context: 50 * k, seconds: 0.01 });
    for (let k = 0; k < 1500; k++)
      fit.note({ decoding: 1 + (k % 4), prompt: 0, context: 50 * (k % 500), seconds: 0.05 });
    expect(fit.seconds(2, 0, 10_000)).toBeGreaterThan(0.045);
  });
});
