/** Counts of synaptic events, the same whatever ran the network. */
import type { SpikeTrain } from './spike-train.js';

/**
 * For every spike, the synapses that it leaves through. `fanOuts`: of each neuron of a population. `spikeCounts`: [batch][neurons] of
 * populations that are no inputs.
 */
export function countSynapticEvents(
  fanOuts: ReadonlyMap<string, Float64Array>,
  trains: ReadonlyMap<string, SpikeTrain>,
  spikeCounts: Readonly<Record<string, Uint32Array>>,
): number {
  let events = 0;
  for (const [name, { index, ids }] of trains) {
    const out = fanOuts.get(name)!;
    for (let at = 0; at < index.length; at += 2) {
      const start = index[at]!;
      for (let k = start; k < start + index[at + 1]!; k++) events += out[ids[k]!]!;
    }
  }
  for (const [name, counts] of Object.entries(spikeCounts)) {
    const out = fanOuts.get(name)!;
    for (let i = 0; i < counts.length; i++) if (counts[i] !== 0) events += counts[i]! * out[i % out.length]!;
  }
  return events;
}
