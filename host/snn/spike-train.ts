/**
 * What goes into a network and comes out of it: spikes per step and sample, or currents. Flat typed arrays in the very
 * layout that the kernels read (docs/kernels.md, "Spike streams"), so that nothing is converted on the way to a device.
 */
import { TuttiError } from '../errors.js';

/** Who fired, per step and sample. */
export interface SpikeTrain {
  readonly kind: 'spikes';
  readonly steps: number;
  /** Number of samples. */
  readonly batch: number;
  readonly neurons: number;
  /** [steps][batch][2]: (start, count) into `ids`. */
  readonly index: Uint32Array;
  /** Neuron ids, ascending within one list; an id may repeat (several spikes of one neuron in one step). */
  readonly ids: Uint32Array;
}

/** Values added to a population's synaptic input in every step. */
export interface Current {
  readonly kind: 'current';
  /** 1: the same in every step. Otherwise one frame per step; the last frame holds for the steps after it. */
  readonly frames: number;
  readonly batch: number;
  readonly neurons: number;
  /** [frames][batch][neurons]; Float32Array for float32 networks, Int32Array for fixed-point ones. */
  readonly values: Float32Array | Int32Array;
  /** For populations with several receptors: the one that receives it. Default: the first. */
  readonly receptor?: string;
}

/** The ids that fired at `step` in `sample`: a view, not a copy. */
export function spikesAt(train: SpikeTrain, step: number, sample: number): Uint32Array {
  const at = 2 * (step * train.batch + sample);
  const start = train.index[at] ?? 0;
  return train.ids.subarray(start, start + (train.index[at + 1] ?? 0));
}

/** A train in which nobody fires. */
export function silence(shape: { steps: number; batch: number; neurons: number }): SpikeTrain {
  return {
    kind: 'spikes',
    ...shape,
    index: new Uint32Array(2 * shape.steps * shape.batch),
    ids: new Uint32Array(0),
  };
}

/**
 * A train from lists: `lists[step][sample]` holds the ids that fire. Handy for small stimuli; the encoders are faster.
 * @throws TuttiError INPUT_INVALID when the lists are ragged or name neurons that do not exist.
 */
export function spikeTrain(lists: readonly (readonly ArrayLike<number>[])[], neurons: number): SpikeTrain {
  const steps = lists.length;
  const batch = lists[0]?.length ?? 1;
  let total = 0;
  lists.forEach((samples, step) => {
    if (samples.length !== batch) {
      throw invalid(
        `lists[${step}]`,
        `holds ${samples.length} samples, lists[0] holds ${batch}; give every step as many`,
      );
    }
    for (const ids of samples) total += ids.length;
  });
  const index = new Uint32Array(2 * steps * batch);
  const ids = new Uint32Array(total);
  let at = 0;
  lists.forEach((samples, step) =>
    samples.forEach((list, sample) => {
      const start = at;
      for (let k = 0; k < list.length; k++) {
        const id = list[k]!;
        if (!Number.isInteger(id) || id < 0 || id >= neurons) {
          throw invalid(`lists[${step}][${sample}][${k}]`, `is ${id}; ids are whole numbers in 0 .. ${neurons - 1}`);
        }
        ids[at++] = id;
      }
      ids.subarray(start, at).sort();
      index.set([start, at - start], 2 * (step * batch + sample));
    }),
  );
  return { kind: 'spikes', steps, batch, neurons, index, ids };
}

/** How often the most active neuron fires within one step of one sample. */
export interface TrainFacts {
  readonly maxPerStep: number;
  readonly spikes: number;
}

/**
 * Checks a train that comes from outside before a device reads it.
 * @throws TuttiError INPUT_INVALID naming `where` and the first entry that is wrong.
 */
