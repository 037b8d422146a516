/**
 * The read-out: class potentials are spike counts times weights (a perfect integrator over the window), then cross-entropy
 * with label smoothing, and the gradients that flow back.
 */
import gradientSource from '../../../gpu-kernels/training/readout_gradient.wgsl';
import lossSource from '../../../gpu-kernels/training/readout_loss.wgsl';
import { defineKernel } from '../kernel.js';
import { trainingModule } from './module.js';

/**
 * `delta = softmax(scale * count x weights) - target`, `gradient = scale * delta x weights^T`, `loss` per sample in nats.
 * weights [neurons][classes], labels [batch].
 */
export const readoutLoss = defineKernel({
  name: 'readoutLoss',
  buffers: {
    count: ['f32', 'read'],
    weights: ['f32', 'read'],
    labels: ['u32', 'read'],
    delta: ['f32', 'read-write'],
    gradient: ['f32', 'read-write'],
    loss: ['f32', 'read-write'],
  },
  scalars: { batch: 'u32', neurons: 'u32', classes: 'u32', scale: 'f32', smoothing: 'f32' },
  elements: (s) => ({
    count: s.batch * s.neurons,
    weights: s.neurons * s.classes,
    labels: s.batch,
    delta: s.batch * s.classes,
    gradient: s.batch * s.neurons,
    loss: s.batch,
  }),
  oracle({ count, weights, labels, delta, gradient, loss, batch, neurons, classes, scale, smoothing }) {
    for (let b = 0; b < batch; b++) {
      const logits = Array.from({ length: classes }, (_, c) => {
        let sum = 0;
        for (let n = 0; n < neurons; n++) sum += count[b * neurons + n]! * weights[n * classes + c]!;
        return sum * scale;
      });
      const highest = Math.max(...logits);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
      let lost = 0;
      logits.forEach((logit, c) => {
        const wanted = (c === labels[b] ? 1 - smoothing : 0) + smoothing / classes;
        lost += wanted * (Math.log(total) - (logit - highest));
        delta[b * classes + c] = Math.exp(logit - highest) / total - wanted;
      });
      loss[b] = lost;
      for (let n = 0; n < neurons; n++) {
        let sum = 0;
        for (let c = 0; c < classes; c++) sum += delta[b * classes + c]! * weights[n * classes + c]!;
        gradient[b * neurons + n] = sum * scale;
      }
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source: lossSource }],
  workgroups: (s, size) => [Math.ceil(s.batch / size), 1, 1],
});

/** `weightGradient = count^T x delta`, [neurons][classes]. */
export const readoutGradient = defineKernel({
  name: 'readoutGradient',
  buffers: { count: ['f32', 'read'], delta: ['f32', 'read'], weightGradient: ['f32', 'read-write'] },
  scalars: { batch: 'u32', neurons: 'u32', classes: 'u32' },
  elements: (s) => ({
    count: s.batch * s.neurons,
    delta: s.batch * s.classes,
    weightGradient: s.neurons * s.classes,
  }),
  oracle({ count, delta, weightGradient, batch, neurons, classes }) {
    weightGradient.fill(0, 0, neurons * classes);
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < neurons; n++) {
        for (let c = 0; c < classes; c++) {
          weightGradient[n * classes + c]! += Math.fround(count[b * neurons + n]! * delta[b * classes + c]!);
        }
      }
    }
  },
  wasm: trainingModule,
  wgsl: [{ requires: [], source: gradientSource }],
  workgroups: (s, size) => [Math.ceil((s.neurons * s.classes) / size), 1, 1],
});
