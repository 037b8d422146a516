/**
 * From a NIR graph to a network. Neurons become populations; what is linear between them becomes projections and biases. NIR
 * is in continuous time and does not say what a spike is: `NirOptions` does.
 */
import { TuttiError } from '../../errors.js';
import type {
  FloatNetworkDescription,
  FloatPopulationDescription,
  FloatProjectionDescription,
  FloatReset,
  PerNeuron,
  Shape,
} from '../network.js';
import { closingEdges } from './loops.js';
import { nodeError, volume, type NirGraph, type NirLeaf } from './graph.js';
import { broadcast } from './linear-nodes.js';
import { createWorkBudget } from './linear-map.js';
import { projectionsOf } from './projections.js';
import { traceSignals } from './signals.js';
import { flattenGraph } from './subgraphs.js';

export interface NirOptions {
  /** Seconds per step. */
  readonly dt: number;
  /**
   * What a spike does: 'value' (default) sets the potential to v_reset, as NIR defines it; 'subtract' takes the threshold away;
   * 'crossing' resets at the moment of the crossing (LIF and IF with synapse 'current').
   */
  readonly reset?: 'value' | 'subtract' | 'crossing';
  /** How often a neuron may fire in a step; above 1 only with reset 'subtract'. Default 1. */
  readonly maxSpikesPerStep?: number;
  /** The same for elements of Input nodes. Default: as for neurons. */
  readonly inputSpikesPerStep?: number;
  /**
   * What a spike brings. 'current' (default): a current of the weight's size that flows for one step, which gives LIF neurons
   * r (1 - exp(-dt / tau)) and IF neurons r dt. 'delta': the weight at once, in the units that frameworks which count in steps train
   * in: LIF r dt / tau, IF r. Neurons with synapses of their own (CubaLIF, CubaLI) get w_in dt / tau_syn either way.
   */
  readonly synapse?: 'current' | 'delta';
  /** Name of the network, and of the file in messages. Default 'nir'. */
  readonly name?: string;
}

export interface NirNetwork {
  readonly network: FloatNetworkDescription;
  /** Input nodes, which are input populations of the same names. */
  readonly inputs: readonly string[];
  /** For every Output node the population that is its output. */
  readonly outputs: Readonly<Record<string, string>>;
}

type Checked = Required<NirOptions>;

/** Nodes that become populations which fire. */
const FIRING = ['IF', 'LIF', 'CubaLIF', 'Threshold'];

/**
 * @throws TuttiError NETWORK_INVALID naming the node that has no equivalent, its type and why; OPTION_INVALID; LIMIT_EXCEEDED when the linear
 *   nodes compose to more synapses than can be held.
 */
export function networkFromNir(graph: NirGraph, given: NirOptions): NirNetwork {
  const options = checkOptions(given);
  const flat = flattenGraph(graph);
  const budget = createWorkBudget(options.name);
  const { signals, shapes, order, outputs, readOuts } = traceSignals(flat, options.dt, budget);

  const populations: FloatPopulationDescription[] = [];
  const projections: FloatProjectionDescription[] = [];
  for (const name of order) {
    const node = flat.nodes.get(name);
    const signal = signals.get(name);
    const shape = shapes.get(name)!;
    if (node?.type === 'Input') {
      populations.push({ name, model: 'input', ...sizeOf(shape), maxSpikesPerStep: options.inputSpikesPerStep });
      continue;
    }
    const leaf = readOuts.has(name) ? undefined : (node as NirLeaf);
    const { population, bias } =
      leaf === undefined ? readOut(name, shape, options) : populationOf(name, leaf, shape, options);
    const brought = signal?.bias === undefined ? 0 : compact(signal.bias);
    if (brought !== 0 && bias === 'pacemaker') {
      // The receptors filter what comes in, a constant too: from a neuron that fires in every step it comes as spikes do.
      const pace = unused(`${name} bias`, populations, flat.nodes);
      populations.push({ name: pace, model: 'if', size: 1, threshold: 0.5, synapse: 'delta', bias: 1 });
      const weights = Float32Array.from({ length: volume(shape) }, (_, n) =>
        typeof brought === 'number' ? brought : brought[n]!,
      );
      projections.push({ from: pace, to: name, kind: 'dense', weights });
      populations.push(population);
    } else
      populations.push(brought === 0 ? population : ({ ...population, bias: brought } as FloatPopulationDescription));
    if (signal !== undefined) projections.push(...projectionsOf(name, signal, budget));
  }
  const closing = closingEdges(order, projections);
  return {
    network: {
      name: options.name,
      numeric: 'float32',
      dt: options.dt,
      populations,
      projections: projections.map((projection, i) => (closing.has(i) ? { ...projection, delay: 1 } : projection)),
    },
    inputs: order.filter((name) => flat.nodes.get(name)?.type === 'Input'),
    outputs: Object.fromEntries(outputs),
  };
}

