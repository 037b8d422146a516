/**
 * What reaches every neuron of a NIR graph: which sources through which linear maps and delays, and what constant. A source is an
 * Input or a neuron that fires.
 */
import { orderPopulations } from '../topology.js';
import { nodeError, volume, type NirLeaf } from './graph.js';
import { addMaps, apply, compose, keepInputs, scaleOutputs, type LinearMap, type WorkBudget } from './linear-map.js';
import { broadcast, identity, isLinear, linearEffect, spreads, wantedShape } from './linear-nodes.js';
import type { FlatGraph, FlatNode } from './subgraphs.js';

export interface Term {
  readonly source: string;
  readonly map: LinearMap;
  /** Steps. */
  readonly delay: number;
}

export interface Signal {
  readonly shape: readonly number[];
  readonly terms: readonly Term[];
  /** Per element; undefined where there is none. */
  readonly bias: Float64Array | undefined;
}

export interface Traced {
  /** What reaches each population; Inputs are not in it. */
  readonly signals: ReadonlyMap<string, Signal>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Populations by their distance from the Inputs. */
  readonly order: readonly string[];
  /** Output node -> population. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Outputs that become populations of their own, because they sum or scale what neurons fire. */
  readonly readOuts: ReadonlySet<string>;
}

const FIRES = new Set(['IF', 'LIF', 'CubaLIF', 'Threshold']);
const KEEPS_POTENTIAL = new Set(['LI', 'I', 'CubaLI']);
/** More parallel ways from one source than this are added up into one. */
const MOST_TERMS = 8;
const MOST_DELAYS = 1024;
const MOST_DELAY = 1_000_000;
const MOST_ROUNDS = 256;

