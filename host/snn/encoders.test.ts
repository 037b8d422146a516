import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { decodeFirstSpike, decodeMembrane, decodeSpikeCount } from './decoders.js';
import { encodeCurrent, encodeEvents, encodeLatency, encodeRate } from './encoders.js';
import {
  checkSpikeTrain,
  joinTrains,
  silence,
  sliceTrain,
  spikesAt,
  spikeTrain,
  type SpikeTrain,
} from './spike-train.js';

const listed = (train: SpikeTrain, sample: number): number[][] =>
  Array.from({ length: train.steps }, (_, step) => [...spikesAt(train, step, sample)]);

const where = (act: () => unknown): string | undefined => {
  try {
    act();
  } catch (error) {
    if (error instanceof TuttiError) return error.where;
  }
  return 'accepted, or not a TuttiError';
};

describe('encodeLatency', () => {
  it('follows its rule for every byte value', () => {
    for (const [steps, threshold] of [
      [10, 1],
      [7, 64],
      [1, 255],
      [300, 0],
    ] as const) {
      const train = encodeLatency(
        Uint8Array.from({ length: 256 }, (_, p) => p),
        { steps, threshold },
      );
      checkSpikeTrain(train, 'train');
      const spikes = listed(train, 0);
      for (let p = 0; p < 256; p++) {
        const at = spikes.flatMap((ids, step) => (ids.includes(p) ? [step] : []));
        expect(at).toEqual(p < threshold ? [] : [Math.floor(((255 - p) * steps) / (256 - threshold))]);
      }
    }
  });

  it('encodes each sample as if it were alone, and numbers as their bytes', () => {
    const values = Uint8Array.from({ length: 6 * 50 }, (_, i) => (i * 7919) % 256);
    const together = encodeLatency(values, { neurons: 50, steps: 9 });
    const asNumbers = encodeLatency(
      Float32Array.from(values, (p) => p / 255),
      { neurons: 50, steps: 9 },
    );
    expect(asNumbers).toEqual(together);
    for (let b = 0; b < 6; b++) {
      const alone = encodeLatency(values.subarray(50 * b, 50 * b + 50), { steps: 9 });
      expect(listed(together, b)).toEqual(listed(alone, 0));
    }
  });

  it('refuses what it cannot encode', () => {
    expect(where(() => encodeLatency(new Uint8Array(783), { neurons: 784, steps: 5 }))).toBe('values');
    expect(where(() => encodeLatency([0.5, 1.5], { steps: 5 }))).toBe('values[1]');
    expect(where(() => encodeLatency([0.5, NaN], { steps: 5 }))).toBe('values[1]');
    expect(where(() => encodeLatency([], { steps: 5 }))).toBe('neurons');
    expect(where(() => encodeLatency([1], { steps: 0 }))).toBe('steps');
    expect(where(() => encodeLatency([1], { steps: 2, threshold: 256 }))).toBe('threshold');
  });
});

