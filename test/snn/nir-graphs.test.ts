/** Random NIR graphs, through a file and the reader, against the interpreter; random networks, to a file and back. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import {
  createEngine,
  defineNetwork,
  seededRandom,
  spikesAt,
  spikeTrain,
  type FloatNetworkDescription,
  type RunResult,
  type SeededRandom,
  type SpikeTrain,
} from '../../host/snn/index.js';
import type { NirArray, NirGraph, NirNode } from '../../host/snn/nir/graph.js';
import { readNir, readNirNetwork, writeNir, writeNirGraph, type NirOptions } from '../../host/snn/nir/index.js';
import { floatNetwork, seeds, stimulus, trainsOf } from './arbitraries.js';
import { interpret } from './nir-interpreter.js';

const steps = 14;
const dt = 1e-3;

let device: Device;
beforeAll(async () => {
  device = await createWasmDevice();
});
afterAll(() => device.close());

interface Drawn {
  readonly graph: NirGraph;
  /** The same without subgraphs. */
  readonly flat: NirGraph;
  readonly later: Set<string>;
  readonly options: NirOptions;
  readonly inputs: Record<string, number[][]>;
}

function draw(seed: number): Drawn {
  const random = seededRandom(seed);
  const between = (least: number, most: number): number => least + random.below(most - least + 1);
  const pick = <T>(choices: readonly T[]): T => choices[random.below(choices.length)]!;
  const volume = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
  const array = (shape: readonly number[], of: () => number): NirArray => ({
    shape,
    data: Float64Array.from({ length: volume(shape) }, () => Math.fround(of())),
  });
  const maybeOne = (shape: readonly number[], of: () => number): NirArray =>
    random.below(3) === 0 ? { shape, data: new Float64Array(volume(shape)).fill(of()) } : array(shape, of);
  const normal = (size: number) => (): number => size * random.normal();

  const nodes = new Map<string, NirNode>();
  const edges: [string, string][] = [];
  const flatNodes = new Map<string, NirNode>();
  const flatEdges: [string, string][] = [];
  const later = new Set<string>();
  const inputs: Record<string, number[][]> = {};
  const synapse = pick(['current', 'delta'] as const);
  const reset = pick(['value', 'subtract'] as const);
  const most = reset === 'subtract' ? pick([1, 1, 3]) : 1;

  const addBoth = (name: string, node: NirNode): void => {
    nodes.set(name, node);
    flatNodes.set(name, node);
  };
  const join = (from: string, to: string): void => {
    edges.push([from, to]);
    flatEdges.push([from, to]);
  };
  const input = (name: string, shape: readonly number[]): void => {
    addBoth(name, { type: 'Input', shape });
    const rate = pick([0.1, 0.4]);
    inputs[name] = Array.from({ length: steps }, () =>
      Array.from({ length: volume(shape) }, () => (random.uniform() < rate ? between(1, 2) : 0)),
    );
  };

  /** Linear nodes in a row; returns their names and the shape that comes out. `biased` where constants may come in. */
  const chain = (prefix: string, from: readonly number[], count: number, delays: boolean) => {
    const made: [string, NirNode][] = [];
    let shape = from;
    let biased = false;
    for (let k = 0; k < count; k++) {
      const kinds = ['Linear', 'Affine', 'Scale', ...(delays && !biased ? ['Delay'] : [])];
      if (shape.length === 3) kinds.push('Conv2d', 'Conv2d', 'SumPool2d', 'AvgPool2d', 'Flatten', 'Channels');
      if (shape.length === 2) kinds.push('Conv1d', 'Flatten');
      const name = `${prefix}${k}`;
      const put = (node: NirNode): unknown => made.push([name, node]);
      const kind = pick(kinds);
      switch (kind) {
        case 'Linear':
        case 'Affine': {
          if (shape.length > 1) {
            put({ type: 'Flatten', input_type: shape, start_dim: 0, end_dim: -1 });
            shape = [volume(shape)];
            break;
          }
          const outs = between(1, 20);
          const weight = array([outs, shape[0]!], normal(1.5 / Math.sqrt(shape[0]!)));
          if (kind === 'Affine') biased = true;
          put(
            kind === 'Affine' ? { type: kind, weight, bias: array([outs], normal(0.2)) } : { type: 'Linear', weight },
          );
          shape = [outs];
          break;
        }
        case 'Scale':
          put({ type: 'Scale', scale: random.below(2) === 0 ? array([], normal(1)) : array(shape, normal(1)) });
          break;
        case 'Channels':
          put({ type: 'Scale', scale: array([shape[0]!, 1, 1], normal(1)) });
          break;
        case 'Delay':
          put({
            type: 'Delay',
            delay: { shape, data: Float64Array.from({ length: volume(shape) }, () => between(0, 3) * dt) },
          });
          break;
        case 'Flatten':
          put({ type: 'Flatten', input_type: shape, start_dim: 0, end_dim: -1 });
          shape = [volume(shape)];
          break;
        case 'SumPool2d':
        case 'AvgPool2d': {
          const kernel = [between(1, Math.min(3, shape[1]!)), between(1, Math.min(3, shape[2]!))];
          const stride = pick([kernel, [1, 1], [2, 1]]);
          const padding = pick([[0, 0], kernel.map((size) => Math.floor(size / 2))]);
          put({ type: kind, kernel_size: kernel, stride, padding });
          shape = [
            shape[0]!,
            ...[0, 1].map((a) => Math.floor((shape[a + 1]! + 2 * padding[a]! - kernel[a]!) / stride[a]!) + 1),
          ];
          break;
        }
        default: {
          const flat = kind === 'Conv1d';
          const channels = shape[0]!;
          const groups = channels % 2 === 0 && random.below(3) === 0 ? 2 : 1;
          const outs = groups * between(1, 2);
          const dims = flat ? [1] : [1, 2];
          const same = random.below(4) === 0;
          const kernel = dims.map((d) => between(1, Math.min(3, shape[d]!)));
          const dilation = dims.map((d, i) => (shape[d]! > 2 * (kernel[i]! - 1) ? between(1, 2) : 1));
          const stride = dims.map(() => (same ? 1 : between(1, 2)));
          const pad = dims.map(() => between(0, 1));
          const padding = same ? ('same' as const) : random.below(4) === 0 ? ('valid' as const) : pad;
          const known = random.below(2) === 0;
          const bias = array([outs], random.below(2) === 0 ? () => 0 : normal(0.2));
          biased ||= bias.data.some((value) => value !== 0);
          put({
            type: flat ? 'Conv1d' : 'Conv2d',
            ...(known ? { input_shape: shape.slice(1) } : {}),
            weight: array([outs, channels / groups, ...kernel], normal(0.8)),
            bias,
            stride,
            padding,
            dilation,
            groups,
          });
          const out = dims.map((d, i) => {
            if (same) return shape[d]!;
            const extra = padding === 'valid' ? 0 : 2 * pad[i]!;
            return Math.floor((shape[d]! + extra - dilation[i]! * (kernel[i]! - 1) - 1) / stride[i]!) + 1;
          });
          shape = [outs, ...out];
        }
      }
    }
    return { made, shape, biased };
  };
  /** Puts a chain behind `from`, in a subgraph of its own now and then. Returns where it ends. */
  const attach = (
    from: string,
    prefix: string,
    made: readonly [string, NirNode][],
    shape: readonly number[],
  ): string => {
    let at = from;
    for (const [name, node] of made) {
      flatNodes.set(name, node);
      flatEdges.push([at, name]);
      at = name;
    }
    if (made.length === 0 || random.below(3) > 0) {
      made.forEach(([name, node], i) => {
        nodes.set(name, node);
        edges.push([i === 0 ? from : made[i - 1]![0], name]);
      });
      return at;
    }
    const names = ['in', ...made.map(([name]) => name), 'out'];
    const inner: NirGraph = {
      type: 'NIRGraph',
      nodes: new Map<string, NirNode>([
        ['in', { type: 'Input', shape: [1] }],
        ...made,
        ['out', { type: 'Output', shape }],
      ]),
      edges: names.slice(1).map((name, i) => [names[i]!, name] as const),
    };
    const sub = `${prefix}sub`;
    nodes.set(sub, random.below(4) === 0 ? nest(inner) : inner);
    edges.push([from, sub]);
    inSub.set(at, sub);
    return at;
  };
  const inSub = new Map<string, string>();
  const joinTo = (from: string, to: string): void => {
    edges.push([inSub.get(from) ?? from, to]);
    flatEdges.push([from, to]);
  };

  const first = pick([[between(1, 12)], [between(1, 2), between(3, 6), between(3, 6)], [between(1, 2), between(3, 8)]]);
  input('in', first);
  let [at, shape] = ['in', first as readonly number[]];
  let before: { at: string; shape: readonly number[] } | undefined;
  const layers = between(1, 3);
  for (let layer = 0; layer < layers; layer++) {
    const links = chain(`l${layer}-`, shape, between(0, 3), true);
    const end = attach(at, `l${layer}-`, links.made, links.shape);
    const name = `n${layer}`;
    const size = links.shape;
    const last = layer === layers - 1;
    const tau = (): number => dt * (2 + 20 * random.uniform());
    const leak = maybeOne(size, normal(0.05));
    const v_threshold = maybeOne(size, () => 0.3 + random.uniform());
    const v_reset = random.below(2) === 0 ? undefined : maybeOne(size, normal(0.05));
    const perStep = maybeOne(size, () => (synapse === 'current' ? 1 / dt : 1));
    const types = ['LIF', 'LIF', 'IF', 'CubaLIF', 'Threshold', ...(last ? ['LI', 'I', 'CubaLI'] : [])] as const;
    const node = ((): NirNode => {
      const type = pick(types);
      const r = maybeOne(size, () => 1 + 2 * random.uniform());
      switch (type) {
        case 'LIF':
          return { type, tau: maybeOne(size, tau), r, v_leak: leak, v_threshold, v_reset };
        case 'IF':
          return { type, r: perStep, v_threshold, v_reset };
        case 'CubaLIF':
        case 'CubaLI': {
          const shared = { tau_syn: maybeOne(size, tau), tau_mem: maybeOne(size, tau), r, v_leak: leak };
          const w_in = pick([undefined, maybeOne(size, () => 5 * random.uniform())]);
          return type === 'CubaLI' ? { type, ...shared, w_in } : { type, ...shared, w_in, v_threshold, v_reset };
        }
        case 'Threshold':
          return { type, threshold: v_threshold };
        case 'LI':
          return { type, tau: maybeOne(size, tau), r, v_leak: leak };
        default:
          return { type: 'I', r: perStep };
      }
    })();
    addBoth(name, node);
    joinTo(end, name);
    // The same edge again, its own spikes, those of the population before last.
    if (random.below(5) === 0) joinTo(end, name);
    const fires = ['LIF', 'IF', 'CubaLIF', 'Threshold'].includes(node.type);
    if (fires && random.below(3) === 0) {
      const weight = array([volume(size), volume(size)], normal(0.3));
      addBoth(`r${layer}`, { type: 'Linear', weight });
      join(name, `r${layer}`);
      join(`r${layer}`, name);
      later.add(`${name} r${layer}`);
    }
    if (before !== undefined && random.below(3) === 0) {
      addBoth(`s${layer}`, { type: 'Linear', weight: array([volume(size), volume(before.shape)], normal(0.3)) });
      join(before.at, `s${layer}`);
      join(`s${layer}`, name);
    }
    before = { at, shape };
    [at, shape] = [name, size];
    if (last) {
      if (fires && random.below(3) === 0) {
        const weight = array([3, volume(size)], normal(0.5));
        addBoth('readout', { type: 'Affine', weight, bias: array([3], normal(0.2)) });
        join(name, 'readout');
        join('readout', 'out');
        addBoth('out', { type: 'Output', shape: [3] });
      } else {
        join(name, 'out');
        addBoth('out', { type: 'Output', shape: size });
      }
    }
  }
  return {
    graph: { type: 'NIRGraph', nodes, edges },
    flat: { type: 'NIRGraph', nodes: flatNodes, edges: flatEdges },
    later,
    options: { dt, reset, maxSpikesPerStep: most, inputSpikesPerStep: 2, synapse },
    inputs,
  };
}

