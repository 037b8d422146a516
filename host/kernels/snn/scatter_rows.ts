/**
 * Sparse synapses stored by pre-synaptic row (CSR): every spike walks its row and adds at the post-synaptic side. Rows may be
 * cut into `parts` by post-synaptic range, one for each thread (docs/kernels.md).
 */
import source from '../../../gpu-kernels/snn/scatter_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { forEachSpike } from './spikes.js';

const scalars = {
  batch: 'u32',
  posts: 'u32',
  slots: 'u32',
  delay: 'u32',
  inputStride: 'u32',
  inputOffset: 'u32',
  origin: 'i32',
  shift: 'u32',
  parts: 'u32',
} as const;

const shared = ['u32', 'read'] as const;

const elements = (s: {
  readonly batch: number;
  readonly slots: number;
  readonly inputStride: number;
  readonly parts: number;
}) => ({
  spikeIndex: 2 * s.slots * s.batch,
  spikeIds: 0,
  rowStart: s.parts + 1,
  columns: 0,
  weights: 0,
  input: s.batch * s.inputStride,
});

const workgroups = (
  s: { readonly batch: number; readonly posts: number },
  size: number,
): readonly [number, number, number] => [Math.ceil(s.posts / size), s.batch, 1];

export const scatterRowsF32 = defineKernel({
  name: 'scatterRowsF32',
  buffers: {
    spikeIndex: shared,
    spikeIds: shared,
    rowStart: shared,
    columns: shared,
    weights: ['f32', 'read'],
    input: ['f32', 'read-write'],
  },
  scalars,
  usesStep: true,
  elements,
  oracle(
    { spikeIndex, spikeIds, rowStart, columns, weights, input, inputStride, inputOffset, parts, ...stream },
    step,
  ) {
    forEachSpike(spikeIndex, spikeIds, stream, step, (b, id) => {
      for (let k = rowStart[id * parts]!; k < rowStart[(id + 1) * parts]!; k++)
        input[b * inputStride + inputOffset + columns[k]!]! += weights[k]!;
    });
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const scatterRowsI8 = defineKernel({
  name: 'scatterRowsI8',
  buffers: {
    spikeIndex: shared,
    spikeIds: shared,
    rowStart: shared,
    columns: shared,
    weights: ['i8', 'read'],
    input: ['i32', 'read-write'],
  },
  scalars,
  usesStep: true,
  elements,
  oracle(
    { spikeIndex, spikeIds, rowStart, columns, weights, input, inputStride, inputOffset, shift, parts, ...stream },
    step,
  ) {
    forEachSpike(spikeIndex, spikeIds, stream, step, (b, id) => {
      for (let k = rowStart[id * parts]!; k < rowStart[(id + 1) * parts]!; k++) {
        input[b * inputStride + inputOffset + columns[k]!]! += weights[k]! << shift;
      }
    });
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  // A fixed number of workgroups strides over a sample's spikes.
  workgroups: (s) => [16, s.batch, 1],
});