describe('encodeRate', () => {
  it('is Bernoulli with the value as probability', () => {
    const values = [0, 0.1, 0.5, 0.9, 1];
    const steps = 20_000;
    const train = encodeRate(values, { steps, seed: 3 });
    checkSpikeTrain(train, 'train');
    const counts = new Array<number>(5).fill(0);
    listed(train, 0)
      .flat()
      .forEach((id) => counts[id]!++);
    values.forEach((p, n) => {
      const sigma = Math.sqrt(steps * p * (1 - p));
      expect(Math.abs(counts[n]! - steps * p)).toBeLessThanOrEqual(5 * sigma);
    });
    // Neighbouring neurons and steps are not correlated.
    const both = listed(encodeRate([0.5, 0.5], { steps, seed: 8 }), 0).filter((ids) => ids.length === 2).length;
    expect(Math.abs(both - steps / 4)).toBeLessThan(5 * Math.sqrt((steps * 3) / 16));
  });

  it('gives sample i the same spikes in every batch, and other ones for another seed', () => {
    const values = Uint8Array.from({ length: 8 * 20 }, (_, i) => (i * 31) % 256);
    const all = encodeRate(values, { neurons: 20, steps: 6, seed: 5, maxRate: 0.7 });
    const some = encodeRate(values.subarray(3 * 20, 6 * 20), {
      neurons: 20,
      steps: 6,
      seed: 5,
      maxRate: 0.7,
      firstSample: 3,
    });
    for (let b = 0; b < 3; b++) expect(listed(some, b)).toEqual(listed(all, b + 3));
    expect(encodeRate(values, { neurons: 20, steps: 6, seed: 6, maxRate: 0.7 })).not.toEqual(all);
    expect(listed(all, 0)).not.toEqual(listed(all, 1));
  });

  it('refuses what it cannot encode', () => {
    expect(where(() => encodeRate([-0.1], { steps: 1, seed: 1 }))).toBe('values[0]');
    expect(where(() => encodeRate([NaN], { steps: 1, seed: 1 }))).toBe('values[0]');
    expect(where(() => encodeRate([1.1], { steps: 1, seed: 1 }))).toBe('values[0]');
    expect(where(() => encodeRate([1], { steps: 1, seed: -1 }))).toBe('seed');
    expect(where(() => encodeRate([1], { steps: 1, seed: 1, maxRate: 2 }))).toBe('maxRate');
  });
});

describe('encodeCurrent', () => {
  it('scales, rounds for fixed-point networks, and counts frames', () => {
    expect(encodeCurrent([1, 2, 3, 4], { neurons: 2, scale: 0.5 })).toMatchObject({
      frames: 1,
      batch: 2,
      neurons: 2,
      values: Float32Array.of(0.5, 1, 1.5, 2),
    });
    expect(encodeCurrent([1, 2, 3, 4], { neurons: 2, batch: 1, numeric: 'fixed', scale: 1.6 })).toMatchObject({
      frames: 2,
      values: Int32Array.of(2, 3, 5, 6),
    });
    expect(where(() => encodeCurrent([1, 2, 3], { neurons: 2, batch: 1 }))).toBe('values');
    expect(where(() => encodeCurrent([1, Infinity]))).toBe('values[1]');
    expect(where(() => encodeCurrent([1, 3e9], { numeric: 'fixed' }))).toBe('values[1]');
  });
});

describe('encodeEvents', () => {
  const stream = { x: [1, 0, 1, 1, 0], y: [0, 1, 0, 0, 2], polarity: [1, 0, 1, 0, 1], t: [150, 20, 120, 90, 999] };

  it('bins by time, polarity-major, and keeps repeats', () => {
    const options = { width: 2, height: 3, binWidth: 100, steps: 3 };
    const train = encodeEvents([stream, { x: [], y: [], polarity: [], t: [] }], options);
    expect(train.neurons).toBe(12);
    expect(listed(train, 0)).toEqual([[1, 2], [7, 7], []]);
    expect(listed(train, 1)).toEqual([[], [], []]);
    expect(checkSpikeTrain(train, 'train')).toEqual({ maxPerStep: 2, spikes: 4 });
    expect(listed(encodeEvents([stream], { ...options, repeats: 'once' }), 0)).toEqual([[1, 2], [7], []]);
    expect(listed(encodeEvents([stream], { ...options, start: 100 }), 0)).toEqual([[7, 7], [], []]);
  });

  it('counts every event exactly once, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ x: fc.nat(3), y: fc.nat(4), polarity: fc.nat(1), t: fc.nat(999) }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (events, steps) => {
          const arrays = Object.fromEntries(
            (['x', 'y', 'polarity', 't'] as const).map((key) => [key, events.map((e) => e[key])]),
          );
          const binWidth = 1000 / steps;
          const train = encodeEvents([arrays as unknown as typeof stream], { width: 4, height: 5, binWidth, steps });
          checkSpikeTrain(train, 'train');
          const wanted = events.map((e) => `${Math.floor(e.t / binWidth)} ${(e.polarity * 5 + e.y) * 4 + e.x}`).sort();
          expect(
            listed(train, 0)
              .flatMap((ids, step) => ids.map((id) => `${step} ${id}`))
              .sort(),
          ).toEqual(wanted);
        },
      ),
    );
  });

  it('names the event that does not fit', () => {
    const options = { width: 2, height: 3, binWidth: 100, steps: 3 };
    expect(where(() => encodeEvents([stream], { ...options, width: 1 }))).toBe('streams[0] event 0');
    expect(where(() => encodeEvents([stream, { ...stream, polarity: [1, 0, 1, -1, 1] }], options))).toBe(
      'streams[1] event 3',
    );
    expect(where(() => encodeEvents([{ ...stream, x: [1] }], options))).toBe('streams[0]');
    expect(where(() => encodeEvents([], options))).toBe('streams');
  });
});

