/** From spikes per neuron to ascending lists of ids, an id as often as its neuron fired, and running totals per neuron. */
import source from '../../../gpu-kernels/snn/spike_expand.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';

export const spikeExpand = defineKernel({
  name: 'spikeExpand',
  buffers: {
    spikeCounts: ['u32', 'read'],
    spikeIndex: ['u32', 'read-write'],
    spikeIds: ['u32', 'read-write'],
    totals: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', slots: 'u32', most: 'u32', origin: 'i32' },
  usesStep: true,
  elements: (s) => ({
    spikeCounts: s.batch * s.neurons,
    spikeIndex: 2 * s.slots * s.batch,
    spikeIds: s.slots * s.batch * s.neurons * s.most,
    totals: s.batch * s.neurons,
  }),
  oracle({ spikeCounts, spikeIndex, spikeIds, totals, batch, neurons, slots, most, origin }, step) {
    const slot = (step - origin) % slots;
    for (let b = 0; b < batch; b++) {
      const list = slot * batch + b;
      const start = list * neurons * most;
      let at = start;
      for (let n = 0; n < neurons; n++) {
        const count = spikeCounts[b * neurons + n]!;
        spikeIds.fill(n, at, at + count);
        at += count;
        totals[b * neurons + n]! += count;
      }
      spikeIndex[2 * list] = start;
      spikeIndex[2 * list + 1] = at - start;
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s) => [1, s.batch, 1],
  workgroupSize: 128,
});
