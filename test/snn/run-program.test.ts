/** The oracle of `runProgram` against the cycle model, which is held to the RTL: every word but the cycles. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dice } from '../../host/kernels/conformance/generate.js';
import { machineCases, UNASKED } from '../../host/kernels/conformance/machine-cases.js';
import { OUTPUT_CUT, runProgram } from '../../host/kernels/machine/index.js';
import { createCycleModel, type CycleModel } from '../../host/snn/machine/cycle-model.js';
import { findEnd } from '../../host/snn/machine/output-words.js';
import { decodeProgram } from '../../host/snn/machine/program-file.js';
import { END_WORDS, STATUS } from '../../host/snn/machine/stream.js';

function putOut(model: CycleModel, words: Uint32Array): number[] | undefined {
  if (words.length === 0) return undefined;
  try {
    return [...model.run(words)];
  } catch {
    return undefined;
  }
}

describe.each(Object.entries(machineCases))('the oracle, %s', (name, make) => {
  const unruly = name === 'runProgram';
  it('puts out what the cycle model does', () => {
    const met = { overflow: 0, queueFull: 0, badWord: 0, cut: 0, spikes: 0, clean: 0 };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const { buffers, scalars } = make(dice(seed));
        const [file, , inputs, inputStart, outputs] = buffers as [Uint32Array, ...Uint32Array[]];
        const [batch, steps, outputWords, first, count, everyStep] = scalars as [
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        runProgram.body.oracle(buffers, scalars, 0);
        const program = decodeProgram(file);
        for (let b = 0; b < batch; b++) {
          const region = outputs!.subarray(b * outputWords, (b + 1) * outputWords);
          const end = findEnd(region, 0);
          const status = (region[end]! >>> 16) & 0x3fff;
          met.overflow += Number((status & STATUS.overflow) !== 0);
          met.queueFull += Number((status & STATUS.queueFull) !== 0);
          met.badWord += Number((status & STATUS.badWord) !== 0);
          met.clean += Number(status === 0);
          met.spikes += region[end + 3]!;
          const words = inputs!.subarray(inputStart![b], inputStart![b + 1]);
          const model = createCycleModel(program, { first, count, everyStep: everyStep !== 0 });
          const wanted = putOut(model, words);
          if (wanted === undefined) {
            // The hardware would wait for more words.
            expect(status & STATUS.badWord).toBe(STATUS.badWord);
            continue;
          }
          // Words that nobody waits for are the next sample's concern there.
          if (words.at(-1) === UNASKED)
            wanted[wanted.length - END_WORDS] = (wanted.at(-END_WORDS)! | (STATUS.badWord << 16)) >>> 0;
          wanted[wanted.length - 3] = 0;
          const got = [...region.subarray(0, end + END_WORDS)];
          expect(region.subarray(end + END_WORDS).every((word) => word === 0)).toBe(true);
          if (status & OUTPUT_CUT) {
            met.cut++;
            expect(end).toBe(outputWords - END_WORDS);
            expect(wanted.length).toBeGreaterThan(outputWords);
            expect(got.slice(0, end)).toEqual(wanted.slice(0, end));
            got[end] = (got[end]! & ~(OUTPUT_CUT << 16)) >>> 0;
            expect(got.slice(end)).toEqual(wanted.slice(-END_WORDS));
          } else expect(got).toEqual(wanted);
        }
        expect(steps).toBeGreaterThan(0);
      }),
      { numRuns: unruly ? 300 : 60, seed: 20261124 },
    );
    // All that can happen did.
    expect(Math.min(met.spikes, met.clean, met.cut)).toBeGreaterThan(0);
    if (unruly) expect(Math.min(met.overflow, met.queueFull, met.badWord)).toBeGreaterThan(0);
    else expect(met.overflow + met.queueFull + met.badWord).toBe(0);
  });
});