describe('spike trains', () => {
  const train = spikeTrain(
    [
      [[2, 0], [1]],
      [[], [1, 1, 2]],
    ],
    3,
  );

  it('are listed, cut and joined', () => {
    expect(listed(train, 0)).toEqual([[0, 2], []]);
    expect(listed(train, 1)).toEqual([[1], [1, 1, 2]]);
    const again = joinTrains([
      sliceTrain(train, 0, 1),
      sliceTrain(train, 1, 3),
      silence({ steps: 1, batch: 2, neurons: 3 }),
    ]);
    expect(again.steps).toBe(4);
    expect(listed(again, 1)).toEqual([[1], [1, 1, 2], [], []]);
  });

  it('are refused when they do not hold together', () => {
    const bad = (change: Partial<SpikeTrain>): string | undefined =>
      where(() => checkSpikeTrain({ ...train, ...change }, 'train'));
    expect(bad({ index: train.index.slice(2) })).toBe('train.index');
    expect(bad({ ids: train.ids.slice(0, -1) })).toBe('train.index[6]');
    expect(bad({ neurons: 2 })).toBe('train.ids[1]');
    expect(bad({ ids: Uint32Array.of(0, 2, 1, 2, 1, 2) })).toBe('train.ids[4]');
    expect(bad({ ids: [0] as unknown as Uint32Array })).toBe('train');
    expect(where(() => spikeTrain([[[0]], []], 1))).toBe('lists[1]');
    expect(where(() => spikeTrain([[[3]]], 3))).toBe('lists[0][0][0]');
  });
});

describe('decoders', () => {
  it('take the highest count, ties to the lowest index', () => {
    const { labels, scores } = decodeSpikeCount(Uint32Array.of(1, 5, 5, 0, 0, 0), { neurons: 3 });
    expect([...labels]).toEqual([1, 0]);
    expect([...scores]).toEqual([1, 5, 5, 0, 0, 0]);
    expect(where(() => decodeSpikeCount(new Uint32Array(5), { neurons: 3 }))).toBe('values');
  });

  it('take the first to fire', () => {
    const { labels, scores } = decodeFirstSpike(
      spikeTrain(
        [
          [[], []],
          [[2], []],
          [
            [1, 2],
            [0, 1],
          ],
        ],
        3,
      ),
    );
    expect([...labels]).toEqual([2, 0]);
    expect([...scores]).toEqual([0, 1, 2, 1, 1, 0]);
  });

  it('take the highest potential, at the end, summed, or at its peak', () => {
    const trace = Int32Array.of(-5, -6, 9, 0, -1, 1, 0, 3);
    expect([...decodeMembrane(trace.subarray(0, 4), { neurons: 2 }).labels]).toEqual([0, 0]);
    const options = { neurons: 2, steps: 2 };
    expect([...decodeMembrane(trace, options).scores]).toEqual([-6, -5, 9, 3]);
    expect([...decodeMembrane(trace, { ...options, reduce: 'max' }).scores]).toEqual([-1, 1, 9, 3]);
    expect([...decodeMembrane(trace, { ...options, reduce: 'last' }).scores]).toEqual([-1, 1, 0, 3]);
  });
});