export function traceSignals(graph: FlatGraph, dt: number, budget: WorkBudget): Traced {
  const { nodes, edges } = graph;
  const into = new Map<string, string[]>([...nodes.keys()].map((name) => [name, []]));
  const outOf = new Map<string, string[]>([...nodes.keys()].map((name) => [name, []]));
  for (const [from, to] of edges) {
    into.get(to)!.push(from);
    outOf.get(from)!.push(to);
  }
  const isState = (name: string): boolean => {
    const { type } = nodes.get(name)!;
    return type === 'Input' || FIRES.has(type) || KEEPS_POTENTIAL.has(type);
  };
  for (const [from, to] of edges) {
    const [source, target] = [nodes.get(from)!, nodes.get(to)!];
    if (target.type === 'Input')
      throw nodeError(to, 'Input', `has an edge from "${from}"; nothing can lead to an Input`);
    if (source.type === 'Output')
      throw nodeError(from, 'Output', `has an edge to "${to}"; nothing can lead from an Output`);
    if (KEEPS_POTENTIAL.has(source.type) && !endsAtOutput(to, nodes, outOf))
      throw nodeError(
        from,
        source.type,
        `gives "${to}" (${target.type}) a potential, where networks here pass spikes on; it can only lead to an Output`,
      );
  }

  const between = [...nodes.keys()].filter((name) => !isState(name));
  const { order, cycle } = orderPopulations(
    between,
    edges.filter(([from, to]) => !isState(from) && !isState(to)).map(([from, to]) => ({ from, to })),
  );
  if (cycle !== undefined)
    throw nodeError(
      cycle[0]!,
      nodes.get(cycle[0]!)!.type,
      `is on a loop without a neuron: ${cycle.join(' -> ')}; such a loop has no state to hold its signal in`,
    );

  const shapes = new Map<string, readonly number[]>();
  const made = new Map<string, Signal>();
  for (const [name, node] of nodes) {
    if (!isState(name)) continue;
    shapes.set(name, node.type === 'Input' ? inputShape(name, node, graph, outOf) : (wantedShape(node) ?? []));
  }
  // Neurons with one value for all take their size from what comes in, which may be other such neurons.
  settleShapes(
    graph,
    into,
    byDistance(graph, () => true, outOf),
    shapes,
  );
  for (const [name, shape] of shapes) if (shape.length === 0) shapes.set(name, [1]);

  const outputs = new Map<string, string>();
  const readOuts = new Set<string>();
  for (const name of order) {
    const node = nodes.get(name)!;
    const sources = into.get(name)!;
    if (node.type === 'Output') {
      const [only] = sources;
      const source = sources.length === 1 ? origin(only!, nodes, into) : undefined;
      if (source !== undefined && isState(source) && nodes.get(source)!.type !== 'Input') {
        outputs.set(name, source);
        continue;
      }
      if (sources.length === 0) throw nodeError(name, 'Output', 'has no edge leading to it');
      const potential = sources.find((from) => KEEPS_POTENTIAL.has(nodes.get(origin(from, nodes, into))!.type));
      if (potential !== undefined)
        throw nodeError(
          name,
          'Output',
          `adds the potential of "${potential}" to other signals; give it an Output of its own`,
        );
      readOuts.add(name);
      outputs.set(name, name);
      const signal = sum(name, node, sources, made, shapes, nodes, budget);
      made.set(name, signal);
      shapes.set(name, signal.shape);
      continue;
    }
    if (sources.length === 0) {
      // Nothing comes in, so nothing but its bias goes out; an unconnected node is left out.
      if (outOf.get(name)!.length === 0) continue;
      const shape = wantedShape(node);
      if (shape === undefined) throw nodeError(name, node.type, 'has no edge leading to it, and no shape of its own');
      made.set(name, effectOf(name, node, { shape, terms: [], bias: undefined }, dt, budget));
      continue;
    }
    if (
      endsAtOutput(name, nodes, outOf) &&
      sources.some((from) => KEEPS_POTENTIAL.has(nodes.get(origin(from, nodes, into))!.type))
    )
      continue;
    made.set(name, effectOf(name, node, sum(name, node, sources, made, shapes, nodes, budget), dt, budget));
  }

  const signals = new Map<string, Signal>();
  for (const [name, node] of nodes) {
    if (readOuts.has(name)) signals.set(name, made.get(name)!);
    if (!isState(name) || node.type === 'Input') continue;
    const sources = into.get(name)!;
    if (sources.length === 0) continue;
    const signal = sum(name, node, sources, made, shapes, nodes, budget);
    const [own, coming] = [shapes.get(name)!, volume(signal.shape)];
    if (volume(own) !== coming)
      throw nodeError(
        name,
        node.type,
        `has ${volume(own)} neurons, but ${coming} elements of shape [${signal.shape.join(', ')}] come in`,
      );
    signals.set(name, signal);
    // Kernels lie on planes: the shape of what comes in says more than that of flat parameters.
    if (own.length !== 3 && signal.shape.length === 3) shapes.set(name, signal.shape);
  }
  return {
    signals,
    shapes,
    order: byDistance(graph, (name) => isState(name) || readOuts.has(name), outOf),
    outputs,
    readOuts,
  };
}

/** Passes a signal on unchanged: no more than another name for it. */
function isPlain({ type }: FlatNode): boolean {
  return type === 'Relay' || type === 'Flatten';
}

function endsAtOutput(name: string, nodes: FlatGraph['nodes'], outOf: ReadonlyMap<string, readonly string[]>): boolean {
  const waiting = new Set([name]);
  for (const at of waiting) {
    const node = nodes.get(at)!;
    if (node.type === 'Output') continue;
    if (!isPlain(node)) return false;
    for (const to of outOf.get(at)!) waiting.add(to);
  }
  return true;
}

/** Where a signal comes from that only relays and flattening lie before. */
function origin(name: string, nodes: FlatGraph['nodes'], into: ReadonlyMap<string, readonly string[]>): string {
  let at = name;
  for (let steps = 0; steps < nodes.size && isPlain(nodes.get(at)!); steps++) {
    const sources = into.get(at)!;
    if (sources.length !== 1) break;
    at = sources[0]!;
  }
  return at;
}

