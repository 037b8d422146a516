/** Conformance cases of the spiking kernels. Each maker draws everything, sizes included, from the dice. */
import { cutRows } from '../../snn/connectivity.js';
import * as kernels from '../snn/index.js';
import { FIXED_CONSTANT_ROWS, FLOAT_CONSTANT_ROWS } from '../snn/neuron_step.js';
import { bitWords } from '../snn/spikes.js';
import type { KernelCase } from './case.js';
import { bytes, floats, ints, sparseRows, spikeStream, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const pick = <T>(d: Dice, ...values: readonly T[]): T => values[d.int(0, values.length - 1)]!;
const flag = (d: Dice): number => d.int(0, 1);
const sizes = (d: Dice): { batch: number; neurons: number } => ({
  batch: pick(d, 1, 2, 3, 8),
  neurons: pick(d, 1, 3, 4, 31, 32, 33, 64, 100, 129, d.int(1, 300)),
});

function stream(d: Dice, neurons: number, batch: number) {
  const slots = pick(d, 1, 2, 5);
  const spikes = spikeStream(d, slots, batch, neurons, pick(d, 0, 0.05, 0.3, 1), d.chance(0.3));
  return { slots, delay: d.int(0, slots), origin: d.int(-3, 3), step: d.int(0, 12), ...spikes };
}

const neuronStepF32: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const [receptors, uniform, resetMode, spiking] = [pick(d, 1, 1, 2, 3), flag(d), d.int(0, 2), pick(d, 0, 1, 1)];
  const width = uniform ? 1 : neurons;
  const constants = floats(d, (FLOAT_CONSTANT_ROWS + 2 * receptors) * width, -1, 1);
  for (let i = 0; i < width; i++) {
    constants[2 * width + i] = d.float(0.2, 1); // threshold
    constants[4 * width + i] = d.int(0, 3); // refractory steps
    if (resetMode === 2) constants[i] = d.chance(0.3) ? 1 : d.float(0.3, 0.9); // alpha
  }
  return {
    name: 'neuronStepF32',
    kernel: kernels.neuronStepF32.body,
    scalars: [batch, neurons, receptors, uniform, resetMode, spiking],
    buffers: [
      floats(d, batch * neurons),
      floats(d, batch * neurons * receptors),
      constants,
      words(d, batch * neurons, 0, d.chance(0.5) ? 0 : 2),
      words(d, batch * bitWords(neurons), 0, 0xffffffff),
    ],
    // One step: a spike that an error of rounding moves would make later steps incomparable.
    tolerance: resetMode === 2 ? 2e-4 : 2e-6,
  };
};

const neuronStepI32: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const [uniform, subtract, spiking] = [flag(d), flag(d), pick(d, 0, 1, 1)];
  const width = uniform ? 1 : neurons;
  const constants = ints(d, FIXED_CONSTANT_ROWS * width, -50, 50);
  for (let i = 0; i < width; i++) {
    constants[i] = d.int(0, 6); // leak shift
    constants[width + i] = d.int(1, 400); // threshold
    constants[3 * width + i] = d.int(0, 3); // refractory steps
  }
  return {
    name: 'neuronStepI32',
    kernel: kernels.neuronStepI32.body,
    scalars: [batch, neurons, uniform, subtract, spiking],
    buffers: [
      ints(d, batch * neurons, -1000, 1000),
      ints(d, batch * neurons, -1000, 1000),
      constants,
      words(d, batch * neurons, 0, d.chance(0.5) ? 0 : 2),
      words(d, batch * bitWords(neurons), 0, 0xffffffff),
    ],
    steps: d.int(1, 5),
  };
};

