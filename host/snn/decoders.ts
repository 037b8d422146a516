/** From what a network did to an answer: one label per sample, and the scores that it won by. Ties go to the lowest index. */
import { invalid, type SpikeTrain } from './spike-train.js';

export interface Decoded {
  /** The neuron with the highest score of each sample. */
  readonly labels: Uint32Array;
  /** [batch][neurons]. */
  readonly scores: Float64Array;
}

interface Sizes {
  readonly batch: number;
  readonly neurons: number;
}

function decode({ batch, neurons }: Sizes, scores: Float64Array): Decoded {
  const labels = new Uint32Array(batch);
  for (let b = 0; b < batch; b++) {
    let best = 0;
    for (let n = 1; n < neurons; n++) if (scores[b * neurons + n]! > scores[b * neurons + best]!) best = n;
    labels[b] = best;
  }
  return { labels, scores };
}

function sizesOf(length: number, { neurons, steps = 1 }: { readonly neurons: number; readonly steps?: number }): Sizes {
  const batch = length / (neurons * steps);
  if (!Number.isInteger(batch) || batch < 1) {
    throw invalid('values', `holds ${length} numbers, not a multiple of ${steps} steps x ${neurons} neurons`);
  }
  return { batch, neurons };
}

/**
 * The neuron that fired most. `counts` is a run's `spikeCounts`, [batch][neurons].
 * @throws TuttiError INPUT_INVALID when the sizes do not fit.
 */
export function decodeSpikeCount(counts: Uint32Array, options: { readonly neurons: number }): Decoded {
  return decode(sizesOf(counts.length, options), Float64Array.from(counts));
}

/** The neuron that fired first. The score is the number of steps that were left then; 0 for neurons that never fired. */
export function decodeFirstSpike(train: SpikeTrain): Decoded {
  const { steps, batch, neurons, index, ids } = train;
  const scores = new Float64Array(batch * neurons);
  for (let step = steps - 1; step >= 0; step--) {
    for (let b = 0; b < batch; b++) {
      const at = 2 * (step * batch + b);
      const start = index[at]!;
      for (let k = start; k < start + index[at + 1]!; k++) scores[b * neurons + ids[k]!] = steps - step;
    }
  }
  return decode({ batch, neurons }, scores);
}

export interface MembraneOptions {
  readonly neurons: number;
  /** Steps in `values`. Default 1: potentials at the end of a run. */
  readonly steps?: number;
  /** How the steps of a trace become one score: their 'sum' (default), their 'max'imum, or the 'last'. */
  readonly reduce?: 'sum' | 'max' | 'last';
}

/**
 * The neuron with the highest membrane potential. `values` is a run's `final`, [batch][neurons], or a recorded trace,
 * [steps][batch][neurons].
 * @throws TuttiError INPUT_INVALID when the sizes do not fit.
 */
export function decodeMembrane(values: Float32Array | Int32Array, options: MembraneOptions): Decoded {
  const { steps = 1, reduce = 'sum' } = options;
  const sizes = sizesOf(values.length, options);
  const frame = sizes.batch * sizes.neurons;
  const scores = Float64Array.from(values.subarray(0, frame));
  for (let step = 1; step < steps; step++) {
    for (let i = 0; i < frame; i++) {
      const value = values[step * frame + i]!;
      scores[i] = reduce === 'sum' ? scores[i]! + value : reduce === 'max' ? Math.max(scores[i]!, value) : value;
    }
  }
  return decode(sizes, scores);
}
