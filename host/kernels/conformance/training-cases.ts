/** Conformance cases of the training kernels. */
import * as kernels from '../training/index.js';
import type { KernelCase } from './case.js';
import { floats, spikeStream, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const lifForward: Maker = (d) => {
  const [steps, batch, neurons] = [d.int(1, 6), d.int(1, 5), 4 * d.int(1, 20)];
  const whole = d.chance(0.5);
  const current = whole
    ? Float32Array.from({ length: steps * batch * neurons }, () => d.int(-300, 300))
    : floats(d, steps * batch * neurons);
  return {
    name: 'lifForward',
    kernel: kernels.lifForward.body,
    // Powers of two and whole numbers make every body exact, so that thresholds are crossed alike.
    scalars: [steps, batch, neurons, whole ? 200 : 1.5, whole ? 0.125 : 0, whole ? 1 : 0],
    buffers: [current, floats(d, current.length), floats(d, batch * neurons)],
    tolerance: 1e-6,
  };
};

const lifBackward: Maker = (d) => {
  const [steps, batch, neurons] = [d.int(1, 6), d.int(1, 5), 4 * d.int(1, 20)];
  return {
    name: 'lifBackward',
    kernel: kernels.lifBackward.body,
    scalars: [steps, batch, neurons, d.float(0.5, 2), d.float(0, 0.5), d.float(1, 8)],
    buffers: [floats(d, steps * batch * neurons), floats(d, batch * neurons), floats(d, steps * batch * neurons)],
    tolerance: 1e-5,
  };
};

const readoutLoss: Maker = (d) => {
  const [batch, neurons, classes] = [d.int(1, 9), 4 * d.int(1, 12), d.int(2, 12)];
  return {
    name: 'readoutLoss',
    kernel: kernels.readoutLoss.body,
    scalars: [batch, neurons, classes, d.float(0.1, 1), d.chance(0.5) ? 0 : 0.1],
    buffers: [
      Float32Array.from({ length: batch * neurons }, () => d.int(0, 4)),
      floats(d, neurons * classes),
      words(d, batch, 0, classes - 1),
      floats(d, batch * classes),
      floats(d, batch * neurons),
      floats(d, batch),
    ],
    tolerance: 2e-5,
    everywhere: true,
  };
};

const readoutGradient: Maker = (d) => {
  const [batch, neurons, classes] = [d.int(1, 9), d.int(1, 40), d.int(2, 12)];
  return {
    name: 'readoutGradient',
    kernel: kernels.readoutGradient.body,
    scalars: [batch, neurons, classes],
    buffers: [
      Float32Array.from({ length: batch * neurons }, () => d.int(0, 3)),
      floats(d, batch * classes),
      floats(d, neurons * classes),
    ],
    tolerance: 1e-5,
  };
};

const spikeOuterRows: Maker = (d) => {
  const [lists, pres, neurons] = [d.int(1, 12), d.int(1, 60), 4 * d.int(1, 20)];
  const s = spikeStream(d, 1, lists, pres, d.chance(0.2) ? 0 : 0.2, false);
  return {
    name: 'spikeOuterRows',
    kernel: kernels.spikeOuterRows.body,
    scalars: [lists, pres, neurons],
    buffers: [s.index, s.ids, floats(d, lists * neurons), floats(d, pres * neurons)],
    tolerance: 0,
  };
};

const adamStep: Maker = (d) => {
  const count = 4 * d.int(1, 60);
  return {
    name: 'adamStep',
    kernel: kernels.adamStep.body,
    scalars: [count, d.float(1e-4, 1e-2), 0.9, 0.999, d.float(1, 10), d.float(1, 1000), d.chance(0.5) ? 0 : 0.01],
    buffers: [
      floats(d, count),
      floats(d, count),
      floats(d, count),
      floats(d, count, 0, 2),
      Float32Array.from({ length: count }, () => d.int(0, 1)),
    ],
    tolerance: 1e-5,
  };
};

const quantiseWeights: Maker = (d) => {
  const count = 4 * d.int(1, 60);
  return {
    name: 'quantiseWeights',
    kernel: kernels.quantiseWeights.body,
    scalars: [count, d.chance(0.5) ? 64 : 2, 127],
    buffers: [
      Float32Array.from({ length: count }, () => (d.chance(0.3) ? d.int(-8, 8) / 4 : d.float(-4, 4))),
      floats(d, count),
    ],
    tolerance: 0,
  };
};

export const trainingCases: Readonly<Record<string, Maker>> = {
  lifForward,
  lifBackward,
  readoutLoss,
  readoutGradient,
  spikeOuterRows,
  adamStep,
  quantiseWeights,
};
