/**
 * From a float network to a NIR graph that is read back as the same network: by `networkFromNir` with the network's dt, its kind of reset and
 * synapse 'current'. NIR knows a neuron's threshold and reset potential, but no step, no refractory time and no initial potential.
 */
import { TuttiError } from '../../errors.js';
import {
  fires,
  valueAt,
  type FloatNetwork,
  type FloatPopulation,
  type FloatProjection,
  type InputPopulation,
  type Parameter,
  type Shape,
} from '../network.js';
import { toDense } from '../connectivity.js';
import type { NirArray, NirGraph, NirNode } from './graph.js';

type Population = InputPopulation | FloatPopulation;

/** Larger matrices are not written; a sparse projection is a matrix in NIR. */
const MOST_MATRIX = 2 ** 26;

/** @throws TuttiError NETWORK_INVALID naming the population or projection that NIR cannot express, and why */
export function nirFromNetwork(network: FloatNetwork): NirGraph {
  const populations = withShapes(network);
  const byName = new Map<string, Population>(populations.map((population) => [population.name, population]));
  refuseMixed(network);
  const nodes = new Map<string, NirNode>();
  const edges: (readonly [string, string])[] = [];
  // Populations keep their names; the nodes between them take what is left.
  const names = new Map<string, string>();
  const claim = (wanted: string): string => {
    // HDF5 separates groups by a slash, and "." is the group itself.
    let name = wanted.replaceAll('/', '_');
    if (name === '.' || name === '..') name = `node ${name}`;
    while (nodes.has(name)) name += "'";
    return name;
  };
  for (const population of populations) {
    const name = claim(population.name);
    names.set(population.name, name);
    nodes.set(name, population.model === 'input' ? inputNode(population) : neuronNode(population, network.dt));
  }
  const biased = new Set<string>();
  for (const projection of network.projections) {
    const [from, to] = [byName.get(projection.from)!, byName.get(projection.to)! as FloatPopulation];
    let at = names.get(from.name)!;
    const delay = delayNode(projection, from, network.dt);
    const add = (wanted: string, node: NirNode): void => {
      const name = claim(wanted);
      nodes.set(name, node);
      edges.push([at, name]);
      at = name;
    };
    if (delay !== undefined) add(`${projection.name} delay`, delay);
    const bias = biased.has(to.name) ? 0 : biasOf(to);
    const weights = weightNode(projection, from, to, bias);
    if (weights.type !== 'Conv2d' && from.shape !== undefined)
      add(`${projection.name} flat`, { type: 'Flatten', input_type: from.shape, start_dim: 0, end_dim: -1 });
    add(projection.name, weights);
    if (isBiased(bias)) biased.add(to.name);
    edges.push([at, names.get(to.name)!]);
  }
  for (const population of populations) {
    if (population.model === 'input' || biased.has(population.name) || !isBiased(biasOf(population))) continue;
    throw refuse(
      population.name,
      'has a bias, but no projection leads to it; in NIR a bias belongs to the weights before a neuron',
    );
  }
  const outputs = outputsOf(network).map(({ name }) => byName.get(name)!);
  for (const population of outputs) {
    const name = claim(outputs.length === 1 ? 'output' : `${population.name} output`);
    nodes.set(name, { type: 'Output', shape: shapeOf(population) });
    edges.push([names.get(population.name)!, name]);
  }
  return { type: 'NIRGraph', nodes, edges };
}

function refuse(population: string, what: string): TuttiError {
  return new TuttiError('NETWORK_INVALID', `population "${population}" cannot be written as NIR: it ${what}`, {
    where: `populations.${population}`,
  });
}

