/** From the terms of a signal to projections onto the population that it reaches. */
import type { FloatProjectionDescription } from '../network.js';
import { rowsOf, toSparse, type LinearMap, type SparseMap, type WorkBudget } from './linear-map.js';
import type { Signal, Term } from './signals.js';

export function projectionsOf(to: string, { terms }: Signal, budget: WorkBudget): FloatProjectionDescription[] {
  const projections: FloatProjectionDescription[] = [];
  for (const source of new Set(terms.map((term) => term.source))) {
    const mine = terms.filter((term) => term.source === source);
    const delays = oneDelayPerInput(mine);
    if (delays === undefined) {
      for (const { map, delay } of mine) projections.push({ from: source, to, delay, ...connectivity(map, budget) });
    } else {
      const maps = mine.map(({ map }) => map as SparseMap);
      const merged = rowsOf(maps[0]!.inputs, maps[0]!.outputs, (row, add) => {
        for (const map of maps)
          for (let k = map.rowStart[row]!; k < map.rowStart[row + 1]!; k++) add(map.columns[k]!, map.weights[k]!);
      });
      projections.push({ from: source, to, delay: delays, ...connectivity(merged, budget) });
    }
  }
  return projections;
}

/** Delays per pre-synaptic neuron, where terms that differ in delay share no neuron: axonal delays, in one projection. */
function oneDelayPerInput(terms: readonly Term[]): Uint32Array | undefined {
  if (terms.length < 2 || !terms.every(({ map }) => map.kind === 'sparse')) return undefined;
  if (new Set(terms.map(({ delay }) => delay)).size < 2) return undefined;
  const inputs = terms[0]!.map.inputs;
  // Neurons without synapses here have no delay of their own; 0 would mean that something arrives at once.
  const delays = new Uint32Array(inputs).fill(Math.min(...terms.map(({ delay }) => delay)));
  const taken = new Uint8Array(inputs);
  for (const { map, delay } of terms) {
    const { rowStart } = map as SparseMap;
    for (let i = 0; i < inputs; i++) {
      if (rowStart[i] === rowStart[i + 1]) continue;
      if (taken[i] === 1 && delays[i] !== delay) return undefined;
      taken[i] = 1;
      delays[i] = delay;
    }
  }
  return delays;
}

type Connectivity =
  | { kind: 'dense'; weights: Float32Array }
  | { kind: 'sparse'; rowStart: Uint32Array; columns: Uint32Array; weights: Float32Array }
  | {
      kind: 'convolution';
      layout: 'inHeightWidthOut';
      weights: Float32Array;
      kernel: readonly [number, number];
      stride: readonly [number, number];
      padding: readonly [number, number];
      inputShape: readonly [number, number, number];
      outputShape: readonly [number, number, number];
    };

const LARGEST_EXTENT = 4096;

function connectivity(map: LinearMap, budget: WorkBudget): Connectivity {
  if (map.kind === 'dense') return { kind: 'dense', weights: Float32Array.from(map.weights) };
  if (map.kind === 'convolution') {
    const { kernel, stride, padding, inputShape, outputShape } = map;
    const geometry = { kernel, stride, padding, inputShape, outputShape };
    if ([kernel, stride, padding].every((pair) => pair.every((size) => size <= LARGEST_EXTENT)))
      return { kind: 'convolution', layout: 'inHeightWidthOut', weights: Float32Array.from(map.weights), ...geometry };
  }
  const { rowStart, columns, weights } = toSparse(map, budget);
  return { kind: 'sparse', rowStart, columns, weights: Float32Array.from(weights) };
}
