/**
 * `quantised = clamp(round_half_to_even(weights * inverseScale), -limit, limit)`, integers kept as f32, so that the float
 * kernels run on exactly what the fixed-point engine will hold. `count` is a multiple of 4.
 */
import source from '../../../gpu-kernels/training/quantise_weights.wgsl';
import { defineKernel } from '../kernel.js';
import { trainingModule } from './module.js';

export const quantiseWeights = defineKernel({
  name: 'quantiseWeights',
  buffers: { weights: ['f32', 'read'], quantised: ['f32', 'read-write'] },
  scalars: { count: 'u32', inverseScale: 'f32', limit: 'f32' },
  elements: (s) => ({ weights: s.count, quantised: s.count }),
  oracle({ weights, quantised, count, inverseScale, limit }) {
    for (let i = 0; i < count; i++) {
      const scaled = Math.fround(weights[i]! * Math.fround(inverseScale));
      quantised[i] = Math.max(-limit, Math.min(limit, roundHalfToEven(scaled)));
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.count / size), 1, 1],
});

function roundHalfToEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  if (rest !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}
