/** From the ports that each source uses to a partition: an SPU for every synapse, a place for every neuron. */
import { spusPerPort, type MachineConfig } from '../machine/config.js';
import type { Partition } from './layout.js';
import type { Lowered } from './lower.js';
import { outOfAccumulators, type PartitionRequest } from './partition.js';
import { stepsWeight, type SourceWork } from './source-work.js';

/** Passes over all bundles in which their synapses are dealt, the later ones knowing where all the others lie. */
const PASSES = 2;
/** How much even rows count beside what the observed steps say: others will be a little different. */
const EVEN = 8;

/**
 * Gives every synapse an SPU: of its source's ports (`maskOf` [sources]), among those that may hold its group, the one that is least loaded in
 * the steps in which the source is due. @throws TuttiError LIMIT_EXCEEDED
 */
export function deal({ lowered, machine }: PartitionRequest, work: SourceWork, maskOf: Uint8Array): Partition {
  const { spus, lanes } = machine;
  const perPort = spusPerPort(machine);
  const placement = placeByPort(lowered, machine, work, maskOf);
  const homes = groupHomes(lowered, machine);
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

/**
 * Within each population, neurons of different ports in turn: then their axons, numbered one after another, meet their ports. Of each
 * port's, those that cause most work come first, so that it can begin early in the sweep.
 */
function placeByPort(lowered: Lowered, { ports }: MachineConfig, work: SourceWork, maskOf: Uint8Array): Uint32Array {
  const placement = new Uint32Array(lowered.neurons);
  for (const { model, firstSource, size } of lowered.populations) {
    if (model === 'input') continue;
    const first = firstSource - lowered.inputs;
    const queues: number[][] = Array.from({ length: ports + 1 }, () => []);
    const weight = Float64Array.from({ length: size }, (_, i) => stepsWeight(lowered, work, firstSource + i));
    const lightest = Array.from({ length: size }, (_, i) => first + i);
    lightest.sort((a, b) => weight[a - first]! - weight[b - first]! || b - a);
    for (const n of lightest) {
      const source = lowered.inputs + n;
      const port = Math.log2(maskOf[source]!);
      const silent = lowered.firstBundle[source] === lowered.firstBundle[source + 1];
      // Those of several ports fit anywhere.
      queues[silent || port % 1 !== 0 ? ports : port]!.push(n);
    }
    let next = 0;
    for (let place = first; place < first + size; place++) {
      let queue = queues[ports]!;
      for (let k = 0; k < ports; k++) {
        const q = (next + k) % ports;
        if (queues[q]!.length > 0) {
          queue = queues[q]!;
          next = (q + 1) % ports;
          break;
        }
      }
      placement[queue.pop()!] = place;
    }
  }
  return placement;
}

type Homes = (group: number, allowed: Uint8Array, score: Float64Array) => number;

/**
 * The least loaded of the allowed SPUs that may hold a group. Where accumulators are scarce every group has as many homes as there is room
 * for, the same number at each port. @throws TuttiError LIMIT_EXCEEDED
 */
function groupHomes(lowered: Lowered, machine: MachineConfig): Homes {
  const { spus, ports } = machine;
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  const room = machine.accumulators / machine.lanes;
  if (room >= groups) {
    return (_group, allowed, score) => {
      let best = allowed[0]!;
      for (const p of allowed) if (score[p]! < score[best]!) best = p;
      return best;
    };
  }
  const perPort = spusPerPort(machine);
  // Homes at each port; with less than one, homes anywhere, and then no source can be confined to one port.
  const atPort = Math.floor((perPort * room) / groups);
  const anywhere = Math.floor((spus * room) / groups);
  if (anywhere < 1) throw outOfAccumulators(machine, groups);
  const mayHold = new Uint8Array(spus * groups);
  const [parts, size, each] = atPort > 0 ? [ports, perPort, atPort] : [1, spus, anywhere];
  for (let part = 0; part < parts; part++) {
    let next = 0;
    for (let g = 0; g < groups; g++)
      for (let k = 0; k < each; k++) mayHold[(part * size + (next++ % size)) * groups + g] = 1;
  }
  return (group, allowed, score) => {
    let best = -1;
    for (const p of allowed) if (mayHold[p * groups + group] && (best < 0 || score[p]! < score[best]!)) best = p;
    if (best < 0) throw outOfAccumulators(machine, groups);
    return best;
  };
}
