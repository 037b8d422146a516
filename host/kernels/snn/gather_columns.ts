/** Sparse synapses stored by post-synaptic column (CSC), for steps in which most pre-synaptic neurons fire. */
import gatherSource from '../../../gpu-kernels/snn/gather_columns.wgsl';
import flagsSource from '../../../gpu-kernels/snn/spike_flags.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { forEachSpike } from './spikes.js';

const shared = ['u32', 'read'] as const;

/** Spikes per pre-synaptic neuron in this step: `flags[b * pres + id]`. */
export const spikeFlags = defineKernel({
  name: 'spikeFlags',
  buffers: { spikeIndex: shared, spikeIds: shared, flags: ['u32', 'read-write'] },
  scalars: { batch: 'u32', pres: 'u32', slots: 'u32', delay: 'u32', origin: 'i32' },
  usesStep: true,
  elements: (s) => ({ spikeIndex: 2 * s.slots * s.batch, spikeIds: 0, flags: s.batch * s.pres }),
  oracle({ spikeIndex, spikeIds, flags, pres, ...stream }, step) {
    flags.fill(0, 0, stream.batch * pres);
    forEachSpike(spikeIndex, spikeIds, stream, step, (b, id) => flags[b * pres + id]!++);
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: flagsSource }],
  workgroups: (s) => [1, s.batch, 1],
});

const scalars = {
  batch: 'u32',
  pres: 'u32',
  posts: 'u32',
  inputStride: 'u32',
  inputOffset: 'u32',
  shift: 'u32',
} as const;

const elements = (s: {
  readonly batch: number;
  readonly pres: number;
  readonly posts: number;
  readonly inputStride: number;
}) => ({
  flags: s.batch * s.pres,
  columnStart: s.posts + 1,
  rows: 0,
  weights: 0,
  input: s.batch * s.inputStride,
});

const workgroups = (
  s: { readonly batch: number; readonly posts: number },
  size: number,
): readonly [number, number, number] => [Math.ceil(s.posts / size), s.batch, 1];

export const gatherColumnsF32 = defineKernel({
  name: 'gatherColumnsF32',
  buffers: { flags: shared, columnStart: shared, rows: shared, weights: ['f32', 'read'], input: ['f32', 'read-write'] },
  scalars,
  elements,
  oracle({ flags, columnStart, rows, weights, input, batch, pres, posts, inputStride, inputOffset }) {
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < posts; n++) {
        const at = b * inputStride + inputOffset + n;
        let sum = input[at]!;
        for (let k = columnStart[n]!; k < columnStart[n + 1]!; k++) {
          const spikes = flags[b * pres + rows[k]!]!;
          if (spikes) sum = Math.fround(sum + Math.fround(spikes * weights[k]!));
        }
        input[at] = sum;
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: gatherSource }],
  workgroups,
});

export const gatherColumnsI8 = defineKernel({
  name: 'gatherColumnsI8',
  buffers: { flags: shared, columnStart: shared, rows: shared, weights: ['i8', 'read'], input: ['i32', 'read-write'] },
  scalars,
  elements,
  oracle({ flags, columnStart, rows, weights, input, batch, pres, posts, inputStride, inputOffset, shift }) {
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < posts; n++) {
        let sum = 0;
        for (let k = columnStart[n]!; k < columnStart[n + 1]!; k++) {
          sum = (sum + Math.imul(flags[b * pres + rows[k]!]!, weights[k]! << shift)) | 0;
        }
        input[b * inputStride + inputOffset + n]! += sum;
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: gatherSource }],
  workgroups,
});