export function checkSpikeTrain(train: SpikeTrain, where: string): TrainFacts {
  const { steps, batch, neurons, index, ids } = train;
  checkCount(steps, `${where}.steps`);
  checkCount(batch, `${where}.batch`);
  checkCount(neurons, `${where}.neurons`);
  if (!(index instanceof Uint32Array) || !(ids instanceof Uint32Array)) {
    throw invalid(where, 'needs `index` and `ids` as Uint32Array; make trains with an encoder or spikeTrain()');
  }
  if (index.length !== 2 * steps * batch) {
    throw invalid(
      `${where}.index`,
      `holds ${index.length} numbers, ${steps} steps of ${batch} samples need ${2 * steps * batch}`,
    );
  }
  let maxPerStep = 0;
  let spikes = 0;
  for (let at = 0; at < index.length; at += 2) {
    const count = index[at + 1]!;
    if (count === 0) continue;
    const start = index[at]!;
    const end = start + count;
    if (end > ids.length) {
      throw invalid(
        `${where}.index[${at}]`,
        `names ids ${start} .. ${end - 1}, but there are only ${ids.length}; the train is cut short or corrupt`,
      );
    }
    spikes += count;
    let previous = ids[start]!;
    let repeats = 1;
    for (let k = start + 1; k < end; k++) {
      const id = ids[k]!;
      if (id > previous) repeats = 1;
      else if (id === previous) {
        if (++repeats > maxPerStep) maxPerStep = repeats;
      } else throw invalid(`${where}.ids[${k}]`, `is ${id} after ${previous}; sort the ids of every step ascending`);
      previous = id;
    }
    if (maxPerStep === 0) maxPerStep = 1;
    // Ascending, so that the last id is the largest.
    if (previous >= neurons) {
      throw invalid(`${where}.ids[${end - 1}]`, `is ${previous}, but the population has ${neurons} neurons`);
    }
  }
  return { maxPerStep, spikes };
}

/** @throws TuttiError INPUT_INVALID. Returns the largest magnitude. */
export function checkCurrent(current: Current, numeric: 'float32' | 'fixed', where: string): number {
  const { frames, batch, neurons, values } = current;
  checkCount(frames, `${where}.frames`);
  checkCount(batch, `${where}.batch`);
  checkCount(neurons, `${where}.neurons`);
  const expected = numeric === 'float32' ? Float32Array : Int32Array;
  if (!(values instanceof expected)) {
    throw invalid(`${where}.values`, `must be a ${expected.name}, because the network is ${numeric}`);
  }
  if (values.length !== frames * batch * neurons) {
    throw invalid(
      `${where}.values`,
      `holds ${values.length} numbers, ${frames} frames x ${batch} samples x ${neurons} neurons need ${frames * batch * neurons}`,
    );
  }
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]!);
    if (size > largest) largest = size;
    else if (Number.isNaN(size)) throw invalid(`${where}.values[${i}]`, 'is NaN');
  }
  if (largest === Infinity) throw invalid(`${where}.values`, 'holds an infinite current');
  return largest;
}

function checkCount(value: unknown, where: string): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw invalid(where, `is ${String(value)}; it must be a whole number of at least 1`);
  }
}

export function invalid(where: string, what: string): TuttiError {
  return new TuttiError('INPUT_INVALID', `${where} ${what}`, { where });
}

/** Trains of the same samples and neurons, one after the other. */
export function joinTrains(trains: readonly SpikeTrain[]): SpikeTrain {
  const [first] = trains;
  if (first === undefined) throw invalid('trains', 'is empty; there is nothing to join');
  if (trains.length === 1) return first;
  const steps = trains.reduce((sum, train) => sum + train.steps, 0);
  const index = new Uint32Array(2 * steps * first.batch);
  const ids = new Uint32Array(trains.reduce((sum, train) => sum + train.ids.length, 0));
  let pair = 0;
  let id = 0;
  for (const train of trains) {
    if (train.batch !== first.batch || train.neurons !== first.neurons) {
      throw invalid(
        'trains',
        `differ in shape: ${train.batch} x ${train.neurons} after ${first.batch} x ${first.neurons}`,
      );
    }
    for (let at = 0; at < train.index.length; at += 2) {
      index[pair + at] = train.index[at]! + id;
      index[pair + at + 1] = train.index[at + 1]!;
    }
    pair += train.index.length;
    ids.set(train.ids, id);
    id += train.ids.length;
  }
  return { kind: 'spikes', steps, batch: first.batch, neurons: first.neurons, index, ids };
}

/** Steps `from .. to - 1` of a train; silence after its end. */
export function sliceTrain(train: SpikeTrain, from: number, to: number): SpikeTrain {
  const lists = Array.from({ length: to - from }, (_, i) =>
    Array.from({ length: train.batch }, (_sample, b) =>
      from + i < train.steps ? spikesAt(train, from + i, b) : new Uint32Array(0),
    ),
  );
  return spikeTrain(lists, train.neurons);
}
