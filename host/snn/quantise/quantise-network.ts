/**
 * From a float network to the integers that hardware runs. Each population gets a scale (integer units per unit of potential) and each
 * projection a shift, so that weights fill their int8 or int4; decays become shifts. Calibration inputs weigh the errors of weights by
 * how often their neurons fire, and tell how far the two networks differ, population by population.
 */
import { throwIfAborted, TuttiError } from '../../errors.js';
import type { LongCallOptions } from '../../device/device.js';
import { toRows } from '../connectivity.js';
import { floatConstants, type NeuronConstants } from '../dynamics.js';
import { createEngine } from '../engine.js';
import type { EngineHome } from '../engine-home.js';
import {
  fires,
  type FixedNetwork,
  type FixedPopulationDescription,
  type FixedProjectionDescription,
  type FloatNetwork,
  type FloatPopulation,
  type FloatProjection,
  type InputPopulation,
} from '../network.js';
import type { SpikeTrain } from '../spike-train.js';
import { defineNetwork } from '../validate.js';

export interface QuantiseOptions extends LongCallOptions {
  /** Where the calibration runs. */
  readonly home: EngineHome;
  /** A train for each input population that is not silent; a few dozen samples that are like those to come. */
  readonly inputs: Readonly<Record<string, SpikeTrain>>;
  /** Width of the weights. Default 8. */
  readonly bits?: 8 | 4;
}

export interface PopulationReport {
  readonly name: string;
  /** Integer units per unit of the float potential. */
  readonly scale: number;
  /** Share of the potential that is kept in a step, as it was and as the shift makes it; 1 without a leak. */
  readonly decay: number;
  readonly fixedDecay: number;
  /** Largest weight that is not clipped, as a share of the largest there is. */
  readonly clip: number;
  /** Spikes per sample in either network; 0 for those that never fire. */
  readonly spikes: number;
  readonly fixedSpikes: number;
  /**
   * How far the two are apart on the calibration inputs: of populations that fire, sum of |difference of spike counts| over the sum
   * of spike counts; of others, root mean square of the difference of final potentials over that of the potentials.
   */
  readonly error: number;
}

export interface Quantised {
  readonly network: FixedNetwork;
  readonly populations: readonly PopulationReport[];
}

/** Largest weights that are tried, as shares of the largest there is. */
const CLIPS = [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4] as const;
const MOST_SHIFT = 10;

/**
 * @throws TuttiError NETWORK_INVALID naming what has no counterpart in integers, and what the calibration's runs throw
 */
export async function quantiseNetwork(network: FloatNetwork, options: QuantiseOptions): Promise<Quantised> {
  const bits = options.bits ?? 8;
  if (bits !== 8 && bits !== 4)
    throw new TuttiError('OPTION_INVALID', `bits is ${String(bits)}; weights have 8 or 4`, { where: 'bits' });
  const populations = network.populations.filter((p): p is FloatPopulation => p.model !== 'input');
  populations.forEach(refuseUnlike);
  const float = await observe(network, options);
  const limit = bits === 8 ? 127 : 7;

  const scales = new Map<string, Scaled>();
  for (const population of populations) {
    throwIfAborted(options.signal, `quantising network "${network.name}"`);
    const constants = floatConstants(population, network.dt);
    const incoming = network.projections.filter(({ to }) => to === population.name);
    const gains = gainsOf(population, constants, float.steps);
    const effective = incoming.map((projection) => effectiveWeights(network, projection, population, gains));
    scales.set(population.name, chooseScale(population, constants, incoming, effective, float, limit));
  }
  const fixed = defineNetwork({
    name: network.name,
    numeric: 'fixed',
    populations: network.populations.map((population) =>
      population.model === 'input' ? inputOf(population) : fixedPopulation(population, scales.get(population.name)!),
    ),
    projections: network.projections.map((projection) => {
      const scaled = scales.get(projection.to)!;
      return fixedProjection(projection, scaled.weights.get(projection.name)!, bits);
    }),
  }) as FixedNetwork;

  const after = await observe(fixed, options);
  return {
    network: fixed,
    populations: populations.map((population): PopulationReport => {
      const { scale, decay, shift, clip } = scales.get(population.name)!;
      const { name } = population;
      const spiking = fires(population);
      return {
        name,
        scale,
        decay,
        fixedDecay: shift === 0 ? 1 : 1 - 2 ** -shift,
        clip,
        spikes: sumOf(float.counts[name]) / float.batch,
        fixedSpikes: sumOf(after.counts[name]) / after.batch,
        error: spiking
          ? countError(float.counts[name]!, after.counts[name]!)
          : potentialError(float.final[name]!, after.final[name]!, scale),
      };
    }),
  };
}