/** An Input's shape: what it is connected to knows better, because old files say it wrongly. */
function inputShape(
  name: string,
  node: FlatNode,
  { nodes }: FlatGraph,
  outOf: ReadonlyMap<string, readonly string[]>,
): readonly number[] {
  const own = (node as { readonly shape: readonly number[] }).shape;
  if (own.some((size) => size < 1))
    throw nodeError(name, 'Input', `has shape [${own.join(', ')}]; sizes must be above 0`);
  const waiting = new Set(outOf.get(name));
  for (const to of waiting) {
    const target = nodes.get(to)!;
    const wanted = wantedShape(target);
    if (wanted !== undefined) {
      const same = volume(wanted) === volume(own);
      if (!same && !spreads(wanted, own)) return wanted;
      if (same && wanted.length === 3 && (own.length !== 3 || !spreads(wanted, own))) return wanted;
    }
    if (isPlain(target)) for (const next of outOf.get(to)!) waiting.add(next);
  }
  return own.length === 0 ? [1] : own;
}

/** Sizes of neurons that do not tell their own, from what comes in: one round for every such neuron in a row. */
function settleShapes(
  { nodes }: FlatGraph,
  into: ReadonlyMap<string, readonly string[]>,
  order: readonly string[],
  shapes: Map<string, readonly number[]>,
): void {
  const open = new Set([...shapes].filter(([, shape]) => shape.length === 0).map(([name]) => name));
  // Parameters of shape [channels, 1, 1] may stand for planes of any size.
  const wide = [...shapes]
    .filter(([name, shape]) => shape.includes(1) && nodes.get(name)!.type !== 'Input')
    .map(([name]) => name);
  for (let round = 0; open.size + wide.length > 0 && round < MOST_ROUNDS; round++) {
    const passed = new Map([...shapes].filter(([, shape]) => shape.length > 0));
    const coming = (name: string): readonly number[] | undefined =>
      into
        .get(name)!
        .map((from) => passed.get(from))
        .find((shape) => shape !== undefined);
    let settled = 0;
    for (const name of order) {
      const node = nodes.get(name)!;
      if (shapes.has(name)) {
        const shape = open.has(name) ? coming(name) : undefined;
        if (shape === undefined) continue;
        shapes.set(name, shape);
        passed.set(name, shape);
        open.delete(name);
        settled++;
        continue;
      }
      const shape = coming(name) ?? wantedShape(node);
      if (shape === undefined) continue;
      try {
        passed.set(name, isLinear(node) ? linearEffect(name, node, shape).shape : shape);
      } catch {
        // Said where the signal is worked out.
      }
    }
    for (const name of wide) {
      const [own, shape] = [shapes.get(name)!, coming(name)];
      if (shape === undefined || volume(shape) === volume(own) || !spreads(own, shape)) continue;
      shapes.set(name, shape);
      settled++;
    }
    if (settled === 0) return;
  }
}

/** The signal that the edges into a node add up to. */
function sum(
  name: string,
  node: FlatNode,
  sources: readonly string[],
  made: ReadonlyMap<string, Signal>,
  shapes: ReadonlyMap<string, readonly number[]>,
  nodes: FlatGraph['nodes'],
  budget: WorkBudget,
): Signal {
  const signals = sources.map((from): Signal => {
    const known = made.get(from);
    if (known !== undefined) return known;
    const shape = shapes.get(from);
    if (shape === undefined)
      throw nodeError(from, nodes.get(from)!.type, `leads to "${name}", but has no signal to pass on`);
    return { shape, terms: [{ source: from, map: identity(volume(shape)), delay: 0 }], bias: undefined };
  });
  const [first] = signals;
  if (signals.length === 1) return first!;
  let bias: Float64Array | undefined;
  signals.forEach((signal, i) => {
    if (volume(signal.shape) !== volume(first!.shape))
      throw nodeError(
        name,
        node.type,
        `gets ${volume(first!.shape)} elements from "${sources[0]}" and ${volume(signal.shape)} from "${sources[i]}"; what is added must be as many`,
      );
    const other = signal.bias;
    if (other !== undefined) bias = bias === undefined ? other : bias.map((value, k) => value + other[k]!);
  });
  const shape = signals.reduce(
    (best, signal) => (signal.shape.length > best.length ? signal.shape : best),
    first!.shape,
  );
  return {
    shape,
    terms: fewer(
      signals.flatMap(({ terms }) => terms),
      budget,
    ),
    bias,
  };
}

