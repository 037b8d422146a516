/**
 * Which bundles carry a spike in the same machine step: what a partition is balanced for. Counted in a run of the lowered network on
 * calibration inputs, or, without any, drawn from a stated prior.
 */
import { seededRandom } from '../../random.js';
import { spikesAt, type SpikeTrain } from '../spike-train.js';
import type { Lowered } from './lower.js';

export interface Activity {
  /** Machine steps of one sample; the observed steps are those of whole samples, one after another. */
  readonly steps: number;
  /** [observed + 1] into `bundle`: the bundles that are due in each observed machine step; one that is due twice stands twice. */
  readonly stepStart: Uint32Array;
  readonly bundle: Uint32Array;
  /** [observed + 1] into `fired`: the neurons that fire in each observed machine step, ascending. */
  readonly firedStart: Uint32Array;
  readonly fired: Uint32Array;
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

/** Share of inputs and neurons that spike in a step of the prior: what was measured on digits is 2 to 20 %. */
const PRIOR_RATE = 0.1;
const PRIOR_STEPS = 16;
const PRIOR_SAMPLES = 4;
/** Entries of `bundle` at most: a partition is not better for having seen more. */
const MOST_ENTRIES = 2 ** 20;

export function priorActivity(lowered: Lowered, seed: number): Activity {
  const random = seededRandom(seed);
  const { stretch, maxSkew, inputs, neurons } = lowered;
  const log = new ActivityLog(lowered, stretch * (PRIOR_STEPS - 1) + maxSkew + 1);
  for (let sample = 0; sample < PRIOR_SAMPLES && log.room; sample++) {
    const due: number[][] = Array.from({ length: log.steps }, () => []);
    const send = (source: number, step: number): void => {
      for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++)
        due[step + lowered.delay[b]!]?.push(b);
    };
    const fired: number[][] = [];
    for (let m = 0; m < log.steps; m++) {
      const active = m % stretch === 0 && m / stretch < PRIOR_STEPS;
      for (let source = 0; active && source < inputs; source++) if (random.uniform() < PRIOR_RATE) send(source, m);
      const now: number[] = [];
      for (let n = 0; n < neurons; n++) {
        const c = lowered.classes[lowered.neuronClass[n]!]!;
        const since = m - c.skew;
        if (!c.spiking || since < 0 || since % stretch !== 0 || since / stretch >= PRIOR_STEPS) continue;
        if (random.uniform() >= PRIOR_RATE) continue;
        now.push(n);
        send(inputs + n, m);
      }
      fired.push(now);
    }
    due.forEach((bundles, m) => log.add(bundles, fired[m]!));
  }
  return log.done(false);
}

/** Runs the lowered network, in machine steps and plain integers, on each calibration sample. */
export function measureActivity(lowered: Lowered, { inputs, samples = 32 }: Calibration): Activity {
  const trains = Object.values(inputs);
  const batch = Math.min(samples, ...trains.map((train) => train.batch));
  const steps = Math.max(...trains.map((train) => train.steps));
  const log = new ActivityLog(lowered, lowered.stretch * (steps - 1) + lowered.maxSkew + 1);
  for (let sample = 0; sample < batch && log.room; sample++)
    simulate(lowered, inputs, sample, steps, (bundles, fired) => log.add(bundles, fired));
  return log.done(true);
}

class ActivityLog {
  readonly steps: number;
  readonly #lowered: Lowered;
  readonly #stepStart: number[] = [0];
  readonly #bundle: number[] = [];
  readonly #firedStart: number[] = [0];
  readonly #fired: number[] = [];

  constructor(lowered: Lowered, steps: number) {
    this.#lowered = lowered;
    this.steps = steps;
  }

  get room(): boolean {
    return this.#bundle.length < MOST_ENTRIES;
  }

  add(bundles: readonly number[], fired: readonly number[]): void {
    for (const b of bundles) this.#bundle.push(b);
    for (const n of fired) this.#fired.push(n);
    this.#stepStart.push(this.#bundle.length);
    this.#firedStart.push(this.#fired.length);
  }

  done(measured: boolean): Activity {
    const rate = new Float64Array(this.#lowered.bundles);
    for (const b of this.#bundle) rate[b]! += 1 / Math.max(1, this.#stepStart.length - 1);
    return {
      steps: this.steps,
      stepStart: Uint32Array.from(this.#stepStart),
      bundle: Uint32Array.from(this.#bundle),
      firedStart: Uint32Array.from(this.#firedStart),
      fired: Uint32Array.from(this.#fired),
      rate,
      measured,
    };
  }
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
  eachStep: (dueBundles: readonly number[], fired: readonly number[]) => void = () => {},
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
    const fired: number[] = [];
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
      fired.push(n);
      send(lowered.inputs + n, m);
    }
    eachStep(due[m]!, fired);
  }
  return { potentials: v, spikes };
}
