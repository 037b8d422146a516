/**
 * One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019): `correction1 = 1 / (1 - beta1^t)`, likewise 2;
 * weights whose mask is 0 stay 0. `count` is a multiple of 4.
 */
import source from '../../../gpu-kernels/training/adam_step.wgsl';
import { defineKernel } from '../kernel.js';
import { trainingModule } from './module.js';

const f = Math.fround;

export const adamStep = defineKernel({
  name: 'adamStep',
  buffers: {
    weights: ['f32', 'read-write'],
    gradient: ['f32', 'read'],
    first: ['f32', 'read-write'],
    second: ['f32', 'read-write'],
    mask: ['f32', 'read'],
  },
  scalars: {
    count: 'u32',
    rate: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    correction1: 'f32',
    correction2: 'f32',
    decay: 'f32',
  },
  elements: (s) => ({ weights: s.count, gradient: s.count, first: s.count, second: s.count, mask: s.count }),
  oracle({ weights, gradient, first, second, mask, count, ...s }) {
    for (let i = 0; i < count; i++) {
      const g = gradient[i]!;
      first[i] = f(f(f(s.beta1) * first[i]!) + f(f(1 - f(s.beta1)) * g));
      second[i] = f(f(f(s.beta2) * second[i]!) + f(f(1 - f(s.beta2)) * f(g * g)));
      const root = f(f(Math.sqrt(f(second[i]! * f(s.correction2)))) + f(1e-8));
      const direction = f(f(first[i]! * f(s.correction1)) / root);
      const step = f(f(s.rate) * f(direction + f(f(s.decay) * weights[i]!)));
      weights[i] = f(f(weights[i]! - step) * mask[i]!);
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.count / size), 1, 1],
});