interface Scaled {
  readonly scale: number;
  readonly decay: number;
  /** Shift of the leak; 0: none. */
  readonly shift: number;
  readonly clip: number;
  readonly constants: NeuronConstants<Float32Array>;
  /** Of the calibration. */
  readonly steps: number;
  readonly weights: ReadonlyMap<string, ScaledWeights>;
}

interface ScaledWeights {
  readonly projection: FloatProjection | SparseForm;
  readonly weights: Int8Array;
  readonly shift: number;
  /** Float weight of one unit, for people. */
  readonly unit: number;
}

type SparseForm = Omit<FloatProjection, 'kind'> & {
  readonly kind: 'sparse';
  readonly rowStart: Uint32Array;
  readonly columns: Uint32Array;
};

function refuseUnlike({ name, model, receptors, reset }: FloatPopulation): void {
  const refuse = (what: string): TuttiError =>
    new TuttiError('NETWORK_INVALID', `population "${name}" cannot be quantised: ${what}`, {
      where: `populations.${name}`,
    });
  if (receptors !== undefined)
    throw refuse(
      `model '${model}' keeps a decaying current besides its potential, fixed-point neurons have a potential only; train it as 'lif', or feed it through a 'li' population`,
    );
  if (reset?.kind === 'crossing')
    throw refuse(
      "reset 'crossing' moves the spike within a step; fixed-point neurons reset at its end: use 'value' or 'subtract'",
    );
}

/**
 * By how much what flows in has to be changed because the leak is: a constant input then takes the potential to where it did before, at the
 * end of `steps` steps, and so for long runs to where it settles.
 */
function leakGain(alpha: number, shift: number, steps: number): number {
  if (shift === 0) return 1;
  const sum = (decay: number): number => (1 - decay ** steps) / (1 - decay);
  return sum(alpha) / sum(1 - 2 ** -shift);
}

/** What arrives at a potential per unit of weight. */
function gainsOf(
  population: FloatPopulation,
  { values, uniform }: NeuronConstants<Float32Array>,
  steps: number,
): Float64Array {
  const count = uniform ? 1 : population.size;
  const shift = leakShiftOf(population, values, count);
  return Float64Array.from({ length: count }, (_, n) => {
    const gain = population.synapse === 'delta' ? 1 : leakGain(values[n]!, shift, steps);
    return values[5 * count + n]! * gain;
  });
}

/** The shift nearest to a population's mean decay. */
function leakShiftOf({ tau, name }: FloatPopulation, values: Float32Array, count: number): number {
  if (tau === undefined) return 0;
  let alpha = 0;
  for (let n = 0; n < count; n++) alpha += values[n]! / count;
  const shift = Math.round(-Math.log2(Math.max(1e-12, 1 - alpha)));
  if (shift < 1 && alpha < 0.25)
    throw new TuttiError(
      'NETWORK_INVALID',
      `population "${name}" keeps ${(100 * alpha).toFixed(1)} % of its potential in a step; a shift keeps half at least: use a shorter step`,
      { where: `populations.${name}.tau` },
    );
  return Math.min(30, Math.max(1, shift));
}

