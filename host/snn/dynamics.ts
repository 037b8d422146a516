/**
 * From a population's physical parameters to the constants of its step (docs/kernels.md, neuronStepF32 and neuronStepI32).
 * Between two steps the equations are linear, so a step is exact: derived in double precision, rounded once.
 */
import { valueAt, type CheckedReset, type FixedPopulation, type FloatPopulation, type Parameter } from './network.js';

export interface NeuronConstants<A extends Float32Array | Int32Array> {
  /** Rows of one value (uniform) or one per neuron. */
  readonly values: A;
  /** Whether all neurons share their constants. */
  readonly uniform: boolean;
  readonly receptors: number;
  /** What a spike does (docs/kernels.md): 0 to the reset value, 1 lowers by the threshold, 2 resets at the crossing. */
  readonly resetMode: 0 | 1 | 2;
  readonly spiking: boolean;
}

/** Rows alpha, bias, threshold, reset, refractorySteps, then kappa and beta of each receptor. */
export function floatConstants(population: FloatPopulation, dt: number): NeuronConstants<Float32Array> {
  const { tau, resistance, leak, bias, threshold, reset, refractory, receptors } = population;
  const resetValue = reset === undefined || reset.kind === 'subtract' ? undefined : reset.value;
  const parts = [
    tau,
    resistance,
    leak,
    bias,
    threshold,
    resetValue,
    refractory,
    ...(receptors ?? []).flatMap((r) => [r.tau, r.weightScale]),
  ];
  const uniform = parts.every(isUniform);
  const count = uniform ? 1 : population.size;
  const inputs = receptors?.length ?? 1;
  const values = new Float32Array((5 + 2 * inputs) * count);
  for (let n = 0; n < count; n++) {
    const put = (row: number, value: number): void => void (values[row * count + n] = value);
    const at = (parameter: Parameter | undefined): number => (parameter === undefined ? 0 : valueAt(parameter, n));
    // One step in membrane time constants; 'if' and 'integrator' do not decay at all.
    const decay = tau === undefined ? 0 : dt / at(tau);
    const charge = -Math.expm1(-decay); // 1 - alpha, exact for small steps
    put(0, Math.exp(-decay));
    // What a current of 1 that flows during the step adds to the potential; 'delta' is added as it is.
    const current = population.synapse === 'delta' ? 1 : at(resistance) * (tau === undefined ? dt : charge);
    put(1, charge * at(leak) + current * at(bias));
    put(2, at(threshold));
    put(3, at(resetValue));
    put(4, Math.round(at(refractory) / dt));
    if (receptors === undefined) {
      put(5, current);
      put(6, 0);
      continue;
    }
    receptors.forEach((receptor, r) => {
      put(5 + 2 * r, at(receptor.weightScale) * at(resistance) * exponentialGain(decay, dt / at(receptor.tau)));
      put(6 + 2 * r, Math.exp(-dt / at(receptor.tau)));
    });
  }
  return { values, uniform, receptors: inputs, resetMode: resetModeOf(reset), spiking: threshold !== undefined };
}

/**
 * How far a synaptic current of 1, decaying over the step, moves the potential by the end of it. `membrane` and `synapse`
 * are the step's length in either time constant. It is membrane * (exp(-synapse) - exp(-membrane)) / (membrane - synapse),
 * written so that it neither cancels nor divides by zero where the two are equal.
 */
export function exponentialGain(membrane: number, synapse: number): number {
  // (e^x - 1) / x is symmetric around the faster decay: keep x <= 0, so that nothing overflows.
  const x = -Math.abs(membrane - synapse);
  const slower = Math.exp(-Math.min(membrane, synapse));
  return membrane * slower * (x === 0 ? 1 : Math.expm1(x) / x);
}

/** Rows leakShift, threshold, reset, refractorySteps, bias. */
export function fixedConstants(population: FixedPopulation): NeuronConstants<Int32Array> {
  const { leakShift, threshold, reset, refractorySteps, bias } = population;
  const rows = [leakShift, threshold, reset?.kind === 'value' ? reset.value : undefined, refractorySteps, bias];
  const uniform = rows.every(isUniform);
  const count = uniform ? 1 : population.size;
  const values = new Int32Array(rows.length * count);
  rows.forEach((row, r) => {
    for (let n = 0; n < count; n++) values[r * count + n] = row === undefined ? 0 : valueAt(row, n);
  });
  return { values, uniform, receptors: 1, resetMode: resetModeOf(reset), spiking: threshold !== undefined };
}

function resetModeOf(reset: CheckedReset | undefined): 0 | 1 | 2 {
  return reset?.kind === 'subtract' ? 1 : reset?.kind === 'crossing' ? 2 : 0;
}

function isUniform(parameter: Parameter | undefined): boolean {
  return typeof parameter !== 'object';
}
