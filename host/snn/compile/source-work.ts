/** When each source's bundles are due, in a form that partitions are weighed by. */
import type { Activity } from './activity.js';
import { sourcesOf } from './estimate.js';
import type { Lowered } from './lower.js';

/** Entries of the activity that are looked at: enough to tell which sources are active together. */
const MOST_DUE = 2 ** 17;

export interface SourceWork {
  readonly sources: number;
  /** [sources]. */
  readonly synapses: Uint32Array;
  /** [sources]: bundles, each of which is an axon at every port that it reaches. */
  readonly bundles: Uint32Array;
  /** [bundles]. */
  readonly sourceOf: Uint32Array;
  /** [bundles + 1] into `dueIn`: the observed steps in which each bundle is due. */
  readonly dueStart: Uint32Array;
  readonly dueIn: Uint32Array;
  readonly steps: number;
}

export function sourceWork(lowered: Lowered, activity: Activity): SourceWork {
  const sources = lowered.inputs + lowered.neurons;
  const synapses = new Uint32Array(sources);
  const bundles = new Uint32Array(sources);
  for (let s = 0; s < sources; s++) {
    const from = lowered.firstBundle[s]!;
    const until = lowered.firstBundle[s + 1]!;
    bundles[s] = until - from;
    synapses[s] = lowered.firstSynapse[until]! - lowered.firstSynapse[from]!;
  }
  let steps = activity.stepStart.length - 1;
  while (steps > 1 && activity.stepStart[steps]! > MOST_DUE) steps--;
  const dueStart = new Uint32Array(lowered.bundles + 1);
  const seen = activity.bundle.subarray(0, activity.stepStart[steps]);
  for (const b of seen) dueStart[b + 1]!++;
  for (let b = 0; b < lowered.bundles; b++) dueStart[b + 1]! += dueStart[b]!;
  const next = dueStart.slice(0, lowered.bundles);
  const dueIn = new Uint32Array(seen.length);
  for (let step = 0; step < steps; step++) {
    for (let i = activity.stepStart[step]!; i < activity.stepStart[step + 1]!; i++)
      dueIn[next[activity.bundle[i]!]!++] = step;
  }
  return { sources, synapses, bundles, sourceOf: sourcesOf(lowered), dueStart, dueIn, steps };
}

/** Operations of a source over the observed steps. */
export function stepsWeight(lowered: Lowered, { dueStart }: SourceWork, source: number): number {
  let weight = 0;
  for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++)
    weight += (dueStart[b + 1]! - dueStart[b]!) * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!);
  return weight;
}
