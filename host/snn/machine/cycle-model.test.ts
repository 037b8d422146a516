/** What the cycle model says beside its words (test/rtl holds those to the RTL, test/snn/run-program.test.ts to the oracle). */
import { describe, expect, it } from 'vitest';
import { randomInput, randomProgram } from '../../kernels/conformance/random-program.js';
import { TuttiError } from '../../errors.js';
import { DEFAULT_MACHINE, type MachineConfig } from './config.js';
import { createCycleModel } from './cycle-model.js';
import { controlWords, READ_NOTHING } from './load-words.js';
import { machineSteps, portOf, portOfSpu, type Program } from './program.js';
import { inputBegin, inputLoad, MEMORY, END_WORDS } from './stream.js';
import { machineTiming } from './timing.js';
import { DELIVERY_FIELDS, ISSUE_FIELDS, ROW_FIELDS, type StepTrace } from './trace.js';

const SMALL: MachineConfig = { ...DEFAULT_MACHINE, spus: 8, fifo: 3, axons: 256, neurons: 128, delaySlots: 8 };
const program: Program = randomProgram(SMALL, { seed: 3, row: 30, threshold: 40 });
const input = randomInput(program, { seed: 1, steps: 8, rate: 60 });

function* entries(flat: readonly number[], fields: number): Generator<readonly number[]> {
  for (let k = 0; k < flat.length; k += fields) yield flat.slice(k, k + fields);
}

describe('a trace', () => {
  const trace: StepTrace[] = [];
  const words = createCycleModel(program).run(input, trace);
  const [cycles, operations, spikes] = words.subarray(words.length - END_WORDS + 1);
  const timing = machineTiming(SMALL);

  it('does not change what is put out', () => {
    expect(words).toEqual(createCycleModel(program).run(input));
  });

  it('has every step, each after the one before', () => {
    expect(trace.map(({ step }) => step)).toEqual(Array.from({ length: machineSteps(program, 8) }, (_, k) => k));
    trace.forEach((step, k) => {
      if (k > 0) expect(step.start).toBe(trace[k - 1]!.barrier);
      expect(step.barrier).toBeGreaterThanOrEqual(step.accumulated + timing.quietToBarrier);
      if (k > 0) expect(step.barrier).toBeGreaterThan(trace[k - 1]!.merged);
      expect(step.sweepEnd - step.sweepStart).toBe(program.neurons / SMALL.lanes - 1 + step.sweepWaits);
    });
    expect(trace.at(-1)!.merged + timing.end).toBe(cycles);
  });

  it('has one issue a cycle at a port, and one operation a cycle in an SPU, all within the step', () => {
    const lastIssue = new Map<number, number>();
    const lastEnd = new Map<number, number>();
    for (const { start, accumulated, issues, rows } of trace) {
      for (const [port, axon, possible, at] of entries(issues, ISSUE_FIELDS)) {
        expect(port).toBe(portOf(program, axon!));
        expect(at).toBeGreaterThanOrEqual(possible!);
        expect(possible).toBeGreaterThan(Math.max(start, lastIssue.get(port!) ?? 0));
        lastIssue.set(port!, at!);
      }
      for (const [spu, axon, at, length] of entries(rows, ROW_FIELDS)) {
        expect(portOfSpu(program, spu!)).toBe(portOf(program, axon!));
        expect(at).toBeGreaterThanOrEqual(lastEnd.get(spu!) ?? start);
        lastEnd.set(spu!, at! + length!);
        expect(at! + length! + timing.spuDrain).toBeLessThanOrEqual(accumulated);
      }
    }
    const waits = trace.flatMap(({ issues }) => [...entries(issues, ISSUE_FIELDS)]).filter(([, , a, b]) => b! > a!);
    expect(waits.length).toBeGreaterThan(0);
  });

  it('has all operations and spikes', () => {
    const executed = trace.flatMap(({ rows }) => [...entries(rows, ROW_FIELDS)]);
    expect(executed.reduce((sum, [, , , length]) => sum + length!, 0)).toBe(operations);
    const delivered = trace.flatMap(({ deliveries }) => [...entries(deliveries, DELIVERY_FIELDS)]);
    expect(delivered.length).toBe(spikes);
    expect(spikes).toBeGreaterThan(0);
  });
});

describe('a cycle model', () => {
  it('starts every sample afresh', () => {
    const model = createCycleModel(program, { first: 0, count: program.neurons, everyStep: true });
    const once = model.run(input);
    const other = randomInput(program, { seed: 2, steps: 3, rate: 90 });
    model.run(other);
    expect(model.run(input)).toEqual(once);
    expect(model.run(Uint32Array.from([...other, ...input]))).toEqual(Uint32Array.from([...model.run(other), ...once]));
  });

  it.each([
    ['end within a sample', input.subarray(0, input.length - 1), /end after \d+, within a sample/],
    ['end after begin', Uint32Array.of(inputBegin(1, 0)), /within a sample/],
    [
      'load another program',
      Uint32Array.of(inputLoad(MEMORY.weights, 0), 0, 1, 5),
      /loads memory 10 of another program/,
    ],
    ['cut a load short', Uint32Array.of(inputLoad(MEMORY.control, 0), 3, 2, 5), /do not hold to its end/],
    ['change the groups', Uint32Array.of(inputLoad(MEMORY.control, 0), 2, 1, 1), /control word 2 to 1/],
  ])('refuses words that %s', (_, words, message) => {
    expect(() => createCycleModel(program).run(words)).toThrow(message);
    expect(() => createCycleModel(program).run(words)).toThrow(TuttiError);
  });

  it('refuses to read neurons that there are not', () => {
    const read = { first: program.neurons - 1, count: 2, everyStep: false };
    expect(() => createCycleModel(program, read)).toThrow(/has \d+ neurons/);
    expect(() => createCycleModel(program).run(controlWords(program, read))).toThrow(TuttiError);
    expect(createCycleModel(program).run(controlWords(program, READ_NOTHING))).toEqual(new Uint32Array(0));
  });
});