/** A subgraph around a subgraph. */
function nest(inner: NirGraph): NirGraph {
  return {
    type: 'NIRGraph',
    nodes: new Map<string, NirNode>([
      ['a', { type: 'Input', shape: [1] }],
      ['inner', inner],
      ['b', { type: 'Output', shape: [1] }],
    ]),
    edges: [
      ['a', 'inner'],
      ['inner', 'b'],
    ],
  };
}

function trainOf(counts: readonly (readonly number[])[]): SpikeTrain {
  const lists = counts.map((frame) => [frame.flatMap((count, id) => new Array<number>(count).fill(id))]);
  return spikeTrain(lists, counts[0]!.length);
}

async function runAll(
  description: FloatNetworkDescription,
  inputs: Record<string, SpikeTrain>,
): Promise<{ result: RunResult; names: string[] }> {
  const network = defineNetwork(description);
  const names = network.order.filter((name) => !(name in inputs));
  const fires = names.filter(
    (name) => (network.populations.find((p) => p.name === name) as { threshold?: unknown }).threshold !== undefined,
  );
  const engine = await createEngine(network, { device });
  const result = await engine.run({
    inputs,
    steps,
    record: { spikes: fires, membrane: names.map((population) => ({ population })) },
  });
  await engine.close();
  return { result, names };
}

