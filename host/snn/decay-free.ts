/**
 * The decay-free form of a homogeneous 'cubaLif' population (docs/kernels.md, cubaLifStep): all neurons share their
 * constants, so nothing needs to decay in memory. With u = v - leak - sum of c_r g_r the membrane equation is diagonal: u
 * decays with the membrane, g_r with its receptor. c_r = resistance * tau_r / (tau_r - tau_m) is the particular solution.
 */
import { HELD } from '../kernels/snn/cuba_lif.js';
import type { FloatPopulation } from './network.js';

export interface DecayFree {
  /** Exponential receptors. */
  readonly receptors: number;
  /** Steps between two times at which the state is brought forward. */
  readonly period: number;
  /** Rows p = 0 .. period of (A^p, B_1^p, .., threshold / A^p, B_1^p / A^p, ..). */
  readonly decays: Float32Array;
  /** For each receptor [period][2]: what a unit of weight adds to its row and to U. */
  readonly gains: readonly Float32Array[];
  readonly leak: number;
  /** Above the leak potential. */
  readonly reset: number;
  /** Steps. */
  readonly refractory: number;
}

/** Longer periods save nothing more. */
const LONGEST_PERIOD = 64;
/** Decays over a period stay above this, and a held potential below threshold for this many membrane time constants. */
const SMALLEST_DECAY = 1e-6;
const LONGEST_HOLD = 25;
/** |c_r| above this (time constants too close) would lose precision to cancellation. */
const LARGEST_FACTOR = 16;

/** The decay-free form, or undefined where the population does not allow it. */
export function decayFreeForm(population: FloatPopulation, dt: number): DecayFree | undefined {
  const { tau, resistance, leak, bias, threshold, reset, refractory, receptors } = population;
  if (population.model !== 'cubaLif' || receptors === undefined || reset?.kind !== 'value') return undefined;
  const values = [
    tau,
    resistance,
    leak,
    bias,
    threshold,
    reset.value,
    refractory,
    ...receptors.flatMap((r) => [r.tau, r.weightScale]),
  ];
  if (!values.every((value): value is number => typeof value === 'number')) return undefined;
  const [membrane, gain, leakPotential, current, level, restart, hold] = values as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const rest = leakPotential + gain * current;
  const taus = [membrane, ...receptors.map((r) => r.tau as number)];
  const factors = receptors.map((r) => (gain * (r.tau as number)) / ((r.tau as number) - membrane));
  const precise = factors.every(
    (c, r) =>
      Number.isFinite(c) && Math.abs(c) <= LARGEST_FACTOR * Math.abs(gain || 1) && receptors[r]!.weightScale !== 0,
  );
  const held = Math.round(hold / dt);
  if (!precise || (held * dt) / membrane > LONGEST_HOLD) return undefined;

  const fastest = dt / Math.min(...taus);
  const period = Math.max(1, Math.min(LONGEST_PERIOD, Math.floor(-Math.log(SMALLEST_DECAY) / fastest)));
  const decays = new Float32Array(2 * (period + 1) * taus.length);
  for (let p = 0; p <= period; p++) {
    const row = 2 * p * taus.length;
    taus.forEach((t, r) => {
      const decay = Math.exp((-p * dt) / t);
      decays[row + r] = decay;
      decays[row + taus.length + r] = (r === 0 ? level - rest : decay) * Math.exp((p * dt) / membrane);
    });
  }
  const gains = receptors.map((receptor, r) => {
    const table = new Float32Array(2 * period);
    const unit = (receptor.weightScale as number) * factors[r]!;
    for (let p = 0; p < period; p++) {
      table[2 * p] = unit * Math.exp((p * dt) / (receptor.tau as number));
      table[2 * p + 1] = -unit * Math.exp((p * dt) / membrane);
    }
    return table;
  });
  return {
    receptors: receptors.length,
    period,
    decays,
    gains,
    leak: rest,
    reset: restart - rest,
    refractory: held,
  };
}

/** The state [batch][U, G_1 ..][neurons] of neurons at these potentials without input. */
export function decayFreeState(
  form: DecayFree,
  batch: number,
  neurons: number,
  potential: (neuron: number) => number,
): Float32Array {
  const state = new Float32Array(batch * (form.receptors + 1) * neurons);
  for (let b = 0; b < batch; b++) {
    for (let n = 0; n < neurons; n++) state[b * (form.receptors + 1) * neurons + n] = potential(n) - form.leak;
  }
  return state;
}

/** Membrane potentials [batch][neurons] of a state after `step` steps. */
export function decayFreePotentials(
  form: DecayFree,
  state: Float32Array,
  batch: number,
  neurons: number,
  step: number,
): Float32Array {
  const rows = form.receptors + 1;
  const decay = form.decays.subarray(2 * (step % form.period) * rows);
  const v = new Float32Array(batch * neurons);
  for (let b = 0; b < batch; b++) {
    for (let n = 0; n < neurons; n++) {
      const at = b * rows * neurons + n;
      let sum = 0;
      for (let r = 0; r < rows; r++) sum += decay[r]! * state[at + r * neurons]!;
      v[b * neurons + n] = form.leak + (state[at]! <= HELD * 1e-12 ? form.reset : sum);
    }
  }
  return v;
}