/** The reader gives all neurons one kind of reset and one number of spikes per step. */
function refuseMixed(network: FloatNetwork): void {
  let first: FloatPopulation | undefined;
  for (const population of network.populations) {
    if (population.model === 'input' || !fires(population)) continue;
    first ??= population;
    const [kind, other] = [population.reset!.kind, first.reset!.kind];
    if (kind !== other)
      throw refuse(
        population.name,
        `resets by '${kind}' and "${first.name}" by '${other}'; NIR does not say which, so that all must be alike`,
      );
    if (population.maxSpikesPerStep !== first.maxSpikesPerStep)
      throw refuse(
        population.name,
        `may fire ${population.maxSpikesPerStep} times a step and "${first.name}" ${first.maxSpikesPerStep} times; NIR does not say how often, so that all must be alike`,
      );
  }
}

/** Populations that lead to no other; all that fire where each leads to one. */
function outputsOf(network: FloatNetwork): Population[] {
  const last = network.populations.filter(
    ({ name, model }) => model !== 'input' && !network.projections.some(({ from, to }) => from === name && to !== name),
  );
  return last.length > 0 ? last : network.populations.filter(({ model }) => model !== 'input');
}

/** Populations on either side of a convolution lie on planes, and NIR's shapes must say so; all others are flat. */
function withShapes(network: FloatNetwork): readonly Population[] {
  const planes = new Map<string, Shape>();
  for (const projection of network.projections) {
    if (projection.kind !== 'convolution') continue;
    planes.set(projection.from, projection.inputShape);
    planes.set(projection.to, projection.outputShape);
  }
  return network.populations.map((population) => ({ ...population, shape: planes.get(population.name) }));
}

function shapeOf({ shape, size }: Population): readonly number[] {
  return shape ?? [size];
}

function inputNode(population: InputPopulation): NirNode {
  return { type: 'Input', shape: shapeOf(population) };
}

/** Every neuron's value; numbers stay in double precision. */
function spread(population: Population, parameter: Parameter): NirArray {
  if (typeof parameter === 'object') return { shape: shapeOf(population), data: Float32Array.from(parameter) };
  return computed(population, () => parameter);
}

function computed(population: Population, of: (neuron: number) => number): NirArray {
  return { shape: shapeOf(population), data: Float64Array.from({ length: population.size }, (_, n) => of(n)) };
}

function neuronNode(population: FloatPopulation, dt: number): NirNode {
  const { name, model, size, tau, leak, initial, threshold, reset, refractory, receptors } = population;
  for (let n = 0; n < size; n++) {
    if (refractory !== undefined && Math.round(valueAt(refractory, n) / dt) > 0)
      throw refuse(name, 'has a refractory time, which NIR does not know');
    if (valueAt(initial, n) !== (leak === undefined ? 0 : valueAt(leak, n)))
      throw refuse(
        name,
        `starts at a potential of ${valueAt(initial, n)}; in NIR neurons start at their leak potential, or 0`,
      );
  }
  const array = (parameter: Parameter): NirArray => spread(population, parameter);
  // What 'delta' adds at once is the current that brings as much within a step.
  const r =
    population.synapse === 'delta'
      ? computed(population, (n) => (tau === undefined ? 1 / dt : 1 / -Math.expm1(-dt / valueAt(tau, n))))
      : array(population.resistance);
  const firing =
    threshold === undefined
      ? undefined
      : {
          v_threshold: array(threshold),
          v_reset: array(reset === undefined || reset.kind === 'subtract' ? 0 : reset.value),
        };
  switch (model) {
    case 'if':
      return { type: 'IF', r, ...firing! };
    case 'integrator':
      return { type: 'I', r };
    case 'lif':
      return { type: 'LIF', tau: array(tau!), r, v_leak: array(leak!), ...firing! };
    case 'li':
      return { type: 'LI', tau: array(tau!), r, v_leak: array(leak!) };
    case 'cubaLif':
    case 'cubaLi': {
      if (receptors!.length !== 1)
        throw refuse(
          name,
          `has ${receptors!.length} receptors; NIR's ${model === 'cubaLif' ? 'CubaLIF' : 'CubaLI'} has one`,
        );
      const receptor = receptors![0]!;
      const parts = {
        tau_syn: array(receptor.tau),
        tau_mem: array(tau!),
        r: array(population.resistance),
        v_leak: array(leak!),
        w_in: computed(population, (n) => (valueAt(receptor.weightScale, n) * valueAt(receptor.tau, n)) / dt),
      };
      return model === 'cubaLi' ? { type: 'CubaLI', ...parts } : { type: 'CubaLIF', ...parts, ...firing! };
    }
  }
}