const neuronBurstF32: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const [receptors, uniform, most] = [pick(d, 1, 1, 2), flag(d), pick(d, 1, 2, 7, 65_535)];
  const width = uniform ? 1 : neurons;
  const constants = floats(d, (FLOAT_CONSTANT_ROWS + 2 * receptors) * width, -1, 1);
  for (let i = 0; i < width; i++) constants[2 * width + i] = d.float(0.05, 1); // threshold
  const v = floats(d, batch * neurons, -1, 6);
  const input = floats(d, batch * neurons * receptors, -1, 4);
  if (d.chance(0.4)) {
    // Whole multiples of the threshold, where one spike more or less is decided, and all arithmetic is exact.
    const unit = pick(d, 0.25, 1, 3);
    for (let i = 0; i < width; i++) {
      constants[i] = 1;
      constants[width + i] = 0;
      constants[2 * width + i] = unit;
      for (let r = 0; r < receptors; r++) {
        constants[(FLOAT_CONSTANT_ROWS + 2 * r) * width + i] = 1;
        constants[(FLOAT_CONSTANT_ROWS + 2 * r + 1) * width + i] = 0;
      }
    }
    v.forEach((_, i) => (v[i] = unit * d.int(-3, 9)));
    input.forEach((_, i) => (input[i] = unit * d.int(-3, 9)));
  }
  return {
    name: 'neuronBurstF32',
    kernel: kernels.neuronBurstF32.body,
    scalars: [batch, neurons, receptors, uniform, most],
    buffers: [v, input, constants, words(d, batch * neurons, 0, 9)],
    tolerance: 4e-6,
  };
};

const neuronBurstI32: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const [uniform, most] = [flag(d), pick(d, 1, 2, 7, 65_535)];
  const width = uniform ? 1 : neurons;
  const constants = ints(d, FIXED_CONSTANT_ROWS * width, -50, 50);
  for (let i = 0; i < width; i++) {
    constants[i] = d.int(0, 6); // leak shift
    constants[width + i] = d.int(1, pick(d, 1, 5, 400)); // threshold
  }
  return {
    name: 'neuronBurstI32',
    kernel: kernels.neuronBurstI32.body,
    scalars: [batch, neurons, uniform, most],
    buffers: [
      ints(d, batch * neurons, -1000, 3000),
      ints(d, batch * neurons, -1000, 3000),
      constants,
      words(d, batch * neurons, 0, 9),
    ],
    steps: d.int(1, 5),
  };
};

const spikeExpand: Maker = (d) => {
  const batch = pick(d, 1, 2, 3, 8);
  const neurons = pick(d, 1, 3, 4, 33, 127, 128, 129, 300, 3000);
  const [slots, most, origin] = [d.int(1, 3), d.int(1, 5), d.int(-2, 2)];
  const density = pick(d, 0, 0.05, 0.5, 1);
  return {
    name: 'spikeExpand',
    kernel: kernels.spikeExpand.body,
    scalars: [batch, neurons, slots, most, origin],
    buffers: [
      Uint32Array.from({ length: batch * neurons }, () => (d.chance(density) ? d.int(1, most) : 0)),
      new Uint32Array(2 * slots * batch),
      new Uint32Array(slots * batch * neurons * most),
      words(d, batch * neurons, 0, 9),
    ],
    steps: d.int(1, 3),
    firstStep: d.int(2, 7),
  };
};

const spikeCompact: Maker = (d) => {
  const batch = pick(d, 1, 2, 3, 8);
  const neurons = pick(d, 1, 31, 32, 33, 64, 300, 5000, 20_000);
  const slots = d.int(1, 3);
  const origin = d.int(-2, 2);
  const bits = words(d, batch * bitWords(neurons), 0, d.chance(0.2) ? 0 : 0xffffffff);
  if (d.chance(0.2)) bits.fill(0xffffffff);
  const rest = neurons % 32;
  if (rest) for (let b = 1; b <= batch; b++) bits[b * bitWords(neurons) - 1]! &= 2 ** rest - 1;
  return {
    name: 'spikeCompact',
    kernel: kernels.spikeCompact.body,
    scalars: [batch, neurons, slots, origin],
    buffers: [
      bits,
      new Uint32Array(2 * slots * batch),
      new Uint32Array(slots * batch * neurons),
      words(d, batch * neurons, 0, 9),
    ],
    steps: d.int(1, 3),
    firstStep: d.int(2, 7),
  };
};

