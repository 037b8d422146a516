/** Which SPUs hold partial sums of which groups of neurons. */
import { spusPerPort, type MachineConfig } from '../machine/config.js';
import type { Lowered } from './lower.js';
import { outOfAccumulators } from './partition.js';

export type Homes = (group: number, allowed: Uint8Array, score: Float64Array) => number;

/**
 * The least loaded of the allowed SPUs that may hold a group. Where accumulators are scarce every group has as many homes as there is room
 * for, the same number at each port, the heaviest groups first where there is least. @throws TuttiError LIMIT_EXCEEDED
 */
export function groupHomes(
  lowered: Lowered,
  machine: MachineConfig,
  placement: Uint32Array,
  incoming: Float64Array,
): Homes {
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
  const ofGroup = new Float64Array(groups);
  for (let n = 0; n < lowered.neurons; n++) ofGroup[Math.floor(placement[n]! / machine.lanes)]! += incoming[n]!;
  const heaviest = [...ofGroup.keys()].sort((a, b) => ofGroup[b]! - ofGroup[a]! || a - b);
  const count = new Uint32Array(spus);
  const total = new Float64Array(spus);
  for (let part = 0; part < parts; part++) {
    const mine = Array.from({ length: size }, (_, k) => part * size + k);
    for (const g of heaviest) {
      mine.sort((a, b) => total[a]! - total[b]! || count[a]! - count[b]! || a - b);
      let left = each;
      for (const p of mine) {
        if (left === 0) break;
        if (count[p] === room) continue;
        mayHold[p * groups + g] = 1;
        count[p]!++;
        total[p]! += ofGroup[g]! / (parts * each);
        left--;
      }
      if (left === each) throw outOfAccumulators(machine, groups);
    }
  }
  // What is left over: to the group with most work for each of its homes, in the least loaded SPU.
  const homesOf = new Float64Array(groups).fill(parts * each);
  const full = new Uint8Array(groups);
  for (;;) {
    let g = -1;
    for (let k = 0; k < groups; k++)
      if (!full[k] && (g < 0 || ofGroup[k]! / homesOf[k]! > ofGroup[g]! / homesOf[g]!)) g = k;
    if (g < 0) break;
    let best = -1;
    for (let p = 0; p < spus; p++) {
      if (count[p]! >= room || mayHold[p * groups + g]) continue;
      if (best < 0 || total[p]! < total[best]!) best = p;
    }
    if (best < 0) {
      full[g] = 1;
      continue;
    }
    const before = ofGroup[g]! / homesOf[g]!;
    homesOf[g]!++;
    const after = ofGroup[g]! / homesOf[g]!;
    for (let p = 0; p < spus; p++) if (mayHold[p * groups + g]) total[p]! -= before - after;
    mayHold[best * groups + g] = 1;
    count[best]!++;
    total[best]! += after;
  }
  return (group, allowed, score) => {
    let best = -1;
    for (const p of allowed) if (mayHold[p * groups + group] && (best < 0 || score[p]! < score[best]!)) best = p;
    if (best < 0) throw outOfAccumulators(machine, groups);
    return best;
  };
}
