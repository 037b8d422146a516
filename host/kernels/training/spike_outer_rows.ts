/**
 * The weight gradient of a layer that is fed by spikes: row `id` of `gradient` is the sum of the delta rows of all lists in
 * which `id` fired. Cost follows the number of spikes, not of synapses. One list per (step, sample).
 */
import source from '../../../gpu-kernels/training/spike_outer_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { trainingModule } from './module.js';

export const spikeOuterRows = defineKernel({
  name: 'spikeOuterRows',
  buffers: {
    spikeIndex: ['u32', 'read'],
    spikeIds: ['u32', 'read'],
    delta: ['f32', 'read'],
    gradient: ['f32', 'read-write'],
  },
  scalars: { lists: 'u32', pres: 'u32', neurons: 'u32' },
  elements: (s) => ({
    spikeIndex: 2 * s.lists,
    spikeIds: 0,
    delta: s.lists * s.neurons,
    gradient: s.pres * s.neurons,
  }),
  oracle({ spikeIndex, spikeIds, delta, gradient, lists, pres, neurons }) {
    gradient.fill(0, 0, pres * neurons);
    for (let l = 0; l < lists; l++) {
      const start = spikeIndex[2 * l]!;
      for (let k = start; k < start + spikeIndex[2 * l + 1]!; k++) {
        for (let n = 0; n < neurons; n++) gradient[spikeIds[k]! * neurons + n]! += delta[l * neurons + n]!;
      }
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.neurons / size), 1, 1],
});
