/**
 * One time step of a population whose neurons may fire several times in it ("burst"), with a reset by subtraction and no
 * refractory time: as many spikes as the potential holds thresholds, up to `most`. Rows of `constants` are those of the
 * neuronStep kernels (docs/kernels.md); reset and refractorySteps are not read.
 */
import source from '../../../gpu-kernels/snn/neuron_burst.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { FIXED_CONSTANT_ROWS, FLOAT_CONSTANT_ROWS } from './neuron_step.js';

const workgroups = (
  s: { readonly batch: number; readonly neurons: number },
  size: number,
): readonly [number, number, number] => [Math.ceil(s.neurons / size), s.batch, 1];

/**
 * How often a neuron fires whose potential is above its threshold: the least count that brings it down to the threshold or
 * below. The remainder is looked at again, because division on a GPU may be off by a few units in the last place.
 */
function burst(next: number, threshold: number, most: number): number {
  const f = Math.fround;
  const count = Math.min(f(Math.ceil(f(next / threshold)) - 1), most);
  const left = f(next - f(count * threshold));
  return left > threshold ? Math.min(count + 1, most) : left <= 0 ? count - 1 : count;
}

export const neuronBurstF32 = defineKernel({
  name: 'neuronBurstF32',
  buffers: {
    v: ['f32', 'read-write'],
    input: ['f32', 'read-write'],
    constants: ['f32', 'read'],
    spikeCounts: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', receptors: 'u32', uniform: 'u32', most: 'u32' },
  elements: (s) => ({
    v: s.batch * s.neurons,
    input: s.batch * s.neurons * s.receptors,
    constants: (FLOAT_CONSTANT_ROWS + 2 * s.receptors) * (s.uniform ? 1 : s.neurons),
    spikeCounts: s.batch * s.neurons,
  }),
  oracle({ v, input, constants, spikeCounts, batch, neurons, receptors, uniform, most }) {
    const f = Math.fround;
    const stride = uniform ? 1 : neurons;
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < neurons; n++) {
        const at = b * neurons + n;
        const constant = (row: number): number => constants[row * stride + (uniform ? 0 : n)]!;
        let next = f(f(constant(0) * v[at]!) + constant(1));
        for (let r = 0; r < receptors; r++) {
          const i = (b * receptors + r) * neurons + n;
          next = f(next + f(constant(FLOAT_CONSTANT_ROWS + 2 * r) * input[i]!));
          input[i] = f(constant(FLOAT_CONSTANT_ROWS + 2 * r + 1) * input[i]!);
        }
        const threshold = constant(2);
        const count = next > threshold ? burst(next, threshold, most) : 0;
        v[at] = f(next - f(count * threshold));
        spikeCounts[at] = count;
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const neuronBurstI32 = defineKernel({
  name: 'neuronBurstI32',
  buffers: {
    v: ['i32', 'read-write'],
    input: ['i32', 'read-write'],
    constants: ['i32', 'read'],
    spikeCounts: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', uniform: 'u32', most: 'u32' },
  elements: (s) => ({
    v: s.batch * s.neurons,
    input: s.batch * s.neurons,
    constants: FIXED_CONSTANT_ROWS * (s.uniform ? 1 : s.neurons),
    spikeCounts: s.batch * s.neurons,
  }),
  oracle({ v, input, constants, spikeCounts, batch, neurons, uniform, most }) {
    const stride = uniform ? 1 : neurons;
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < neurons; n++) {
        const at = b * neurons + n;
        const constant = (row: number): number => constants[row * stride + (uniform ? 0 : n)]!;
        const shift = constant(0);
        const leak = shift > 0 ? v[at]! >> shift : 0;
        const next = (v[at]! - leak + input[at]! + constant(4)) | 0;
        input[at] = 0;
        const threshold = constant(1);
        const count = next >= threshold ? Math.min(Math.floor(next / threshold), most) : 0;
        v[at] = next - count * threshold;
        spikeCounts[at] = count;
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});
