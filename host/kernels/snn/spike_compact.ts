/** From one bit per neuron to ascending lists of ids, and running totals per neuron. */
import subgroupSource from '../../../gpu-kernels/snn/spike_compact.subgroups.wgsl';
import source from '../../../gpu-kernels/snn/spike_compact.wgsl';
import { defineKernel } from '../kernel.js';
import { wgslVariant } from '../wgsl-variant.js';
import { snnModule } from './module.js';
import { bitWords } from './spikes.js';

export const spikeCompact = defineKernel({
  name: 'spikeCompact',
  buffers: {
    spikeBits: ['u32', 'read'],
    spikeIndex: ['u32', 'read-write'],
    spikeIds: ['u32', 'read-write'],
    totals: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', slots: 'u32', origin: 'i32' },
  usesStep: true,
  elements: (s) => ({
    spikeBits: s.batch * bitWords(s.neurons),
    spikeIndex: 2 * s.slots * s.batch,
    spikeIds: s.slots * s.batch * s.neurons,
    totals: s.batch * s.neurons,
  }),
  oracle({ spikeBits, spikeIndex, spikeIds, totals, batch, neurons, slots, origin }, step) {
    const slot = (step - origin) % slots;
    const words = bitWords(neurons);
    for (let b = 0; b < batch; b++) {
      const start = (slot * batch + b) * neurons;
      let count = 0;
      for (let n = 0; n < neurons; n++) {
        if (spikeBits[b * words + (n >> 5)]! & (1 << (n & 31))) {
          spikeIds[start + count++] = n;
          totals[b * neurons + n]!++;
        }
      }
      spikeIndex[2 * (slot * batch + b)] = start;
      spikeIndex[2 * (slot * batch + b) + 1] = count;
    }
  },
  wasm: snnModule,
  wgsl: [wgslVariant(['subgroups'], subgroupSource), wgslVariant([], source)],
  workgroups: (s) => [1, s.batch, 1],
  workgroupSize: 128,
});
