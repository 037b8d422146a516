/** One time step of a population of neurons: integrate, fire, reset. Rows of `constants`: docs/kernels.md. */
import source from '../../../gpu-kernels/snn/neuron_step.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { bitWords } from './spikes.js';

/** Rows of float constants that come before the receptors' (kappa, beta) pairs. */
export const FLOAT_CONSTANT_ROWS = 5;
/** Rows of fixed-point constants. */
export const FIXED_CONSTANT_ROWS = 5;

const workgroups = (
  s: { readonly batch: number; readonly neurons: number },
  size: number,
): readonly [number, number, number] => [Math.ceil((bitWords(s.neurons) * 32) / size), s.batch, 1];

/**
 * The potential at the end of a step in which it crossed the threshold and went on from `reset`, for a current that is
 * constant in the step: with the potential at rest under that current, `end`, both parts are exponentials towards it, and
 * the time of the crossing cancels. Without a leak (alpha 1) the charge after the crossing is what exceeds the threshold.
 */
function afterCrossing(alpha: number, before: number, next: number, threshold: number, reset: number): number {
  const f = Math.fround;
  if (alpha === 1) return f(reset + f(next - threshold));
  const end = f(f(next - f(alpha * before)) / f(1 - alpha));
  const elapsed = Math.max(1, f(f(before - end) / f(threshold - end)));
  return f(end + f(f(reset - end) * f(alpha * elapsed)));
}

export const neuronStepF32 = defineKernel({
  name: 'neuronStepF32',
  buffers: {
    v: ['f32', 'read-write'],
    input: ['f32', 'read-write'],
    constants: ['f32', 'read'],
    refractory: ['u32', 'read-write'],
    spikeBits: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', receptors: 'u32', uniform: 'u32', resetMode: 'u32', spiking: 'u32' },
  elements: (s) => ({
    v: s.batch * s.neurons,
    input: s.batch * s.neurons * s.receptors,
    constants: (FLOAT_CONSTANT_ROWS + 2 * s.receptors) * (s.uniform ? 1 : s.neurons),
    refractory: s.batch * s.neurons,
    spikeBits: s.batch * bitWords(s.neurons),
  }),
  oracle({ v, input, constants, refractory, spikeBits, batch, neurons, receptors, uniform, resetMode, spiking }) {
    const f = Math.fround;
    const stride = uniform ? 1 : neurons;
    const words = bitWords(neurons);
    spikeBits.fill(0, 0, batch * words);
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
        if (refractory[at]! > 0) {
          refractory[at]!--;
          continue;
        }
        const before = v[at]!;
        v[at] = next;
        const threshold = constant(2);
        if (spiking && next > threshold) {
          const reset = constant(3);
          spikeBits[b * words + (n >> 5)]! |= 1 << (n & 31);
          if (resetMode === 0) v[at] = reset;
          else if (resetMode === 1) v[at] = f(next - f(threshold - reset));
          else v[at] = afterCrossing(constant(0), before, next, threshold, reset);
          refractory[at] = constant(4);
        }
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});

export const neuronStepI32 = defineKernel({
  name: 'neuronStepI32',
  buffers: {
    v: ['i32', 'read-write'],
    input: ['i32', 'read-write'],
    constants: ['i32', 'read'],
    refractory: ['u32', 'read-write'],
    spikeBits: ['u32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', uniform: 'u32', subtract: 'u32', spiking: 'u32' },
  elements: (s) => ({
    v: s.batch * s.neurons,
    input: s.batch * s.neurons,
    constants: FIXED_CONSTANT_ROWS * (s.uniform ? 1 : s.neurons),
    refractory: s.batch * s.neurons,
    spikeBits: s.batch * bitWords(s.neurons),
  }),
  oracle({ v, input, constants, refractory, spikeBits, batch, neurons, uniform, subtract, spiking }) {
    const stride = uniform ? 1 : neurons;
    const words = bitWords(neurons);
    spikeBits.fill(0, 0, batch * words);
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < neurons; n++) {
        const at = b * neurons + n;
        const constant = (row: number): number => constants[row * stride + (uniform ? 0 : n)]!;
        const shift = constant(0);
        const leak = shift > 0 ? v[at]! >> shift : 0;
        const next = (v[at]! - leak + input[at]! + constant(4)) | 0;
        input[at] = 0;
        if (refractory[at]! > 0) {
          refractory[at]!--;
          continue;
        }
        v[at] = next;
        if (spiking && next >= constant(1)) {
          spikeBits[b * words + (n >> 5)]! |= 1 << (n & 31);
          v[at] = subtract ? (next - (constant(1) - constant(2))) | 0 : constant(2);
          refractory[at] = constant(3);
        }
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups,
});