function synapses(d: Dice) {
  const { batch, neurons: posts } = sizes(d);
  const pres = d.int(1, 200);
  const receptors = d.int(1, 2);
  const s = stream(d, pres, batch);
  const inputStride = receptors * posts;
  const inputOffset = (receptors - 1) * posts;
  return { batch, posts, pres, s, inputStride, inputOffset, shift: d.int(0, 4) };
}

const scatter =
  (fixed: boolean): Maker =>
  (d) => {
    const { batch, posts, pres, s, inputStride, inputOffset, shift } = synapses(d);
    const rows = sparseRows(d, pres, posts, pick(d, 0, 0.1, 0.5, 1));
    const parts = d.int(1, 3);
    const kernel = fixed ? kernels.scatterRowsI8.body : kernels.scatterRowsF32.body;
    return {
      name: kernel.name,
      kernel,
      scalars: [batch, posts, s.slots, s.delay, inputStride, inputOffset, s.origin, shift, parts],
      buffers: [
        s.index,
        s.ids,
        cutRows({ rowStart: rows.start, columns: rows.ids, weights: new Float32Array(0) }, posts, parts),
        rows.ids,
        fixed ? bytes(d, rows.ids.length) : floats(d, rows.ids.length),
        fixed ? ints(d, batch * inputStride, -1e6, 1e6) : floats(d, batch * inputStride),
      ],
      firstStep: s.step,
      tolerance: 0,
    };
  };

const dense =
  (fixed: boolean): Maker =>
  (d) => {
    const { batch, posts, pres, s, inputStride, inputOffset, shift } = synapses(d);
    const rowStride = Math.ceil(posts / 16) * 16;
    const kernel = fixed ? kernels.denseRowsI8.body : kernels.denseRowsF32.body;
    const weights = fixed ? bytes(d, pres * rowStride) : floats(d, pres * rowStride);
    if (d.chance(0.2)) weights.fill(fixed ? pick(d, -128, 127) : 1.5);
    return {
      name: kernel.name,
      kernel,
      scalars: [batch, posts, rowStride, s.slots, s.delay, inputStride, inputOffset, s.origin, shift],
      buffers: [
        s.index,
        s.ids,
        weights,
        fixed ? ints(d, batch * inputStride, -1e6, 1e6) : floats(d, batch * inputStride),
      ],
      firstStep: s.step,
      tolerance: 0,
    };
  };

/** More spikes than fit one block of 16-bit sums, with weights that would overflow it. */
const denseOverflow: Maker = (d) => {
  const [pres, posts, rowStride] = [700, 70, 80];
  const weights = new Int8Array(pres * rowStride).fill(pick(d, -128, 127));
  return {
    name: 'denseRowsI8 with 700 extreme rows',
    kernel: kernels.denseRowsI8.body,
    scalars: [1, posts, rowStride, 1, 0, posts, 0, 0, 2],
    buffers: [Uint32Array.of(0, pres), Uint32Array.from({ length: pres }, (_, i) => i), weights, new Int32Array(posts)],
  };
};

const spikeFlags: Maker = (d) => {
  const batch = pick(d, 1, 3);
  const pres = d.int(1, 300);
  const s = stream(d, pres, batch);
  return {
    name: 'spikeFlags',
    kernel: kernels.spikeFlags.body,
    scalars: [batch, pres, s.slots, s.delay, s.origin],
    buffers: [s.index, s.ids, words(d, batch * pres, 0, 5)],
    firstStep: s.step,
  };
};

const gather =
  (fixed: boolean): Maker =>
  (d) => {
    const { batch, posts, pres, inputStride, inputOffset, shift } = synapses(d);
    const columns = sparseRows(d, posts, pres, pick(d, 0, 0.2, 0.8));
    const kernel = fixed ? kernels.gatherColumnsI8.body : kernels.gatherColumnsF32.body;
    return {
      name: kernel.name,
      kernel,
      scalars: [batch, pres, posts, inputStride, inputOffset, shift],
      buffers: [
        words(d, batch * pres, 0, pick(d, 1, 2)),
        columns.start,
        columns.ids,
        fixed ? bytes(d, columns.ids.length) : floats(d, columns.ids.length),
        fixed ? ints(d, batch * inputStride, -1e6, 1e6) : floats(d, batch * inputStride),
      ],
      tolerance: 1e-5,
    };
  };