function fewer(terms: readonly Term[], budget: WorkBudget): readonly Term[] {
  if (terms.length <= MOST_TERMS) return terms;
  const merged = new Map<string, Term>();
  for (const term of terms) {
    const key = JSON.stringify([term.source, term.delay]);
    const known = merged.get(key);
    merged.set(key, known === undefined ? term : { ...term, map: addMaps(known.map, term.map, budget) });
  }
  return [...merged.values()];
}

function effectOf(name: string, node: FlatNode, signal: Signal, dt: number, budget: WorkBudget): Signal {
  if (node.type === 'Relay') return signal;
  if (node.type === 'Delay') return delayed(name, node, signal, dt, budget);
  if (!isLinear(node)) throw nodeError(name, node.type, 'stands where only a linear node can');
  const { shape, make } = linearEffect(name, node, signal.shape);
  const { map, bias } = make(budget);
  const terms = signal.terms.map((term) => ({ ...term, map: compose(term.map, map, budget) }));
  const passed = signal.bias === undefined ? undefined : apply(map, signal.bias, budget);
  const total = passed === undefined ? bias : bias === undefined ? passed : passed.map((value, i) => value + bias[i]!);
  return { shape, terms, bias: total };
}

/** Elements of one delay each make a term. What is constant stays so. */
function delayed(
  name: string,
  node: Extract<NirLeaf, { readonly type: 'Delay' }>,
  signal: Signal,
  dt: number,
  budget: WorkBudget,
): Signal {
  const steps = Array.from(broadcast(name, 'Delay', 'delay', node.delay, signal.shape), (delay) =>
    Math.round(delay / dt),
  );
  const wrong = steps.findIndex((delay) => delay < 0 || delay > MOST_DELAY);
  if (wrong >= 0)
    throw nodeError(name, 'Delay', `has a delay of ${steps[wrong]} steps at [${wrong}]; it must be 0 .. ${MOST_DELAY}`);
  const distinct = [...new Set(steps)].sort((a, b) => a - b);
  if (distinct.length > MOST_DELAYS)
    throw nodeError(name, 'Delay', `has ${distinct.length} different delays in steps, the most is ${MOST_DELAYS}`);
  if (distinct.length === 1)
    return { ...signal, terms: signal.terms.map((term) => ({ ...term, delay: term.delay + distinct[0]! })) };
  const terms = signal.terms.flatMap((term) =>
    distinct.map((delay): Term => {
      // Where the map is one to one, whole rows stay or go; rows that are empty cost nothing.
      const plain = term.map.kind === 'diagonal';
      const map = plain
        ? keepInputs(term.map, (input) => steps[input] === delay, budget)
        : compose(
            term.map,
            scaleOutputs(
              identity(steps.length),
              Float64Array.from(steps, (s) => Number(s === delay)),
              budget,
            ),
            budget,
          );
      return { source: term.source, map, delay: term.delay + delay };
    }),
  );
  return { ...signal, terms };
}

/** Breadth first from the Inputs along the edges, then what they do not reach. */
function byDistance(
  { nodes }: FlatGraph,
  counts: (name: string) => boolean,
  outOf: ReadonlyMap<string, readonly string[]>,
): string[] {
  const seen = new Set([...nodes.keys()].filter((name) => nodes.get(name)!.type === 'Input'));
  const walk = (): void => {
    for (const name of seen) for (const to of outOf.get(name)!) seen.add(to);
  };
  walk();
  for (const name of nodes.keys()) {
    if (seen.has(name)) continue;
    seen.add(name);
    walk();
  }
  return [...seen].filter(counts);
}
