/**
 * The cycles that a partition will take, and those that none can beat, from which neurons fire and which bundles are due in observed
 * machine steps. Times are those of the cycle model (../machine/cycle-model.ts), but an SPU is a sum of operations and a port a number
 * of axons, whatever their order, and FIFOs never fill up.
 */
import { spusPerPort, type MachineConfig } from '../machine/config.js';
import { machineTiming } from '../machine/timing.js';
import type { Activity } from './activity.js';
import type { Partition } from './layout.js';
import type { Lowered } from './lower.js';

/**
 * What a machine step waited for last: operations of the busiest SPU, axons at the busiest port, spikes of the step before that were still on
 * their way (swept late, delivered one a cycle), or the merge of the step before.
 */
export type Limit = 'operations' | 'axons' | 'spikes' | 'merge';

export interface Estimate {
  /** Cycles of an average sample. */
  readonly cycles: number;
  /** Machine steps by what they waited for, over all observed ones. */
  readonly limits: Readonly<Record<Limit, number>>;
  /** Share of the SPUs' cycles in which they execute an operation. */
  readonly utilisation: number;
}

/** Of one machine step. */
interface StepWork {
  /** Of the busiest SPU; of these, for axons that were fired in the step before. */
  operations: number;
  urgentOperations: number;
  /** At the busiest port. */
  axons: number;
  /** Axons of inputs. */
  inputAxons: number;
  /** Cycle after the barrier in which the first and the last axon that was fired in the step before can be issued, or -1. */
  firstUrgent: number;
  lastUrgent: number;
  /** Neuron ids that fire at its end, ascending. */
  fired: Uint32Array;
}

/** @returns what `partition` takes on the observed steps */
export function estimate(
  lowered: Lowered,
  machine: MachineConfig,
  { spu, placement }: Partition,
  activity: Activity,
): Estimate {
  const { inputs, delay } = lowered;
  const perPort = spusPerPort(machine);
  const reach = reachOf(lowered, machine, spu, activity);
  const sourceOf = sourcesOf(lowered);
  const load = new Float64Array(machine.spus);
  const urgentLoad = new Float64Array(machine.spus);
  const axons = new Float64Array(machine.ports);
  /** [neurons by id]: issue time of its last spike. */
  const issued = new Float64Array(lowered.neurons);
  return walk(
    lowered,
    machine,
    activity,
    (step, work) => {
      load.fill(0);
      urgentLoad.fill(0);
      axons.fill(0);
      for (let i = activity.stepStart[step]!; i < activity.stepStart[step + 1]!; i++) {
        const b = activity.bundle[i]!;
        const source = sourceOf[b]!;
        const urgent = source >= inputs && delay[b] === 1;
        if (urgent) {
          const time = issued[placement[source - inputs]!]!;
          if (work.firstUrgent < 0 || time < work.firstUrgent) work.firstUrgent = time;
          if (time > work.lastUrgent) work.lastUrgent = time;
        }
        let port = -1;
        for (let at = reach.start[b]!; at < reach.start[b + 1]!; at++) {
          const p = reach.spu[at]!;
          load[p]! += reach.count[at]!;
          if (urgent) urgentLoad[p]! += reach.count[at]!;
          const q = Math.floor(p / perPort);
          if (q === port) continue;
          port = q;
          axons[q]!++;
          if (source < inputs) work.inputAxons++;
        }
      }
      work.operations = most(load);
      work.urgentOperations = most(urgentLoad);
      work.axons = most(axons);
      const fired = activity.fired.slice(activity.firedStart[step], activity.firedStart[step + 1]);
      for (let i = 0; i < fired.length; i++) fired[i] = placement[fired[i]!]!;
      work.fired = fired.sort();
    },
    issued,
  );
}

/**
 * What no partition of this lowered network onto this machine can beat on the observed steps: operations divided evenly, no axon at
 * more than one port, neurons that fire swept first and their spikes issued as soon as delivered.
 */
export function lowerBound(lowered: Lowered, machine: MachineConfig, activity: Activity): Estimate {
  const { inputs, delay, firstSynapse } = lowered;
  const sourceOf = sourcesOf(lowered);
  const issued = new Float64Array(lowered.neurons);
  const isUrgent = new Uint8Array(lowered.neurons);
  for (let b = 0; b < lowered.bundles; b++)
    if (sourceOf[b]! >= inputs && delay[b] === 1) isUrgent[sourceOf[b]! - inputs] = 1;
  return walk(
    lowered,
    machine,
    activity,
    (step, work) => {
      let operations = 0;
      let urgent = 0;
      let last = -1;
      const from = activity.stepStart[step]!;
      const until = activity.stepStart[step + 1]!;
      for (let i = from; i < until; i++) {
        const b = activity.bundle[i]!;
        operations += firstSynapse[b + 1]! - firstSynapse[b]!;
        if (sourceOf[b]! < inputs) work.inputAxons++;
        else if (delay[b] === 1 && sourceOf[b] !== last) urgent++;
        last = sourceOf[b]!;
      }
      work.operations = Math.ceil(operations / machine.spus);
      work.urgentOperations = 0;
      work.axons = Math.ceil((until - from) / machine.ports);
      // The k-th spike is of the k-th neuron id, at best; those that are waited for come first.
      if (urgent > 0) work.lastUrgent = issued[urgent - 1]!;
      work.fired = Uint32Array.from(
        { length: activity.firedStart[step + 1]! - activity.firedStart[step]! },
        (_, k) => k,
      );
    },
    issued,
  );
}

