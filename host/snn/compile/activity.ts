/**
 * Which bundles carry a spike in the same machine step: what a partition is balanced for. Counted in a run of the lowered network on
 * calibration inputs, or, without any, drawn from a stated prior.
 */
import { seededRandom } from '../random.js';
import { spikesAt, type SpikeTrain } from '../spike-train.js';
import type { Lowered } from './lower.js';

export interface Activity {
  /** [steps + 1] into `bundle`: the bundles that are due in each observed machine step; one that is due twice stands twice. */
  readonly stepStart: Uint32Array;
  readonly bundle: Uint32Array;
  /** [bundles]: how often each is due in a machine step, on average. */
  readonly rate: Float64Array;
  /** Calibration inputs, or the prior. */
  readonly measured: boolean;
}

export interface Calibration {
  /** A train for each input population that is not silent. */
  readonly inputs: Readonly<Record<string, SpikeTrain>>;
  /** Samples that are looked at, at most. Default 32. */
  readonly samples?: number;
}

/** Share of the bundles that are due in a step of the prior: what was measured on digits is 2 to 20 %. */
const PRIOR_RATE = 0.1;
const PRIOR_STEPS = 64;
/** Entries of `bundle` at most: a partition is not better for having seen more. */
const MOST_ENTRIES = 2 ** 20;

export function priorActivity(lowered: Lowered, seed: number): Activity {
  const random = seededRandom(seed);
  const stepStart = new Uint32Array(PRIOR_STEPS + 1);
  const due: number[] = [];
  for (let step = 0; step < PRIOR_STEPS && due.length < MOST_ENTRIES; step++) {
    for (let b = 0; b < lowered.bundles; b++) if (random.uniform() < PRIOR_RATE) due.push(b);
    stepStart[step + 1] = due.length;
  }
  return {
    stepStart,
    bundle: Uint32Array.from(due),
    rate: new Float64Array(lowered.bundles).fill(PRIOR_RATE),
    measured: false,
  };
}

/** Runs the lowered network, in machine steps and plain integers, on each calibration sample. */
export function measureActivity(lowered: Lowered, { inputs, samples = 32 }: Calibration): Activity {
  const trains = Object.entries(inputs);
  const batch = Math.min(samples, ...trains.map(([, train]) => train.batch));
  const steps = Math.max(...trains.map(([, train]) => train.steps));
  const starts: number[] = [0];
  const due: number[] = [];
  for (let sample = 0; sample < batch && due.length < MOST_ENTRIES; sample++) {
    simulate(lowered, inputs, sample, steps, (bundles) => {
      for (const b of bundles) due.push(b);
      starts.push(due.length);
    });
  }
  const rate = new Float64Array(lowered.bundles);
  for (const b of due) rate[b]! += 1 / Math.max(1, starts.length - 1);
  return { stepStart: Uint32Array.from(starts), bundle: Uint32Array.from(due), rate, measured: true };
}

export interface Simulated {
  /** [neurons] in the order of the network. */
  readonly potentials: Int32Array;
  /** Spikes: machine step, neuron. */
  readonly spikes: readonly (readonly [machineStep: number, neuron: number])[];
}

/** One sample of the lowered network in machine steps; also the plainest statement of what a program must compute. */
export function simulate(
  lowered: Lowered,
  inputs: Readonly<Record<string, SpikeTrain>>,
  sample: number,
  steps: number,
  eachStep: (dueBundles: readonly number[]) => void = () => {},
): Simulated {
  const { stretch, maxSkew, classes, neurons } = lowered;
  const total = stretch * (steps - 1) + maxSkew + 1;
  const due: number[][] = Array.from({ length: total }, () => []);
  const send = (source: number, machineStep: number): void => {
    for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++)
      due[machineStep + lowered.delay[b]!]?.push(b);
  };
  for (const population of lowered.populations) {
    const train = inputs[population.name];
    if (train === undefined) continue;
    for (let step = 0; step < Math.min(steps, train.steps); step++)
      for (const id of spikesAt(train, step, sample)) send(population.firstSource + id, step * stretch);
  }
  const v = Int32Array.from({ length: neurons }, (_, n) => classes[lowered.neuronClass[n]!]!.initial);
  const waiting = new Int32Array(neurons);
  const spikes: [number, number][] = [];
  const sum = new Int32Array(neurons);
  for (let m = 0; m < total; m++) {
    sum.fill(0);
    for (const b of due[m]!) {
      const shift = lowered.shift[b]!;
      for (let k = lowered.firstSynapse[b]!; k < lowered.firstSynapse[b + 1]!; k++)
        sum[lowered.post[k]!]! += lowered.weight[k]! << shift;
    }
    eachStep(due[m]!);
    for (let n = 0; n < neurons; n++) {
      const c = classes[lowered.neuronClass[n]!]!;
      const since = m - c.skew;
      if (since < 0 || since % stretch !== 0 || since / stretch >= steps) continue;
      const next = (v[n]! - (c.leakShift > 0 ? v[n]! >> c.leakShift : 0) + sum[n]! + lowered.bias[n]!) | 0;
      if (waiting[n]! > 0) {
        waiting[n]!--;
        continue;
      }
      v[n] = next;
      if (!c.spiking || next < c.threshold) continue;
      v[n] = c.subtract ? next - c.threshold : c.resetValue;
      waiting[n] = c.refractorySteps;
      spikes.push([m, n]);
      send(lowered.inputs + n, m);
    }
  }
  return { potentials: v, spikes };
}