describe('NIR graphs', () => {
  it('do as each of their nodes says, whatever lies between the neurons', async () => {
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const { graph, flat, later, options, inputs } = draw(seed);
        const read = await readNirNetwork(await writeNirGraph(graph), options);
        expect(read.inputs).toEqual(['in']);
        const { reset, synapse, maxSpikesPerStep: most } = options as Required<NirOptions>;
        const rules = { dt, reset: reset as 'value' | 'subtract', synapse, most, later, inputs };
        const expected = interpret(flat, rules, steps);
        for (const { type } of flat.nodes.values()) kinds.add(type);
        const trains = Object.fromEntries(Object.entries(inputs).map(([name, counts]) => [name, trainOf(counts)]));
        const { result } = await runAll(read.network, trains);
        for (let step = 0; step < steps; step++) {
          for (const [name, trace] of Object.entries(expected.neurons)) {
            const size = trace.v[0]!.length;
            const fired = new Array<number>(size).fill(0);
            if (name in result.spikes) spikesAt(result.spikes[name]!, step, 0).forEach((id) => fired[id]!++);
            if (fired.some((count, n) => count !== trace.spikes[step]![n])) {
              // Within rounding of a threshold either is right, and what follows differs.
              expect(trace.nearest[step], `${name} in step ${step}`).toBeLessThan(1e-3);
              return;
            }
            if (flat.nodes.get(name)!.type === 'Threshold') continue;
            const got = result.membranes[name]!.values.subarray(step * size, (step + 1) * size);
            trace.v[step]!.forEach((value, n) =>
              expect(Math.abs(got[n]! - value), `${name}[${n}] in step ${step}`).toBeLessThan(
                3e-4 * Math.max(1, Math.abs(value)),
              ),
            );
          }
          if (flat.nodes.has('readout')) {
            expected.outputs['out']![step]!.forEach((value, n) =>
              expect(result.membranes['out']!.values[step * 3 + n]).toBeCloseTo(value, 3),
            );
          }
        }
      }),
      { numRuns: 150, seed: 20261124 },
    );
    // No type went untried.
    expect([...kinds].sort()).toEqual(
      [
        'Affine',
        'AvgPool2d',
        'Conv1d',
        'Conv2d',
        'CubaLI',
        'CubaLIF',
        'Delay',
        'Flatten',
        'I',
        'IF',
        'Input',
        'LI',
        'LIF',
        'Linear',
      ]
        .concat(['Output', 'Scale', 'SumPool2d', 'Threshold'])
        .sort(),
    );
  });
});