function checkOptions(given: NirOptions): Checked {
  const wrong = (where: string, what: string): TuttiError =>
    new TuttiError('OPTION_INVALID', `${where} ${what}`, { where });
  const { dt, reset = 'value', maxSpikesPerStep = 1, synapse = 'current', name = 'nir' } = given;
  if (!(dt > 0 && Number.isFinite(dt))) throw wrong('dt', `must be the length of a step in seconds, got ${String(dt)}`);
  if (!['value', 'subtract', 'crossing'].includes(reset))
    throw wrong('reset', `must be 'value', 'subtract' or 'crossing', got ${String(reset)}`);
  if (synapse !== 'current' && synapse !== 'delta')
    throw wrong('synapse', `must be 'current' or 'delta', got ${String(synapse)}`);
  const inputSpikesPerStep = given.inputSpikesPerStep ?? maxSpikesPerStep;
  for (const [where, value] of [
    ['maxSpikesPerStep', maxSpikesPerStep],
    ['inputSpikesPerStep', inputSpikesPerStep],
  ] as const) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw wrong(where, `must be a whole number in 1 .. 65535, got ${String(value)}`);
  }
  if (maxSpikesPerStep > 1 && reset !== 'subtract')
    throw wrong('maxSpikesPerStep', `is ${maxSpikesPerStep}; more than 1 needs reset 'subtract'`);
  return { dt, reset, maxSpikesPerStep, inputSpikesPerStep, synapse, name };
}

interface Made {
  readonly population: FloatPopulationDescription;
  /** How a constant input reaches it. */
  readonly bias: 'current' | 'pacemaker';
}

/** What has no memory: a potential that follows its input within one step. exp(-128) is 0 beside 1 in single precision. */
function memoryless(dt: number): { tau: number; synapse: 'current' } {
  return { tau: dt / 128, synapse: 'current' };
}

function readOut(name: string, shape: readonly number[], { dt }: Checked): Made {
  return { population: { name, model: 'li', ...sizeOf(shape), ...memoryless(dt) }, bias: 'current' };
}

