/**
 * From a fixed-point network to what the machine knows: sources (inputs, then neurons) and their *bundles*, a bundle being the
 * synapses of one source that share a delay in machine steps and a weight shift. Populations get their skew, the network its
 * stretch (docs/suprasnn.md, "Delays"): that is retiming, which leaves every sum as it was.
 */
import { TuttiError } from '../../errors.js';
import { toRows, type Rows } from '../connectivity.js';
import { valueAt, type FixedNetwork, type FixedPopulation, type InputPopulation } from '../network.js';
import type { NeuronClass } from '../machine/program.js';

export interface LoweredPopulation {
  readonly name: string;
  readonly model: 'input' | 'lif' | 'li' | 'if';
  readonly size: number;
  /** First source. Neuron populations come after all inputs. */
  readonly firstSource: number;
  readonly skew: number;
}

export interface Lowered {
  readonly network: FixedNetwork;
  readonly populations: readonly LoweredPopulation[];
  readonly stretch: number;
  readonly maxSkew: number;
  /** Input neurons; they are the sources 0 .. inputs - 1. */
  readonly inputs: number;
  /** Neurons; neuron n is source `inputs + n`. */
  readonly neurons: number;
  readonly classes: readonly NeuronClass[];
  /** [neurons]. */
  readonly neuronClass: Uint8Array;
  /** [neurons]. */
  readonly bias: Int32Array;
  readonly bundles: number;
  /** [sources + 1] into the bundles. */
  readonly firstBundle: Uint32Array;
  /** [bundles]: of a neuron, machine steps from spike to arrival; of an input, from its (stretched) step. */
  readonly delay: Uint16Array;
  /** [bundles]. */
  readonly shift: Uint8Array;
  /** [bundles + 1] into the synapses. */
  readonly firstSynapse: Uint32Array;
  /** [synapses]: post-synaptic neuron, ascending within one projection's part of a bundle. */
  readonly post: Uint32Array;
  /** [synapses]: never 0. */
  readonly weight: Int8Array;
}

/**
 * `slack`: machine steps that a spike may take beyond the one that it must, where that is on no loop: it costs as many machine steps per sample and
 * population in a chain, and lets a step's spikes be delivered while the next one is accumulated.
 * @throws TuttiError NETWORK_INVALID for what no machine can run, naming it.
 */
export function lower(network: FixedNetwork, record: ReadonlySet<string>, slack = 0): Lowered {
  const isInput = (p: FixedNetwork['populations'][number]): p is InputPopulation => p.model === 'input';
  const inputPopulations = network.populations.filter(isInput);
  const neuronPopulations = network.populations.filter((p): p is FixedPopulation => !isInput(p));
  for (const { name, maxSpikesPerStep } of neuronPopulations as readonly {
    name: string;
    maxSpikesPerStep?: number;
  }[]) {
    if ((maxSpikesPerStep ?? 1) > 1) {
      throw refuse(
        `population "${name}" may fire ${maxSpikesPerStep} times in a step; the machine's neurons fire once`,
        `populations.${name}`,
      );
    }
  }
  if (neuronPopulations.length === 0) throw refuse('the network has no neurons, only inputs', 'populations');
  const { stretch, skews } = retime(network, slack);
  const populations: LoweredPopulation[] = [];
  let sources = 0;
  for (const { name, model, size } of [...inputPopulations, ...neuronPopulations]) {
    populations.push({ name, model, size, firstSource: sources, skew: skews.get(name)! });
    sources += size;
  }
  const inputs = inputPopulations.reduce((sum, { size }) => sum + size, 0);
  const { classes, neuronClass, bias } = classify(neuronPopulations, skews, record);
  return {
    network,
    populations,
    stretch,
    maxSkew: Math.max(...skews.values()),
    inputs,
    neurons: sources - inputs,
    classes,
    neuronClass,
    bias,
    ...bundle(network, new Map(populations.map((p) => [p.name, p])), stretch, inputs, sources),
  };
}

function refuse(what: string, where: string): TuttiError {
  return new TuttiError('NETWORK_INVALID', `the network cannot be compiled for the synapse machine: ${what}`, {
    where,
  });
}

/** Smallest delay of a projection. */
function leastDelay(delay: number | Uint32Array): number {
  return typeof delay === 'number' ? delay : delay.reduce((a, b) => Math.min(a, b), Infinity);
}

/**
 * The smallest stretch for which skews exist, and the smallest skews: longest paths over `1 - stretch * delay`, with `slack` more on
 * projections that are on no loop.
 */
function retime(network: FixedNetwork, slack: number): { stretch: number; skews: Map<string, number> } {
  const inputs = new Set(network.populations.filter((p) => p.model === 'input').map((p) => p.name));
  const edges = network.projections
    .filter(({ from }) => !inputs.has(from))
    .map(({ from, to, delay }) => ({ from, to, delay: leastDelay(delay), least: 1 }));
  const reached = (from: string): Set<string> => {
    const found = new Set([from]);
    for (const name of found) for (const edge of edges) if (edge.from === name) found.add(edge.to);
    return found;
  };
  for (const edge of edges) if (slack > 0 && !reached(edge.to).has(edge.from)) edge.least += slack;
  for (let stretch = 1; stretch <= Math.max(1, network.populations.length); stretch++) {
    const skews = new Map(network.populations.map(({ name }) => [name, 0]));
    let changed = true;
    for (let round = 0; changed && round <= network.populations.length; round++) {
      changed = false;
      for (const { from, to, delay, least } of edges) {
        const skew = skews.get(from)! + least - stretch * delay;
        if (skew > skews.get(to)!) {
          skews.set(to, skew);
          changed = true;
        }
      }
    }
    if (!changed) return { stretch, skews };
  }
  throw refuse('it has a loop without delay', 'projections');
}

