/**
 * A LIF population unrolled over a window, forward and backward. Reset by subtraction; the reset is cut out of the gradient
 * (Neftci, Mostafa, Zenke 2019, eq. 9 and the detached reset of their section "surrogate gradients"). State is
 * [step][sample][neuron], `neurons` a multiple of 4.
 */
import backwardSource from '../../../gpu-kernels/training/lif_backward.wgsl';
import forwardSource from '../../../gpu-kernels/training/lif_forward.wgsl';
import { defineKernel } from '../kernel.js';
import { trainingModule } from './module.js';

const workgroups = (
  s: { readonly batch: number; readonly neurons: number },
  size: number,
): readonly [number, number, number] => [Math.ceil((s.batch * s.neurons) / size), 1, 1];

const f = Math.fround;

/**
 * `v[t] = kept - leakage(kept) + current[t]` where `kept` is what the reset of step t - 1 left and
 * `leakage(x) = leak * x`, rounded down when `floorLeak` (the arithmetic shift of the fixed-point engine, for integer-valued
 * potentials); fires at `v >= threshold`; `count` is the number of spikes per neuron.
 */
export const lifForward = defineKernel({
  name: 'lifForward',
  buffers: { current: ['f32', 'read'], v: ['f32', 'read-write'], count: ['f32', 'read-write'] },
  scalars: { steps: 'u32', batch: 'u32', neurons: 'u32', threshold: 'f32', leak: 'f32', floorLeak: 'u32' },
  elements: (s) => ({
    current: s.steps * s.batch * s.neurons,
    v: s.steps * s.batch * s.neurons,
    count: s.batch * s.neurons,
  }),
  oracle({ current, v, count, steps, batch, neurons, threshold, leak, floorLeak }) {
    for (let i = 0; i < batch * neurons; i++) {
      let potential = 0;
      let spikes = 0;
      for (let t = 0; t < steps; t++) {
        const at = t * batch * neurons + i;
        let lost = f(potential * f(leak));
        if (floorLeak) lost = Math.floor(lost);
        potential = f(f(potential - lost) + current[at]!);
        v[at] = potential;
        if (potential >= f(threshold)) {
          spikes++;
          potential = f(potential - f(threshold));
        }
      }
      count[i] = spikes;
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source: forwardSource }],
  workgroups,
});

/**
 * `delta[t] = (1 - leak) * delta[t + 1] + gradient * surrogate(v[t])` with the fast sigmoid's derivative
 * `1 / (1 + slope * |v / threshold - 1|)^2` (Zenke and Ganguli 2018); `gradient` is the loss's derivative by one spike.
 */
export const lifBackward = defineKernel({
  name: 'lifBackward',
  buffers: { v: ['f32', 'read'], gradient: ['f32', 'read'], delta: ['f32', 'read-write'] },
  scalars: { steps: 'u32', batch: 'u32', neurons: 'u32', threshold: 'f32', leak: 'f32', slope: 'f32' },
  elements: (s) => ({
    v: s.steps * s.batch * s.neurons,
    gradient: s.batch * s.neurons,
    delta: s.steps * s.batch * s.neurons,
  }),
  oracle({ v, gradient, delta, steps, batch, neurons, threshold, leak, slope }) {
    const keep = f(1 - f(leak));
    const steepness = f(f(slope) / f(threshold));
    for (let i = 0; i < batch * neurons; i++) {
      let carried = 0;
      for (let t = steps - 1; t >= 0; t--) {
        const at = t * batch * neurons + i;
        const distance = f(1 + f(steepness * Math.abs(f(v[at]! - f(threshold)))));
        const surrogate = f(1 / f(distance * distance));
        carried = f(f(carried * keep) + f(gradient[i]! * surrogate));
        delta[at] = carried;
      }
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source: backwardSource }],
  workgroups,
});