const convolve =
  (fixed: boolean): Maker =>
  (d) => {
    const batch = pick(d, 1, 2, 3);
    const [inChannels, inHeight, inWidth, outChannels] = [d.int(1, 3), d.int(3, 9), d.int(3, 9), d.int(1, 5)];
    const [kernelHeight, kernelWidth, strideY, strideX] = [d.int(1, 3), d.int(1, 3), d.int(1, 3), d.int(1, 3)];
    const [padY, padX] = [d.int(0, kernelHeight), d.int(0, kernelWidth)];
    const outHeight = Math.floor((inHeight + 2 * padY - kernelHeight) / strideY) + 1;
    const outWidth = Math.floor((inWidth + 2 * padX - kernelWidth) / strideX) + 1;
    const posts = outChannels * outHeight * outWidth;
    const s = stream(d, inChannels * inHeight * inWidth, batch);
    const kernel = fixed ? kernels.convolveSpikesI8.body : kernels.convolveSpikesF32.body;
    const count = inChannels * kernelHeight * kernelWidth * outChannels;
    return {
      name: kernel.name,
      kernel,
      scalars: [
        batch,
        s.slots,
        s.delay,
        posts,
        0,
        inChannels,
        inHeight,
        inWidth,
        outChannels,
        outHeight,
        outWidth,
        kernelHeight,
        kernelWidth,
        strideY,
        strideX,
        padY,
        padX,
        s.origin,
        d.int(0, 3),
      ],
      buffers: [
        s.index,
        s.ids,
        fixed ? bytes(d, count) : floats(d, count),
        fixed ? ints(d, batch * posts, -1e6, 1e6) : floats(d, batch * posts),
      ],
      firstStep: s.step,
      tolerance: 0,
    };
  };

const inject =
  (fixed: boolean): Maker =>
  (d) => {
    const { batch, neurons } = sizes(d);
    const frames = d.int(1, 3);
    const kernel = fixed ? kernels.injectCurrentI32.body : kernels.injectCurrentF32.body;
    const [stride, offset] = [2 * neurons, pick(d, 0, neurons)];
    return {
      name: kernel.name,
      kernel,
      scalars: [batch, neurons, stride, offset, frames, d.int(-1, 2)],
      buffers: [
        fixed ? ints(d, frames * batch * neurons, -99, 99) : floats(d, frames * batch * neurons),
        fixed ? ints(d, batch * stride, -99, 99) : floats(d, batch * stride),
      ],
      steps: d.int(1, 5),
      tolerance: 0,
    };
  };

const recordState: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const chosen = d.int(1, neurons);
  const frames = d.int(1, 3);
  return {
    name: 'recordState',
    kernel: kernels.recordState.body,
    scalars: [batch, neurons, chosen, frames, d.int(-1, 2)],
    buffers: [
      words(d, batch * neurons, 0, 0xffffffff),
      words(d, chosen, 0, neurons - 1),
      words(d, frames * batch * chosen, 0, 9),
    ],
    steps: d.int(1, 4),
  };
};

/** State rows U, G_1 .. G_R with some neurons held, and decays of a short period. */
function cuba(d: Dice, batch: number, neurons: number, receptors: number) {
  const period = d.int(1, 6);
  const bases = Array.from({ length: receptors + 1 }, () => d.float(0.7, 0.99));
  const decays = new Float32Array(2 * (period + 1) * (receptors + 1));
  for (let p = 0; p <= period; p++) {
    const row = 2 * p * (receptors + 1);
    bases.forEach((base, r) => {
      decays[row + r] = base ** p;
      decays[row + receptors + 1 + r] = (r === 0 ? 0.75 : base ** p) / bases[0]! ** p;
    });
  }
  const state = floats(d, batch * neurons * (receptors + 1), -1, 1);
  for (let b = 0; b < batch; b++) {
    for (let n = 0; n < neurons; n++) if (d.chance(0.1)) state[b * (receptors + 1) * neurons + n] = -1e30;
  }
  return { period, decays, state };
}