function classify(
  populations: readonly FixedPopulation[],
  skews: ReadonlyMap<string, number>,
  record: ReadonlySet<string>,
): Pick<Lowered, 'classes' | 'neuronClass' | 'bias'> {
  const neurons = populations.reduce((sum, { size }) => sum + size, 0);
  const bias = new Int32Array(neurons);
  const ids = new Uint32Array(neurons);
  const classes: NeuronClass[] = [];
  const known = new Map<string, number>();
  let at = 0;
  for (const population of populations) {
    const spiking = population.threshold !== undefined;
    const subtract = population.reset?.kind === 'subtract';
    for (let n = 0; n < population.size; n++, at++) {
      const made: NeuronClass = {
        leakShift: valueAt(population.leakShift ?? 0, n),
        threshold: valueAt(population.threshold ?? 0, n),
        spiking,
        subtract,
        resetValue: population.reset?.kind === 'value' ? valueAt(population.reset.value, n) : 0,
        refractorySteps: valueAt(population.refractorySteps ?? 0, n),
        initial: valueAt(population.initial, n),
        skew: skews.get(population.name)!,
        record: spiking && record.has(population.name),
      };
      bias[at] = valueAt(population.bias, n);
      const key = Object.values(made).join();
      let id = known.get(key);
      if (id === undefined) {
        id = classes.length;
        known.set(key, id);
        classes.push(made);
      }
      ids[at] = id;
    }
  }
  if (classes.length > 64) {
    throw refuse(
      `its neurons have ${classes.length} different sets of parameters; a machine holds 64 at most (biases do not count): share thresholds, leaks and refractory times`,
      'populations',
    );
  }
  return { classes, neuronClass: Uint8Array.from(ids), bias };
}

/** Counts, then fills: two passes over the rows of every projection, and nothing per synapse but the arrays themselves. */
function bundle(
  network: FixedNetwork,
  populations: ReadonlyMap<string, LoweredPopulation>,
  stretch: number,
  inputs: number,
  sources: number,
): Pick<Lowered, 'bundles' | 'firstBundle' | 'delay' | 'shift' | 'firstSynapse' | 'post' | 'weight'> {
  interface Part {
    readonly rows: Rows;
    readonly from: LoweredPopulation;
    readonly to: LoweredPopulation;
    readonly shift: number;
    delayOf(pre: number): number;
  }
  const parts = network.projections.map((projection): Part => {
    const from = populations.get(projection.from)!;
    const to = populations.get(projection.to)!;
    const lag = to.skew - (from.model === 'input' ? 0 : from.skew);
    const { delay } = projection;
    return {
      rows: toRows(projection, from.size, to.size),
      from,
      to,
      shift: projection.shift,
      delayOf: (pre) => stretch * (typeof delay === 'number' ? delay : delay[pre]!) + lag,
    };
  });
  const bySource: Part[][] = Array.from({ length: populations.size }, () => []);
  const order = [...populations.values()];
  for (const part of parts) bySource[order.indexOf(part.from)]!.push(part);

  const firstBundle = new Uint32Array(sources + 1);
  const delays: number[] = [];
  const shifts: number[] = [];
  const counts: number[] = [];
  const synapses = parts.reduce((sum, { rows }) => sum + rows.weights.length, 0);
  const post = new Uint32Array(synapses);
  const weight = new Int8Array(synapses);
  let at = 0;
  order.forEach((population, k) => {
    const outgoing = bySource[k]!;
    for (let pre = 0; pre < population.size; pre++) {
      const found = new Map<number, Part[]>();
      for (const part of outgoing) {
        if (part.rows.rowStart[pre] === part.rows.rowStart[pre + 1]) continue;
        const key = part.delayOf(pre) * 32 + part.shift;
        const same = found.get(key);
        if (same === undefined) found.set(key, [part]);
        else same.push(part);
      }
      for (const [key, same] of found) {
        const start = at;
        for (const { rows, to } of same) {
          const from = rows.rowStart[pre]!;
          const until = rows.rowStart[pre + 1]!;
          const shiftTo = to.firstSource - inputs;
          for (let k = from; k < until; k++) post[at + k - from] = rows.columns[k]! + shiftTo;
          weight.set(rows.weights.subarray(from, until), at);
          at += until - from;
        }
        const delay = Math.floor(key / 32);
        if (delay > 0xffff)
          throw refuse(
            `a delay of "${population.name}" is ${delay} machine steps; at most ${0xffff} can be kept`,
            'projections',
          );
        delays.push(delay);
        shifts.push(key % 32);
        counts.push(at - start);
      }
      firstBundle[population.firstSource + pre + 1] = delays.length;
    }
  });
  const firstSynapse = new Uint32Array(counts.length + 1);
  counts.forEach((count, b) => (firstSynapse[b + 1] = firstSynapse[b]! + count));
  return {
    bundles: counts.length,
    firstBundle,
    delay: Uint16Array.from(delays),
    shift: Uint8Array.from(shifts),
    firstSynapse,
    post,
    weight,
  };
}