/** A random network, less what NIR has no words for. */
function writable(seed: number): { description: FloatNetworkDescription; options: NirOptions } {
  const random: SeededRandom = seededRandom((seed ^ 0x1234567) >>> 0);
  const given = floatNetwork(seed);
  const subtract = random.below(2) === 0;
  const most = subtract ? 1 + random.below(3) : 1;
  const populations = given.populations.map((population) => {
    if (population.model === 'input') return population;
    const { bias, ...rest } = population;
    const driven = given.projections!.some(({ to }) => to === population.name);
    const kept = driven && !('receptors' in population) && bias !== undefined ? { bias } : {};
    if (!('threshold' in rest)) return { ...rest, ...kept };
    const neuron = { ...rest, refractory: 0, maxSpikesPerStep: 1 };
    const reset = subtract ? { kind: 'subtract' as const } : { kind: 'value' as const, value: random.normal() * 0.1 };
    const one = 'receptors' in neuron ? { receptors: neuron.receptors.slice(0, 1) } : {};
    return { ...neuron, ...one, ...kept, reset, ...(most > 1 ? { maxSpikesPerStep: most } : {}) };
  });
  const projections = given.projections!.map(({ receptor: _receptor, ...projection }) => projection);
  return {
    description: { ...given, populations, projections },
    options: { dt: given.dt, reset: subtract ? 'subtract' : 'value', maxSpikesPerStep: most, inputSpikesPerStep: 3 },
  };
}

