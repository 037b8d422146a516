/**
 * Current-based LIF neurons with exponential synapses that share all constants, in decay-free form (docs/kernels.md): a step
 * reads state and writes none but that of neurons that fire; events write. State of a sample: rows U, G_1 .. G_R of `neurons`.
 */
import potentialSource from '../../../gpu-kernels/snn/cuba_lif_potential.wgsl';
import scatterSource from '../../../gpu-kernels/snn/cuba_lif_scatter.wgsl';
import stepSource from '../../../gpu-kernels/snn/cuba_lif_step.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';
import { bitWords, forEachSpike } from './spikes.js';

/** U of a refractory neuron: so low that no input lifts it to threshold. */
export const HELD = -1e30;
const SILENT = Math.fround(1e-25);
const f = Math.fround;

const workgroups = (
  s: { readonly batch: number; readonly neurons: number },
  size: number,
): readonly [number, number, number] => [Math.ceil((bitWords(s.neurons) * 32) / size), s.batch, 1];

/**
 * `decays`: rows p = 0 .. period of (A^p, B_1^p, .. B_R^p, threshold / A^p, B_1^p / A^p, .. B_R^p / A^p); the threshold and
 * `reset` are above the leak potential. `spikeIndex` and `spikeIds` are the population's own ring, with at least
 * refractory + 1 slots.
 */
export const cubaLifStep = defineKernel({
  name: 'cubaLifStep',
  buffers: {
    state: ['f32', 'read-write'],
    decays: ['f32', 'read'],
    spikeIndex: ['u32', 'read'],
    spikeIds: ['u32', 'read'],
    spikeBits: ['u32', 'read-write'],
  },
  scalars: {
    batch: 'u32',
    neurons: 'u32',
    receptors: 'u32',
    period: 'u32',
    slots: 'u32',
    refractory: 'u32',
    origin: 'i32',
    reset: 'f32',
  },
  usesStep: true,
  elements: (s) => ({
    state: s.batch * s.neurons * (s.receptors + 1),
    decays: 2 * (s.period + 1) * (s.receptors + 1),
    spikeIndex: 2 * s.slots * s.batch,
    spikeIds: s.slots * s.batch * s.neurons,
    spikeBits: s.batch * bitWords(s.neurons),
  }),
  oracle({ state, decays, spikeIndex, spikeIds, spikeBits, ...s }, step) {
    const { batch, neurons, receptors, period, refractory } = s;
    const phase = (step - s.origin) % period;
    const row = 2 * (phase + 1) * (receptors + 1);
    const decay = (r: number): number => decays[row + r]!;
    const ratio = (r: number): number => decays[row + receptors + 1 + r]!;
    const at = (b: number, r: number, n: number): number => (b * (receptors + 1) + r) * neurons + n;
    const restart = (b: number, n: number): void => {
      let rest = f(s.reset);
      for (let r = 1; r <= receptors; r++) rest = f(rest - f(decay(r) * state[at(b, r, n)]!));
      state[at(b, 0, n)] = f(rest / decay(0));
    };
    spikeBits.fill(0, 0, batch * bitWords(neurons));
    for (let b = 0; b < batch; b++) {
      for (let n = 0; n < neurons; n++) {
        let v = state[at(b, 0, n)]!;
        for (let r = 1; r <= receptors; r++) v = f(v + f(ratio(r) * state[at(b, r, n)]!));
        if (v > ratio(0)) {
          spikeBits[b * bitWords(neurons) + (n >> 5)]! |= 1 << (n & 31);
          if (refractory > 0) state[at(b, 0, n)] = HELD;
          else restart(b, n);
        }
      }
    }
    if (refractory > 0) forEachSpike(spikeIndex, spikeIds, { ...s, delay: refractory }, step, restart);
    if (phase === period - 1) {
      for (let b = 0; b < batch; b++) {
        for (let r = 0; r <= receptors; r++) {
          for (let n = 0; n < neurons; n++) {
            const next = f(decay(r) * state[at(b, r, n)]!);
            state[at(b, r, n)] = Math.abs(next) >= SILENT ? next : 0;
          }
        }
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: stepSource }],
  workgroups,
});

/** `gains`: for each phase (what a unit of weight adds to the receptor's row, what it adds to U). */
export const cubaLifScatter = defineKernel({
  name: 'cubaLifScatter',
  buffers: {
    spikeIndex: ['u32', 'read'],
    spikeIds: ['u32', 'read'],
    rowStart: ['u32', 'read'],
    columns: ['u32', 'read'],
    weights: ['f32', 'read'],
    gains: ['f32', 'read'],
    state: ['f32', 'read-write'],
  },
  scalars: {
    batch: 'u32',
    posts: 'u32',
    receptors: 'u32',
    receptor: 'u32',
    period: 'u32',
    slots: 'u32',
    delay: 'u32',
    origin: 'i32',
    parts: 'u32',
  },
  usesStep: true,
  elements: (s) => ({
    spikeIndex: 2 * s.slots * s.batch,
    spikeIds: 0,
    rowStart: s.parts + 1,
    columns: 0,
    weights: 0,
    gains: 2 * s.period,
    state: s.batch * s.posts * (s.receptors + 1),
  }),
  oracle({ spikeIndex, spikeIds, rowStart, columns, weights, gains, state, ...s }, step) {
    const phase = Math.max(0, step - s.origin) % s.period;
    forEachSpike(spikeIndex, spikeIds, s, step, (b, id) => {
      const u = b * (s.receptors + 1) * s.posts;
      const g = u + (s.receptor + 1) * s.posts;
      for (let k = rowStart[id * s.parts]!; k < rowStart[(id + 1) * s.parts]!; k++) {
        state[g + columns[k]!]! += f(weights[k]! * gains[2 * phase]!);
        state[u + columns[k]!]! += f(weights[k]! * gains[2 * phase + 1]!);
      }
    });
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: scatterSource }],
  workgroups: (s, size) => [Math.ceil(s.posts / size), s.batch, 1],
});

/** The membrane potential as of the end of the step, for recording; a refractory neuron's is its reset potential. */
export const cubaLifPotential = defineKernel({
  name: 'cubaLifPotential',
  buffers: { state: ['f32', 'read'], decays: ['f32', 'read'], v: ['f32', 'read-write'] },
  scalars: { batch: 'u32', neurons: 'u32', receptors: 'u32', period: 'u32', origin: 'i32', leak: 'f32', reset: 'f32' },
  usesStep: true,
  elements: (s) => ({
    state: s.batch * s.neurons * (s.receptors + 1),
    decays: 2 * (s.period + 1) * (s.receptors + 1),
    v: s.batch * s.neurons,
  }),
  oracle({ state, decays, v, batch, neurons, receptors, period, origin, leak, reset }, step) {
    const row = 2 * ((step - origin + 1) % period) * (receptors + 1);
    for (let b = 0; b < batch; b++) {
      const u = b * (receptors + 1) * neurons;
      for (let n = 0; n < neurons; n++) {
        let sum = f(decays[row]! * state[u + n]!);
        for (let r = 1; r <= receptors; r++) sum = f(sum + f(decays[row + r]! * state[u + r * neurons + n]!));
        v[b * neurons + n] = f(f(leak) + (state[u + n]! <= f(f(HELD) * f(1e-12)) ? f(reset) : sum));
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source: potentialSource }],
  workgroups: (s, size) => [Math.ceil(s.neurons / size), s.batch, 1],
});