function populationOf(name: string, node: NirLeaf, shape: readonly number[], options: Checked): Made {
  const { dt, synapse, maxSpikesPerStep } = options;
  const head = { name, ...sizeOf(shape) };
  const wrong = (what: string): TuttiError => nodeError(name, node.type, what);
  const read = (field: string): PerNeuron => {
    const array = (node as unknown as Readonly<Record<string, Parameters<typeof broadcast>[3] | undefined>>)[field];
    return array === undefined ? 0 : compact(broadcast(name, node.type, field, array, shape));
  };
  const times = (field: string): PerNeuron => {
    const tau = read(field);
    if (!every(tau, (value) => Math.fround(value) > 0)) throw wrong(`has a ${field} that is not above 0`);
    return tau;
  };
  const firing = (): { threshold: PerNeuron; reset: FloatReset; maxSpikesPerStep?: number } => {
    const threshold = read('v_threshold');
    if (options.reset !== 'subtract') return { threshold, reset: { kind: options.reset, value: read('v_reset') } };
    if (!every(threshold, (value) => value > 0))
      throw wrong('has a v_threshold that is not above 0, which cannot be subtracted');
    return { threshold, reset: { kind: 'subtract' }, ...(maxSpikesPerStep > 1 ? { maxSpikesPerStep } : {}) };
  };
  /** 'delta' as a current of the strength that brings the same in one step. */
  const arrives = (r: PerNeuron, tau?: PerNeuron): { resistance: PerNeuron; synapse: 'current' | 'delta' } => {
    if (synapse === 'current') return { resistance: r, synapse };
    const gain = tau === undefined ? r : combine(r, tau, (a, b) => (a * dt) / b);
    if (every(gain, (value) => Math.fround(value) === 1) && options.reset !== 'crossing')
      return { resistance: 1, synapse };
    const resistance =
      tau === undefined ? combine(gain, dt, (a, b) => a / b) : combine(gain, tau, (a, b) => a / -Math.expm1(-dt / b));
    return { resistance, synapse: 'current' };
  };
  const synaptic = (): { receptors: readonly [{ name: string; tau: PerNeuron; weightScale: PerNeuron }] } => {
    const tau = times('tau_syn');
    const weight = (node as { w_in?: unknown }).w_in === undefined ? 1 : read('w_in');
    return { receptors: [{ name: 'synapse', tau, weightScale: combine(weight, tau, (w, t) => (w * dt) / t) }] };
  };
  switch (node.type) {
    case 'LIF': {
      const tau = times('tau');
      const leak = read('v_leak');
      return {
        population: { ...head, model: 'lif', tau, leak, ...arrives(read('r'), tau), ...firing() },
        bias: 'current',
      };
    }
    case 'IF':
      return { population: { ...head, model: 'if', ...arrives(read('r')), ...firing() }, bias: 'current' };
    case 'LI': {
      const tau = times('tau');
      return {
        population: { ...head, model: 'li', tau, leak: read('v_leak'), ...arrives(read('r'), tau) },
        bias: 'current',
      };
    }
    case 'I':
      return { population: { ...head, model: 'integrator', ...arrives(read('r')) }, bias: 'current' };
    case 'CubaLI':
    case 'CubaLIF': {
      const membrane = { ...head, tau: times('tau_mem'), leak: read('v_leak'), resistance: read('r'), ...synaptic() };
      if (node.type === 'CubaLI') return { population: { ...membrane, model: 'cubaLi' }, bias: 'pacemaker' };
      const { reset, ...rest } = firing();
      if (reset.kind === 'crossing') throw wrong("cannot be reset at the crossing; use reset 'value' or 'subtract'");
      return { population: { ...membrane, model: 'cubaLif', reset, ...rest }, bias: 'pacemaker' };
    }
    case 'Threshold':
      return {
        population: {
          ...head,
          model: 'lif',
          ...memoryless(dt),
          threshold: read('threshold'),
          reset: { kind: 'value' },
        },
        bias: 'current',
      };
    default:
      throw wrong(`is no neuron; only ${FIRING.join(', ')}, LI, I and CubaLI are`);
  }
}

function sizeOf(shape: readonly number[]): { size: number } | { shape: Shape } {
  return shape.length === 3 ? { shape: [shape[0]!, shape[1]!, shape[2]!] } : { size: volume(shape) };
}

/** One number where all are the same. */
function compact(values: Float32Array | Float64Array): number | Float32Array {
  const first = values[0]!;
  if (values.every((value) => value === first)) return first;
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

function every(parameter: PerNeuron, holds: (value: number) => boolean): boolean {
  return typeof parameter === 'number' ? holds(parameter) : (parameter as readonly number[]).every(holds);
}

function combine(a: PerNeuron, b: PerNeuron, of: (a: number, b: number) => number): PerNeuron {
  if (typeof a === 'number' && typeof b === 'number') return of(a, b);
  const length = typeof a === 'number' ? (b as Float32Array).length : a.length;
  const at = (parameter: PerNeuron, n: number): number => (typeof parameter === 'number' ? parameter : parameter[n]!);
  return Float32Array.from({ length }, (_, n) => of(at(a, n), at(b, n)));
}

function unused(
  wanted: string,
  populations: readonly { readonly name: string }[],
  nodes: ReadonlyMap<string, unknown>,
): string {
  let name = wanted;
  while (nodes.has(name) || populations.some((population) => population.name === name)) name += "'";
  return name;
}