describe('networks written as NIR', () => {
  it('come back with the same dynamics', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, async (seed) => {
        const { description, options } = writable(seed);
        const back = await readNir(await writeNir(description), options);
        const sizes = new Map(defineNetwork(description).populations.map(({ name, size }) => [name, size]));
        const trains = trainsOf(stimulus(seed, floatNetwork(seed), { steps, batch: 1 }), sizes);
        const [before, after] = [await runAll(description, trains), await runAll(back, trains)];
        expect(new Set(after.names)).toEqual(new Set(before.names));
        for (let step = 0; step < steps; step++) {
          for (const name of before.names) {
            const size = sizes.get(name)!;
            const at = (run: typeof before): Float32Array =>
              run.result.membranes[name]!.values.subarray(step * size, (step + 1) * size) as Float32Array;
            const fired = (run: typeof before): number[] =>
              name in run.result.spikes ? [...spikesAt(run.result.spikes[name]!, step, 0)] : [];
            // Gains that are worked out again may differ in the last place; a spike that turns on it ends the comparison.
            if (JSON.stringify(fired(before)) !== JSON.stringify(fired(after))) {
              const differ = fired(before).filter((id) => !fired(after).includes(id));
              expect(differ.length + fired(before).length, `${name} in step ${step}`).toBeLessThan(1 + size);
              return;
            }
            at(before).forEach((value, n) =>
              expect(Math.abs(at(after)[n]! - value), `${name}[${n}] in step ${step}`).toBeLessThan(
                2e-5 * Math.max(1, Math.abs(value)),
              ),
            );
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
