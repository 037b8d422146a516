/** Declares the conformance tests of every kernel on one device; the same in Node, worker threads and browsers. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../device/device.js';
import { checkCase, type KernelCase } from './case.js';
import { dice, type Dice } from './generate.js';
import { ditCases } from './dit-cases.js';
import { kvCases } from './kv-cases.js';
import { machineCases } from './machine-cases.js';
import { snnCases } from './snn-cases.js';
import { tensorCases } from './tensor-cases.js';
import { trainingCases } from './training-cases.js';

export const allCases: Readonly<Record<string, (d: Dice) => KernelCase>> = {
  ...snnCases,
  ...trainingCases,
  ...machineCases,
  ...tensorCases,
  ...kvCases,
  ...ditCases,
};

export function conformanceSuite(name: string, open: () => Promise<Device>, runs: number): void {
  describe(`kernels on ${name}`, () => {
    let device: Device;
    beforeAll(async () => {
      device = await open();
    });
    afterAll(() => device?.close());
    for (const [kernel, make] of Object.entries(allCases)) {
      it(`${kernel} equals its oracle`, async () => {
        await fc.assert(
          fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
            expect(await checkCase(device, make(dice(seed)))).toBeUndefined();
          }),
          { numRuns: runs, seed: 20260611, endOnFailure: true },
        );
        expect(device.memory.inUse).toBe(0);
      });
    }
  });
}
