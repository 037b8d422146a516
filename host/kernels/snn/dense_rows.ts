/** Dense synapses stored by pre-synaptic row: every spike adds one whole row, `rowStride` (a multiple of 16) apart. */
import source from '../../../gpu-kernels/snn/dense_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { forEachSpike } from './spikes.js';

const scalars = {
  batch: 'u32',
  posts: 'u32',
  rowStride: 'u32',
  slots: 'u32',
  delay: 'u32',
  inputStride: 'u32',
  inputOffset: 'u32',
  origin: 'i32',
  shift: 'u32',
} as const;

const shared = ['u32', 'read'] as const;

const elements = (s: {
  readonly batch: number;
  readonly slots: number;
  readonly rowStride: number;
  readonly inputStride: number;
}) => ({
  spikeIndex: 2 * s.slots * s.batch,
  spikeIds: 0,
  weights: s.rowStride,
  input: s.batch * s.inputStride,
});

const workgroups = (
  s: { readonly batch: number; readonly posts: number },
  size: number,
): readonly [number, number, number] => [Math.ceil(s.posts / size), s.batch, 1];

export const denseRowsF32 = defineKernel({
  name: 'denseRowsF32',
  buffers: { spikeIndex: shared, spikeIds: shared, weights: ['f32', 'read'], input: ['f32', 'read-write'] },
  scalars,
  usesStep: true,
  elements,
  oracle({ spikeIndex, spikeIds, weights, input, posts, rowStride, inputStride, inputOffset, ...stream }, step) {
    forEachSpike(spikeIndex, spikeIds, stream, step, (b, id) => {
      for (let n = 0; n < posts; n++) input[b * inputStride + inputOffset + n]! += weights[id * rowStride + n]!;
    });
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const denseRowsI8 = defineKernel({
  name: 'denseRowsI8',
  buffers: { spikeIndex: shared, spikeIds: shared, weights: ['i8', 'read'], input: ['i32', 'read-write'] },
  scalars,
  usesStep: true,
  elements,
  oracle({ spikeIndex, spikeIds, weights, input, posts, rowStride, inputStride, inputOffset, shift, ...stream }, step) {
    forEachSpike(spikeIndex, spikeIds, stream, step, (b, id) => {
      for (let n = 0; n < posts; n++)
        input[b * inputStride + inputOffset + n]! += weights[id * rowStride + n]! << shift;
    });
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});
