/**
 * Which synapse goes to which SPU. A strategy is a pure function of the lowered network, the machine and a seed; all of them keep to
 * the SPUs' accumulator memories, in which a *group* (`lanes` neighbouring neuron ids) takes a place in every SPU that holds a
 * synapse of one of its neurons.
 */
import { TuttiError } from '../../errors.js';
import type { MachineConfig } from '../machine/config.js';
import type { Activity } from './activity.js';
import type { Partition } from './layout.js';
import type { Lowered } from './lower.js';
import { incomingLoad } from './placement.js';

export interface PartitionRequest {
  readonly lowered: Lowered;
  readonly machine: MachineConfig;
  readonly seed: number;
  /** Which bundles are active together. */
  readonly activity: Activity;
  /**
   * The cycles of a sample with a partition: on the calibration inputs by the cycle model, else by the estimator; undefined where it
   * was found not to fit the machine.
   */
  cyclesOf(partition: Partition): number | undefined;
}

export type PartitionStrategy = (request: PartitionRequest) => Partition;

/** Groups that an SPU has taken, and whether it may take one more. */
export function groupTable(machine: MachineConfig, neurons: number): GroupTable {
  const groups = Math.ceil(neurons / machine.lanes);
  const room = machine.accumulators / machine.lanes;
  const held = new Uint8Array(machine.spus * groups);
  const count = new Uint32Array(machine.spus);
  return {
    groups,
    room,
    count,
    take(spu, group) {
      const at = spu * groups + group;
      if (held[at]) return true;
      if (count[spu]! >= room) return false;
      held[at] = 1;
      count[spu]!++;
      return true;
    },
    holds: (spu, group) => held[spu * groups + group] === 1,
  };
}

export interface GroupTable {
  readonly groups: number;
  /** Groups that one SPU can hold. */
  readonly room: number;
  /** [spus]: groups that it holds. */
  readonly count: Uint32Array;
  /** False when the SPU is full and does not hold the group. */
  take(spu: number, group: number): boolean;
  holds(spu: number, group: number): boolean;
}

/** Neuron ids in the order of the network. */
export function plainPlacement(lowered: Lowered): Uint32Array {
  return Uint32Array.from({ length: lowered.neurons }, (_, n) => n);
}

/** @throws TuttiError LIMIT_EXCEEDED: no strategy can do with so few accumulators. */
export function outOfAccumulators(machine: MachineConfig, groups: number): TuttiError {
  const room = machine.accumulators / machine.lanes;
  const all = groups * machine.lanes;
  const need = Math.min(all, Math.max(Math.ceil(groups / machine.spus) * machine.lanes, 2 * machine.accumulators));
  return new TuttiError(
    'LIMIT_EXCEEDED',
    `${groups} groups of ${machine.lanes} neurons do not fit ${machine.spus} SPUs that hold ${room} groups each with this strategy; ` +
      `a machine with accumulators=${need} may do (every strategy does with ${all})`,
    {
      where: 'machine.accumulators',
      facts: { overflows: [{ memory: 'accumulators', what: 'partial sums', need, have: machine.accumulators }] },
    },
  );
}

/** The next SPU from `first` on, cyclically, that can take the group. */
function nextWithRoom(table: GroupTable, machine: MachineConfig, first: number, group: number): number {
  for (let k = 0; k < machine.spus; k++) {
    const p = (first + k) % machine.spus;
    if (table.take(p, group)) return p;
  }
  throw outOfAccumulators(machine, table.groups);
}

/**
 * Gives every group homes first when accumulators are scarce, at most `most` of them and the same number each, so that no synapse is left without
 * a place. Where every SPU can hold all groups nothing is reserved.
 */
function reserve(table: GroupTable, machine: MachineConfig, most: number): void {
  if (table.room >= table.groups) return;
  const each = Math.min(most, Math.floor((table.room * machine.spus) / table.groups));
  if (each === 0) throw outOfAccumulators(machine, table.groups);
  let next = 0;
  for (let group = 0; group < table.groups; group++)
    for (let k = 0; k < each; k++) table.take(next++ % machine.spus, group);
}

/**
 * Deals synapses in the order of the network: a bundle's go round, and the next bundle goes on where it stopped. Where accumulators are
 * scarce each group's go round its homes.
 */