/** Weights as they act on the potential; a convolution onto unequal neurons becomes sparse. */
function effectiveWeights(
  network: FloatNetwork,
  projection: FloatProjection,
  to: FloatPopulation,
  gains: Float64Array,
): { readonly projection: FloatProjection | SparseForm; readonly weights: Float64Array } {
  if (gains.length === 1) return { projection, weights: Float64Array.from(projection.weights, (w) => w * gains[0]!) };
  if (projection.kind === 'dense')
    return { projection, weights: Float64Array.from(projection.weights, (w, i) => w * gains[i % to.size]!) };
  const from = network.populations.find(({ name }) => name === projection.from)!;
  const rows = toRows(projection, from.size, to.size);
  return {
    projection: { ...projection, kind: 'sparse', rowStart: rows.rowStart, columns: rows.columns },
    weights: Float64Array.from(rows.weights, (w, k) => w * gains[rows.columns[k]!]!),
  };
}

/** The scale and clip that lose least, each weight's error counted as often as its neuron fires. */
function chooseScale(
  population: FloatPopulation,
  constants: NeuronConstants<Float32Array>,
  incoming: readonly FloatProjection[],
  effective: readonly ReturnType<typeof effectiveWeights>[],
  { rates, steps }: Observed,
  limit: number,
): Scaled {
  const count = constants.uniform ? 1 : population.size;
  const largest = effective.map(({ weights }) => weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0));
  const fullest = Math.max(...largest, 0);
  const used = largest.filter((most) => most > 0);
  let best: (Pick<Scaled, 'scale' | 'clip' | 'weights'> & { readonly loss: number }) | undefined;
  for (const clip of used.length === 0 ? [1] : CLIPS) {
    // The weakest projection fills its weights without a shift; stronger ones are shifted.
    const finest = Math.max(Math.min(...used), fullest / 2 ** MOST_SHIFT);
    const scale = used.length === 0 ? limit : limit / (clip * finest);
    let loss = 0;
    const weights = new Map<string, ScaledWeights>();
    effective.forEach(({ projection, weights: values }, i) => {
      const shift =
        largest[i] === 0 ? 0 : Math.max(0, Math.ceil(Math.log2((scale * clip * largest[i]!) / limit) - 1e-9));
      const unit = 2 ** shift / scale;
      const rounded = Int8Array.from(values, (w) => Math.max(-limit, Math.min(limit, Math.round(w / unit))));
      const rate = rates[incoming[i]!.from] ?? 1;
      for (let k = 0; k < rounded.length; k++) loss += rate * (values[k]! - rounded[k]! * unit) ** 2;
      weights.set(incoming[i]!.name, { projection, weights: rounded, shift, unit });
    });
    if (best === undefined || loss < best.loss) best = { scale, clip, weights, loss };
  }
  let decay = 0;
  for (let n = 0; n < count; n++) decay += constants.values[n]! / count;
  return {
    ...best!,
    decay,
    shift: leakShiftOf(population, constants.values, count),
    constants,
    steps,
  };
}

function inputOf({ name, size, shape, maxSpikesPerStep }: InputPopulation): FixedPopulationDescription {
  return { model: 'input', name, size, maxSpikesPerStep, ...(shape === undefined ? {} : { shape }) };
}