const cubaLifStep: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const receptors = pick(d, 1, 2, 2, 3);
  const { period, decays, state } = cuba(d, batch, neurons, receptors);
  const refractory = pick(d, 0, 1, 2, 3);
  const slots = refractory + d.int(1, 2);
  const spikes = spikeStream(d, slots, batch, neurons, 0.1, false);
  const ids = new Uint32Array(slots * batch * neurons);
  ids.set(spikes.ids.subarray(0, ids.length));
  return {
    name: 'cubaLifStep',
    kernel: kernels.cubaLifStep.body,
    scalars: [batch, neurons, receptors, period, slots, refractory, d.int(-3, 0), -0.25],
    buffers: [state, decays, spikes.index, ids, words(d, batch * bitWords(neurons), 0, 0xffffffff)],
    firstStep: d.int(0, 9),
    tolerance: 1e-5,
  };
};

const cubaLifScatter: Maker = (d) => {
  const { batch, posts, pres, s } = synapses(d);
  const receptors = d.int(1, 3);
  const { period, state } = cuba(d, batch, posts, receptors);
  const rows = sparseRows(d, pres, posts, pick(d, 0, 0.1, 0.5, 1));
  const parts = d.int(1, 3);
  return {
    name: 'cubaLifScatter',
    kernel: kernels.cubaLifScatter.body,
    scalars: [batch, posts, receptors, d.int(0, receptors - 1), period, s.slots, s.delay, s.origin, parts],
    buffers: [
      s.index,
      s.ids,
      cutRows({ rowStart: rows.start, columns: rows.ids, weights: new Float32Array(0) }, posts, parts),
      rows.ids,
      floats(d, rows.ids.length),
      floats(d, 2 * period),
      state,
    ],
    firstStep: s.step,
    tolerance: 1e-4,
  };
};

const cubaLifPotential: Maker = (d) => {
  const { batch, neurons } = sizes(d);
  const receptors = d.int(1, 3);
  const { period, decays, state } = cuba(d, batch, neurons, receptors);
  return {
    name: 'cubaLifPotential',
    kernel: kernels.cubaLifPotential.body,
    scalars: [batch, neurons, receptors, period, d.int(-3, 0), d.float(-60, 0), d.float(-60, 0)],
    buffers: [state, decays, floats(d, batch * neurons)],
    firstStep: d.int(0, 9),
    tolerance: 1e-5,
  };
};

const cochleaLevels: Maker = (d) => {
  const batch = d.int(1, 5);
  const channels = d.int(1, 13);
  const frames = d.int(1, 4);
  const hop = d.int(1, 60);
  // Stable resonators, or numbers that drive the arithmetic over its edge: it wraps alike everywhere.
  const most = d.chance(0.7) ? 0 : 2 ** 20;
  const coefficients = Int32Array.from({ length: 3 * channels }, (_, i) =>
    most > 0
      ? d.int(-most, most)
      : i < channels
        ? d.int(0, 400)
        : i < 2 * channels
          ? d.int(-7000, 7000)
          : -d.int(3500, 4090),
  );
  return {
    name: 'cochleaLevels',
    kernel: kernels.cochleaLevels.body,
    scalars: [batch, channels, frames, hop],
    buffers: [ints(d, batch * frames * hop, -32768, 32767), coefficients, ints(d, frames * batch * channels, -5, 5)],
  };
};

export const snnCases: Readonly<Record<string, Maker>> = {
  cochleaLevels,
  cubaLifStep,
  cubaLifScatter,
  cubaLifPotential,
  neuronStepF32,
  neuronStepI32,
  neuronBurstF32,
  neuronBurstI32,
  spikeCompact,
  spikeExpand,
  scatterRowsF32: scatter(false),
  scatterRowsI8: scatter(true),
  denseRowsF32: dense(false),
  denseRowsI8: dense(true),
  'denseRowsI8 overflow': denseOverflow,
  spikeFlags,
  gatherColumnsF32: gather(false),
  gatherColumnsI8: gather(true),
  convolveSpikesF32: convolve(false),
  convolveSpikesI8: convolve(true),
  injectCurrentF32: inject(false),
  injectCurrentI32: inject(true),
  recordState,
};