export const roundRobin: PartitionStrategy = ({ lowered, machine }) => {
  const placement = plainPlacement(lowered);
  const table = groupTable(machine, lowered.neurons);
  reserve(table, machine, Infinity);
  const scarce = table.room < table.groups;
  const spu = new Uint8Array(lowered.post.length);
  const next = new Uint8Array(scarce ? table.groups : 1);
  for (let k = 0; k < spu.length; k++) {
    const group = Math.floor(lowered.post[k]! / machine.lanes);
    const turn = scarce ? group : 0;
    const p = nextWithRoom(table, machine, next[turn]!, group);
    spu[k] = p;
    next[turn] = (p + 1) % machine.spus;
  }
  return { spu, placement };
};

/** All synapses onto a group of neurons in one SPU; groups are dealt in turn. Needs the fewest accumulators. */
export const byPost: PartitionStrategy = ({ lowered, machine }) => {
  const placement = plainPlacement(lowered);
  const table = groupTable(machine, lowered.neurons);
  const home = new Uint8Array(table.groups);
  for (let group = 0; group < table.groups; group++)
    home[group] = nextWithRoom(table, machine, group % machine.spus, group);
  return {
    spu: atHome(lowered, machine, home, placement),
    placement,
  };
};

/** The SPU of each synapse where every group of neurons has one. */
function atHome({ post }: Lowered, machine: MachineConfig, home: Uint8Array, placement: Uint32Array): Uint8Array {
  const laneBits = Math.log2(machine.lanes);
  const spu = new Uint8Array(post.length);
  for (let k = 0; k < spu.length; k++) spu[k] = home[placement[post[k]!]! >> laneBits]!;
  return spu;
}

/** All synapses of a source in one SPU; sources are dealt in turn. What an SPU cannot hold goes to the next one. */
export const byPre: PartitionStrategy = ({ lowered, machine }) => {
  const table = groupTable(machine, lowered.neurons);
  // One home is enough: the others are taken where sources want them, the first sources first.
  reserve(table, machine, 1);
  const spu = new Uint8Array(lowered.post.length);
  const { firstBundle, firstSynapse } = lowered;
  for (let source = 0; source + 1 < firstBundle.length; source++) {
    const from = firstSynapse[firstBundle[source]!]!;
    const until = firstSynapse[firstBundle[source + 1]!]!;
    for (let k = from; k < until; k++)
      spu[k] = nextWithRoom(table, machine, source % machine.spus, Math.floor(lowered.post[k]! / machine.lanes));
  }
  return { spu, placement: plainPlacement(lowered) };
};

/**
 * Longest processing time first: groups of post-synaptic neurons by the expected operations onto them, most first, each onto the SPU
 * with the least so far. The neurons of a population are placed in the order of their own load, so that a group's are alike.
 */
export const greedy: PartitionStrategy = ({ lowered, machine, activity }) => {
  const load = incomingLoad(lowered, activity);
  const placement = new Uint32Array(lowered.neurons);
  for (const { model, firstSource, size } of lowered.populations) {
    if (model === 'input') continue;
    const first = firstSource - lowered.inputs;
    const order = Array.from({ length: size }, (_, i) => first + i).sort((a, b) => load[b]! - load[a]! || a - b);
    order.forEach((n, i) => (placement[n] = first + i));
  }
  const table = groupTable(machine, lowered.neurons);
  const ofGroup = new Float64Array(table.groups);
  for (let n = 0; n < lowered.neurons; n++) ofGroup[Math.floor(placement[n]! / machine.lanes)]! += load[n]!;
  const home = new Uint8Array(table.groups);
  const total = new Float64Array(machine.spus);
  for (const group of [...ofGroup.keys()].sort((a, b) => ofGroup[b]! - ofGroup[a]! || a - b)) {
    let best = -1;
    for (let p = 0; p < machine.spus; p++)
      if (table.count[p]! < table.room && (best < 0 || total[p]! < total[best]!)) best = p;
    if (best < 0) throw outOfAccumulators(machine, table.groups);
    table.take(best, group);
    home[group] = best;
    total[best]! += ofGroup[group]!;
  }
  return {
    spu: atHome(lowered, machine, home, placement),
    placement,
  };
};

export const SIMPLE_STRATEGIES = {
  'round-robin': roundRobin,
  'by-post': byPost,
  'by-pre': byPre,
  greedy,
} as const;
