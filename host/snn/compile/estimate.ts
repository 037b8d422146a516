/**
 * The cycles that a partition will take, estimated from which bundles are due together: in a machine step the busiest SPU, the
 * busiest port and the merge sweep work side by side, so the longest of the three counts (docs/suprasnn.md).
 */
import { spusPerPort, type MachineConfig } from '../machine/config.js';
import type { Activity } from './activity.js';
import type { Partition } from './layout.js';
import type { Lowered } from './lower.js';

export interface Estimate {
  /** Cycles of an average machine step, without the latency between steps. */
  readonly cycles: number;
  /** What no partition onto this machine can beat: even operations, no axon at more than one port, the sweep. */
  readonly bound: number;
  /** Share of the SPUs' cycles in which they execute an operation. */
  readonly utilisation: number;
}

export function estimate(lowered: Lowered, machine: MachineConfig, { spu }: Partition, activity: Activity): Estimate {
  const { firstSynapse } = lowered;
  const perPort = spusPerPort(machine);
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  // Operations of each bundle at each SPU, as lists: bundles of large networks reach few of many SPUs.
  const listStart = new Uint32Array(lowered.bundles + 1);
  const listed: number[] = [];
  const counts = new Uint32Array(machine.spus);
  const due = new Uint8Array(lowered.bundles);
  for (const b of activity.bundle) due[b] = 1;
  for (let b = 0; b < lowered.bundles; b++) {
    if (due[b]) {
      counts.fill(0);
      for (let k = firstSynapse[b]!; k < firstSynapse[b + 1]!; k++) counts[spu[k]!]!++;
      for (let p = 0; p < machine.spus; p++) if (counts[p]! > 0) listed.push(p, counts[p]!);
    }
    listStart[b + 1] = listed.length;
  }
  const load = new Float64Array(machine.spus);
  const axons = new Float64Array(machine.ports);
  const steps = activity.stepStart.length - 1;
  let cycles = 0;
  let bound = 0;
  let operations = 0;
  for (let step = 0; step < steps; step++) {
    load.fill(0);
    axons.fill(0);
    let total = 0;
    const from = activity.stepStart[step]!;
    const until = activity.stepStart[step + 1]!;
    for (let i = from; i < until; i++) {
      const b = activity.bundle[i]!;
      let port = -1;
      for (let at = listStart[b]!; at < listStart[b + 1]!; at += 2) {
        const p = listed[at]!;
        load[p]! += listed[at + 1]!;
        total += listed[at + 1]!;
        const q = Math.floor(p / perPort);
        if (q !== port) axons[q]!++;
        port = q;
      }
    }
    cycles += Math.max(
      groups,
      load.reduce((a, b) => Math.max(a, b), 0),
      axons.reduce((a, b) => Math.max(a, b), 0),
    );
    bound += Math.max(groups, Math.ceil(total / machine.spus), Math.ceil((until - from) / machine.ports));
    operations += total;
  }
  return { cycles: cycles / steps, bound: bound / steps, utilisation: operations / (cycles * machine.spus) };
}