function fixedPopulation(population: FloatPopulation, scaled: Scaled): FixedPopulationDescription {
  const { name, size, shape, model, initial, threshold, reset, maxSpikesPerStep } = population;
  const { scale, shift, constants } = scaled;
  const count = constants.uniform ? 1 : size;
  const row = (index: number, round: (value: number) => number): number | Int32Array => {
    const values = Int32Array.from({ length: count }, (_, n) => round(constants.values[index * count + n]!));
    return count === 1 ? values[0]! : values;
  };
  const bias = Int32Array.from({ length: count }, (_, n) =>
    Math.round(scale * constants.values[count + n]! * leakGain(constants.values[n]!, shift, scaled.steps)),
  );
  const common = {
    name,
    size,
    ...(shape === undefined ? {} : { shape }),
    bias: count === 1 ? bias[0]! : bias,
    initial:
      typeof initial === 'number'
        ? Math.round(scale * initial)
        : Int32Array.from(initial, (v) => Math.round(scale * v)),
  };
  if (threshold === undefined) return { model: 'li', ...common, leakShift: model === 'integrator' ? 0 : shift };
  const firing = {
    // Float neurons fire strictly above their threshold, fixed-point ones at it. What is subtracted counts at every spike, so that its nearest
    // value does best there.
    threshold: row(
      2,
      reset?.kind === 'subtract' ? (v) => Math.max(1, Math.round(scale * v)) : (v) => Math.floor(scale * v) + 1,
    ),
    reset:
      reset?.kind === 'subtract'
        ? ({ kind: 'subtract' } as const)
        : ({ kind: 'value', value: row(3, (v) => Math.round(scale * v)) } as const),
    refractorySteps: row(4, (v) => v),
    ...(maxSpikesPerStep === undefined ? {} : { maxSpikesPerStep }),
  };
  return model === 'if'
    ? { model: 'if', ...common, ...firing }
    : { model: 'lif', ...common, ...firing, leakShift: shift };
}

function fixedProjection(
  { name, from, to, delay }: FloatProjection,
  { projection, weights, shift, unit }: ScaledWeights,
  bits: 8 | 4,
): FixedProjectionDescription {
  const head = { name, from, to, delay, bits, shift, scale: unit };
  switch (projection.kind) {
    case 'dense':
      return { ...head, kind: 'dense', weights };
    case 'sparse':
      return { ...head, kind: 'sparse', rowStart: projection.rowStart, columns: projection.columns, weights };
    case 'convolution': {
      const { layout, kernel, stride, padding, inputShape, outputShape } = projection;
      return { ...head, kind: 'convolution', weights, layout, kernel, stride, padding, inputShape, outputShape };
    }
  }
}

interface Observed {
  readonly batch: number;
  readonly steps: number;
  /** Spikes of each neuron and sample. */
  readonly counts: Readonly<Record<string, Uint32Array>>;
  readonly final: Readonly<Record<string, Float32Array | Int32Array>>;
  /** Spikes per neuron and sample, of inputs too. */
  readonly rates: Readonly<Record<string, number>>;
}

async function observe(network: FloatNetwork | FixedNetwork, options: QuantiseOptions): Promise<Observed> {
  const { inputs, home, signal } = options;
  const batch = Object.values(inputs)[0]?.batch ?? 1;
  const silent = network.populations.filter((p) => p.model !== 'input' && !fires(p)).map(({ name }) => name);
  const engine = await createEngine(network, home, { batch, ...(signal === undefined ? {} : { signal }) });
  try {
    const { spikeCounts, final, steps } = await engine.run(
      { inputs, record: { final: silent } },
      signal === undefined ? {} : { signal },
    );
    const rates: Record<string, number> = {};
    for (const { name, size } of network.populations) {
      const train = inputs[name];
      rates[name] = (train === undefined ? sumOf(spikeCounts[name]) : train.ids.length) / (size * batch);
    }
    return { batch, steps, counts: spikeCounts, final, rates };
  } finally {
    await engine.close();
  }
}

function sumOf(counts: Uint32Array | undefined): number {
  return counts?.reduce((a, b) => a + b, 0) ?? 0;
}

function countError(float: Uint32Array, fixed: Uint32Array): number {
  let difference = 0;
  for (let i = 0; i < float.length; i++) difference += Math.abs(float[i]! - fixed[i]!);
  return difference / Math.max(1, sumOf(float));
}

function potentialError(float: Float32Array | Int32Array, fixed: Float32Array | Int32Array, scale: number): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < float.length; i++) {
    difference += (float[i]! - fixed[i]! / scale) ** 2;
    size += float[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE));
}