/** What its weights have to bring in every step; past receptors nothing can. */
function biasOf(population: FloatPopulation): Parameter {
  if (population.receptors !== undefined && isBiased(population.bias))
    throw refuse(population.name, 'has a bias past its receptors, where NIR has only what goes through them');
  return population.bias;
}

function isBiased(bias: Parameter): boolean {
  return typeof bias === 'number' ? bias !== 0 : bias.some((value) => value !== 0);
}

/** Delays that a reader cannot know by itself; it gives a population's own spikes one step. */
function delayNode(projection: FloatProjection, from: Population, dt: number): NirNode | undefined {
  const { delay } = projection;
  if (delay === 0 || (delay === 1 && projection.from === projection.to)) return undefined;
  return { type: 'Delay', delay: computed(from, (n) => (typeof delay === 'number' ? delay : delay[n]!) * dt) };
}

function weightNode(projection: FloatProjection, from: Population, to: FloatPopulation, bias: Parameter): NirNode {
  if (projection.kind === 'convolution') {
    const { kernel, inputShape, outputShape, stride, padding } = projection;
    const perChannel = channelBias(to, bias, outputShape);
    if (perChannel !== undefined) {
      const [outs, ins] = [outputShape[0], inputShape[0]];
      const weights = projection.weights as Float32Array;
      const data = new Float32Array(weights.length);
      for (let c = 0, at = 0; c < ins; c++)
        for (let k = 0; k < kernel[0] * kernel[1]; k++)
          for (let o = 0; o < outs; o++) data[(o * ins + c) * kernel[0] * kernel[1] + k] = weights[at++]!;
      return {
        type: 'Conv2d',
        input_shape: inputShape.slice(1),
        weight: { shape: [outs, ins, ...kernel], data },
        stride,
        padding,
        dilation: [1, 1],
        groups: 1,
        bias: { shape: [outs], data: perChannel },
      };
    }
  }
  if (from.size * to.size > MOST_MATRIX) {
    throw new TuttiError(
      'NETWORK_INVALID',
      `projection "${projection.name}" cannot be written as NIR: it joins ${from.size} x ${to.size} neurons, and NIR has no sparse weights; a matrix may have ${MOST_MATRIX} elements`,
      { where: `projections.${projection.name}` },
    );
  }
  const matrix = toDense(projection, from.size, to.size);
  const data = new Float32Array(matrix.length);
  for (let pre = 0; pre < from.size; pre++)
    for (let post = 0; post < to.size; post++) data[post * from.size + pre] = matrix[pre * to.size + post]!;
  const weight = { shape: [to.size, from.size], data };
  return isBiased(bias)
    ? { type: 'Affine', weight, bias: { ...spread(to, bias), shape: [to.size] } }
    : { type: 'Linear', weight };
}

/** A convolution's bias is one per channel; undefined where neurons of a channel differ. */
function channelBias(
  { size }: FloatPopulation,
  bias: Parameter,
  [channels]: readonly [number, number, number],
): Float32Array | Float64Array | undefined {
  const plane = size / channels;
  for (let n = 0; n < size; n++)
    if (valueAt(bias, n) !== valueAt(bias, Math.floor(n / plane) * plane)) return undefined;
  const data = typeof bias === 'number' ? new Float64Array(channels) : new Float32Array(channels);
  for (let c = 0; c < channels; c++) data[c] = valueAt(bias, c * plane);
  return data;
}
