/** Adds a given current, constant (one frame) or one frame per step, to a population's input. */
import source from '../../../gpu-kernels/snn/inject_current.wgsl';
import { defineKernel, type OracleArgs } from '../kernel.js';
import { snnModule } from './module.js';

const scalars = {
  batch: 'u32',
  neurons: 'u32',
  inputStride: 'u32',
  inputOffset: 'u32',
  frames: 'u32',
  origin: 'i32',
} as const;
const floatBuffers = { current: ['f32', 'read'], input: ['f32', 'read-write'] } as const;
const fixedBuffers = { current: ['i32', 'read'], input: ['i32', 'read-write'] } as const;

const elements = (s: { readonly [K in keyof typeof scalars]: number }) => ({
  current: s.frames * s.batch * s.neurons,
  input: s.batch * s.inputStride,
});

const oracle = (a: OracleArgs<typeof floatBuffers | typeof fixedBuffers, typeof scalars>, step: number): void => {
  const t = step - a.origin;
  if (t < 0) return;
  const frame = Math.min(t, a.frames - 1);
  for (let b = 0; b < a.batch; b++) {
    for (let n = 0; n < a.neurons; n++) {
      a.input[b * a.inputStride + a.inputOffset + n]! += a.current[(frame * a.batch + b) * a.neurons + n]!;
    }
  }
};

const workgroups = (
  s: { readonly batch: number; readonly neurons: number },
  size: number,
): readonly [number, number, number] => [Math.ceil(s.neurons / size), s.batch, 1];

export const injectCurrentF32 = defineKernel({
  name: 'injectCurrentF32',
  buffers: floatBuffers,
  scalars,
  usesStep: true,
  elements,
  oracle,
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const injectCurrentI32 = defineKernel({
  name: 'injectCurrentI32',
  buffers: fixedBuffers,
  scalars,
  usesStep: true,
  elements,
  oracle,
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});
