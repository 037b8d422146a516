/** From the ports that each source uses to a partition: an SPU for every synapse, a place for every neuron. */
import { spusPerPort } from '../machine/config.js';
import type { Partition } from './layout.js';
import { groupHomes } from './homes.js';
import type { PartitionRequest } from './partition.js';
import { incomingLoad, placeByPort, placeEvenly } from './placement.js';
import type { SourceWork } from './source-work.js';

/** Passes over all bundles in which their synapses are dealt, the later ones knowing where all the others lie. */
const PASSES = 2;
/** How much even rows count beside what the observed steps say: others will be a little different. */
const EVEN = 8;

/**
 * Gives every synapse an SPU: of its source's ports (`maskOf` [sources]), among those that may hold its group, the one that is least loaded in
 * the steps in which the source is due. Neurons are placed so that those which cause most work are swept early, or so that groups have
 * an even load: that is better where partial sums are scarce. @throws TuttiError LIMIT_EXCEEDED
 */
export function deal(
  { lowered, machine, activity }: PartitionRequest,
  work: SourceWork,
  maskOf: Uint8Array,
  placing: 'early' | 'even',
): Partition {
  const { spus, lanes } = machine;
  const perPort = spusPerPort(machine);
  const incoming = incomingLoad(lowered, activity);
  const placement =
    placing === 'early' ? placeByPort(lowered, machine, work, maskOf) : placeEvenly(lowered, machine, incoming);
  const homes = groupHomes(lowered, machine, placement, incoming);
  const spu = new Uint8Array(lowered.post.length);
  const load = new Float32Array(work.steps * spus);
  const held = new Float64Array(spus);
  const score = new Float64Array(spus);
  const counts = new Uint32Array(spus);
  const { dueStart, dueIn } = work;
  const heaviest = Array.from({ length: lowered.bundles }, (_, b) => b);
  const weights = Float64Array.from(
    heaviest,
    (b) => (dueStart[b + 1]! - dueStart[b]!) * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!),
  );
  heaviest.sort((a, b) => weights[b]! - weights[a]! || a - b);
  /** [2 ** ports]: the SPUs of a set of ports. */
  const spusOf = Array.from({ length: 2 ** machine.ports }, (_, mask) =>
    Uint8Array.from({ length: spus }, (__, p) => p).filter((p) => (mask >> Math.floor(p / perPort)) & 1),
  );
  /** Adds `counts` to the load of the steps in which bundle b is due, or takes them away. */
  const put = (b: number, allowed: Uint8Array, sign: number): void => {
    for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
      const row = dueIn[i]! * spus;
      for (const p of allowed) load[row + p]! += sign * counts[p]!;
    }
  };
  for (let i = 0; i < PASSES * heaviest.length; i++) {
    const again = i >= heaviest.length;
    const b = heaviest[i % heaviest.length]!;
    const from = lowered.firstSynapse[b]!;
    const until = lowered.firstSynapse[b + 1]!;
    const allowed = spusOf[maskOf[work.sourceOf[b]!]!]!;
    const due = dueStart[b + 1]! - dueStart[b]!;
    if (again) {
      if (due === 0) continue;
      counts.fill(0);
      for (let k = from; k < until; k++) counts[spu[k]!]!++;
      for (const p of allowed) held[p]! -= counts[p]!;
      put(b, allowed, -1);
    }
    score.fill(0);
    for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
      const row = dueIn[i]! * spus;
      for (const p of allowed) {
        const l = load[row + p]!;
        score[p]! += l * l * l;
      }
    }
    // What was never seen active is spread by what the memories hold.
    for (const p of allowed) score[p]! += 1e-3 * held[p]!;
    // What one more operation adds to a score: the derivative of the cubes, at the mean load.
    let mean = 0;
    for (const p of allowed) mean += score[p]!;
    mean = due === 0 ? 0 : Math.cbrt(mean / allowed.length / due);
    const each = EVEN * 3 * due * Math.max(1, mean) ** 2 + 1e-3;
    counts.fill(0);
    for (let k = from; k < until; k++) {
      const p = homes(Math.floor(placement[lowered.post[k]!]! / lanes), allowed, score);
      spu[k] = p;
      score[p]! += each;
      counts[p]!++;
      held[p]!++;
    }
    put(b, allowed, 1);
  }
  return { spu, placement };
}