/** Adds up the cycles of all observed samples, step by step; `issued` [neuron ids] is told when each spike can be issued. */
function walk(
  lowered: Lowered,
  machine: MachineConfig,
  activity: Activity,
  look: (step: number, work: StepWork) => void,
  issued: Float64Array,
): Estimate {
  const timing = machineTiming(machine);
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  const sweep = groups + timing.groupToSpikes;
  const observed = activity.stepStart.length - 1;
  const samples = Math.max(1, observed / activity.steps);
  const limits: Record<Limit, number> = { operations: 0, axons: 0, spikes: 0, merge: 0 };
  let cycles = 0;
  let inSample = 0;
  let words = 0;
  let merged = 0;
  for (let step = 0; step < observed; step++) {
    const first = step % activity.steps === 0;
    const work: StepWork = {
      operations: 0,
      urgentOperations: 0,
      axons: 0,
      inputAxons: 0,
      firstUrgent: -1,
      lastUrgent: -1,
      fired: new Uint32Array(0),
    };
    look(step, work);
    // Since the barrier in front of the step. An axon that waits already is looked up in cycle 1.
    const start = 1 + timing.fetchToIssue;
    const tail = timing.spuDrain + timing.quietToBarrier;
    const byOperations = work.operations > 0 ? start + timing.issueToStart + work.operations + tail : 0;
    const byAxons = work.axons > 0 ? start + work.axons - 1 + timing.issueToStart + 1 + tail : 0;
    const bySpikes =
      work.lastUrgent < 0
        ? 0
        : Math.max(work.lastUrgent + 1, work.firstUrgent + work.urgentOperations) + timing.issueToStart + tail;
    const byMerge = Math.max(timing.leastStep, first ? 0 : merged + 2);
    const longest = Math.max(byOperations, byAxons, bySpikes, byMerge);
    limits[
      longest === byOperations
        ? 'operations'
        : longest === byAxons
          ? 'axons'
          : longest === bySpikes
            ? 'spikes'
            : 'merge'
    ]++;
    if (first) {
      inSample = 1;
      words = 1;
    }
    inSample += longest;
    words += Math.max(1, machine.ports > 1 ? Math.ceil(work.inputAxons / 2) : work.inputAxons);
    // The sweep behind this step, and its spikes.
    let delivered = -Infinity;
    for (const id of work.fired) {
      const available = 1 + Math.floor(id / machine.lanes) + timing.groupToSpikes;
      const time = Math.max(available + 1, delivered);
      issued[id] = time + timing.deliver + timing.deliverToFetch + timing.fetchToIssue;
      delivered = time + 1;
    }
    merged = Math.max(sweep, delivered + timing.deliveryDrain);
    if ((step + 1) % activity.steps === 0) cycles += Math.max(inSample, words) + merged + timing.end;
  }
  const { firstSynapse } = lowered;
  let operations = 0;
  for (const b of activity.bundle) operations += firstSynapse[b + 1]! - firstSynapse[b]!;
  return { cycles: cycles / samples, limits, utilisation: operations / (cycles * machine.spus) };
}

/** The SPUs that each due bundle reaches, and its operations there. */
interface Reach {
  /** [bundles + 1] into the next two. */
  readonly start: Uint32Array;
  readonly spu: Uint8Array;
  readonly count: Uint32Array;
}

function reachOf(lowered: Lowered, machine: MachineConfig, spu: Uint8Array, activity: Activity): Reach {
  const { bundles, firstSynapse } = lowered;
  const due = new Uint8Array(bundles);
  for (const b of activity.bundle) due[b] = 1;
  const start = new Uint32Array(bundles + 1);
  const counts = new Uint32Array(machine.spus);
  let room = 0;
  for (let b = 0; b < bundles; b++) if (due[b]) room += Math.min(machine.spus, firstSynapse[b + 1]! - firstSynapse[b]!);
  const to = new Uint8Array(room);
  const count = new Uint32Array(room);
  let at = 0;
  for (let b = 0; b < bundles; b++) {
    if (due[b]) {
      counts.fill(0);
      for (let k = firstSynapse[b]!; k < firstSynapse[b + 1]!; k++) counts[spu[k]!]!++;
      for (let p = 0; p < machine.spus; p++) {
        if (counts[p] === 0) continue;
        to[at] = p;
        count[at++] = counts[p]!;
      }
    }
    start[b + 1] = at;
  }
  return { start, spu: to, count };
}

/** [bundles]: the source of each. */
export function sourcesOf({ firstBundle, bundles }: Lowered): Uint32Array {
  const sourceOf = new Uint32Array(bundles);
  for (let source = 0; source + 1 < firstBundle.length; source++)
    sourceOf.fill(source, firstBundle[source], firstBundle[source + 1]);
  return sourceOf;
}

function most(values: Float64Array): number {
  let found = 0;
  for (const value of values) if (value > found) found = value;
  return found;
}
