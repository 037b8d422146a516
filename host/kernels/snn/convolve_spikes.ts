/** Event-driven convolution: every spike adds the kernel, shifted to its place, to the post-synaptic feature maps. */
import source from '../../../gpu-kernels/snn/convolve_spikes.wgsl';
import { defineKernel, type OracleArgs } from '../kernel.js';
import { snnModule } from './module.js';
import { forEachSpike } from './spikes.js';

const scalars = {
  batch: 'u32',
  slots: 'u32',
  delay: 'u32',
  inputStride: 'u32',
  inputOffset: 'u32',
  inChannels: 'u32',
  inHeight: 'u32',
  inWidth: 'u32',
  outChannels: 'u32',
  outHeight: 'u32',
  outWidth: 'u32',
  kernelHeight: 'u32',
  kernelWidth: 'u32',
  strideY: 'u32',
  strideX: 'u32',
  padY: 'u32',
  padX: 'u32',
  origin: 'i32',
  shift: 'u32',
} as const;

const shared = ['u32', 'read'] as const;
const floatBuffers = {
  spikeIndex: shared,
  spikeIds: shared,
  weights: ['f32', 'read'],
  input: ['f32', 'read-write'],
} as const;
const fixedBuffers = {
  spikeIndex: shared,
  spikeIds: shared,
  weights: ['i8', 'read'],
  input: ['i32', 'read-write'],
} as const;

const elements = (s: { readonly [K in keyof typeof scalars]: number }) => ({
  spikeIndex: 2 * s.slots * s.batch,
  spikeIds: 0,
  weights: s.inChannels * s.kernelHeight * s.kernelWidth * s.outChannels,
  input: s.batch * s.inputStride,
});

const oracle = (a: OracleArgs<typeof floatBuffers | typeof fixedBuffers, typeof scalars>, step: number): void => {
  const { inWidth, inHeight, outChannels, outHeight, outWidth, kernelHeight, kernelWidth } = a;
  const scale = a.weights instanceof Int8Array ? 2 ** a.shift : 1;
  forEachSpike(a.spikeIndex, a.spikeIds, a, step, (b, id) => {
    const x = id % inWidth;
    const y = Math.floor(id / inWidth) % inHeight;
    const ic = Math.floor(id / (inWidth * inHeight));
    for (let ky = 0; ky < kernelHeight; ky++) {
      const oy = (y + a.padY - ky) / a.strideY;
      if (!Number.isInteger(oy) || oy < 0 || oy >= outHeight) continue;
      for (let kx = 0; kx < kernelWidth; kx++) {
        const ox = (x + a.padX - kx) / a.strideX;
        if (!Number.isInteger(ox) || ox < 0 || ox >= outWidth) continue;
        for (let oc = 0; oc < outChannels; oc++) {
          const weight = a.weights[((ic * kernelHeight + ky) * kernelWidth + kx) * outChannels + oc]!;
          a.input[b * a.inputStride + a.inputOffset + (oc * outHeight + oy) * outWidth + ox]! += weight * scale;
        }
      }
    }
  });
};

/** Feature maps that one invocation of the WGSL works on. */
const CHANNELS = 4;

const workgroups = (
  s: { readonly [K in keyof typeof scalars]: number },
  size: number,
): readonly [number, number, number] => [
  Math.ceil((Math.ceil(s.outChannels / CHANNELS) * s.outHeight * s.outWidth) / size),
  s.batch,
  1,
];

export const convolveSpikesF32 = defineKernel({
  name: 'convolveSpikesF32',
  buffers: floatBuffers,
  scalars,
  usesStep: true,
  elements,
  oracle,
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const convolveSpikesI8 = defineKernel({
  name: 'convolveSpikesI8',
  buffers: fixedBuffers,
  scalars,
  usesStep: true,
  elements,
  oracle,
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});
