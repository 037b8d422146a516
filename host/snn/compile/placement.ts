/** The order of neurons in the neuron unit. Populations are neighbours and keep their order; within each, places are free. */
import type { MachineConfig } from '../machine/config.js';
import type { Activity } from './activity.js';
import type { Lowered } from './lower.js';
import { stepsWeight, type SourceWork } from './source-work.js';

/**
 * Within each population, neurons of different ports in turn: then their axons, numbered one after another, meet their ports. Of each
 * port's, those that cause most work come first, so that it can begin early in the sweep.
 */
export function placeByPort(
  lowered: Lowered,
  { ports }: MachineConfig,
  work: SourceWork,
  maskOf: Uint8Array,
): Uint32Array {
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

/** [neurons]: expected operations onto each in a step. */
export function incomingLoad(lowered: Lowered, { rate }: Activity): Float64Array {
  const load = new Float64Array(lowered.neurons);
  for (let b = 0; b < lowered.bundles; b++)
    for (let k = lowered.firstSynapse[b]!; k < lowered.firstSynapse[b + 1]!; k++) load[lowered.post[k]!]! += rate[b]!;
  return load;
}

/** Within each population, the heaviest neuron to the group that has least so far. */
export function placeEvenly(lowered: Lowered, { lanes }: MachineConfig, incoming: Float64Array): Uint32Array {
  const placement = new Uint32Array(lowered.neurons);
  const groups = Math.ceil(lowered.neurons / lanes);
  const load = new Float64Array(groups);
  for (const { model, firstSource, size } of lowered.populations) {
    if (model === 'input') continue;
    const first = firstSource - lowered.inputs;
    /** Places that are left in each group. */
    const free = Array.from({ length: groups }, (): number[] => []);
    for (let place = first + size - 1; place >= first; place--) free[Math.floor(place / lanes)]!.push(place);
    const from = Math.floor(first / lanes);
    const until = Math.ceil((first + size) / lanes);
    const heaviest = Array.from({ length: size }, (_, i) => first + i);
    heaviest.sort((a, b) => incoming[b]! - incoming[a]! || a - b);
    for (const n of heaviest) {
      let best = -1;
      for (let g = from; g < until; g++) if (free[g]!.length > 0 && (best < 0 || load[g]! < load[best]!)) best = g;
      placement[n] = free[best]!.pop()!;
      load[best]! += incoming[n]!;
    }
  }
  return placement;
}
