/**
 * Linear maps between signals, and their composition: what stands between two populations of a NIR graph becomes one
 * projection. Matrices stay matrices and convolutions stay convolutions where that is exact; the rest becomes rows.
 */
import { TuttiError } from '../../errors.js';
import type { Shape } from '../network.js';

interface Sizes {
  readonly inputs: number;
  readonly outputs: number;
}

/** Multiplies element by element; undefined is all ones. */
export interface DiagonalMap extends Sizes {
  readonly kind: 'diagonal';
  readonly values: Float64Array | undefined;
}

export interface DenseMap extends Sizes {
  readonly kind: 'dense';
  /** [input][output]. */
  readonly weights: Float64Array;
}

export interface ConvolutionMap extends Sizes {
  readonly kind: 'convolution';
  /** [in channel][y][x][out channel]. */
  readonly weights: Float64Array;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: readonly [y: number, x: number];
  readonly padding: readonly [y: number, x: number];
  readonly inputShape: Shape;
  readonly outputShape: Shape;
}

/** Sums windows of every channel and multiplies by `scale`. */
export interface PoolMap extends Sizes {
  readonly kind: 'pool';
  readonly scale: number;
  readonly kernel: readonly [height: number, width: number];
  readonly stride: readonly [y: number, x: number];
  readonly padding: readonly [y: number, x: number];
  readonly inputShape: Shape;
  readonly outputShape: Shape;
}

/** Rows by input, columns ascending. */
export interface SparseMap extends Sizes {
  readonly kind: 'sparse';
  readonly rowStart: Uint32Array;
  readonly columns: Uint32Array;
  readonly weights: Float64Array;
}

export type LinearMap = DiagonalMap | DenseMap | ConvolutionMap | PoolMap | SparseMap;

/** Matrix elements that one map may have, and multiplications that composing a graph may take. */
const MOST_ELEMENTS = 2 ** 27;
const MOST_WORK = 2 ** 32;
/** Rows with more than this share of their columns are kept as a matrix. */
const DENSE_FROM = 0.5;

/** Counts what a graph costs, so that one that would take hours or all memory is refused at once. */
export interface WorkBudget {
  spend(operations: number, elements: number): void;
}

export function createWorkBudget(where: string): WorkBudget {
  let work = MOST_WORK;
  return {
    spend(operations, elements) {
      work -= operations;
      if (work >= 0 && elements <= MOST_ELEMENTS) return;
      throw new TuttiError(
        'LIMIT_EXCEEDED',
        `${where}: the linear nodes between its neurons compose to ${elements} synapses (the most is ${MOST_ELEMENTS}) or take more than ${MOST_WORK} multiplications; put a neuron between them, or fewer of them`,
        { where, facts: { elements, operations, limit: MOST_ELEMENTS } },
      );
    },
  };
}

/** First `first`, then `second`. */
export function compose(first: LinearMap, second: LinearMap, budget: WorkBudget): LinearMap {
  if (first.kind === 'diagonal' && first.values === undefined) return second;
  if (second.kind === 'diagonal') return scaleOutputs(first, second.values, budget);
  if (first.kind === 'diagonal') return scaleInputs(first.values!, second, budget);
  if (first.kind === 'pool' && second.kind === 'convolution') {
    const merged = poolThenConvolve(first, second, budget);
    if (merged !== undefined) return merged;
  }
  return multiply(toSparse(first, budget), toSparse(second, budget), budget);
}

/** The sum of two maps between the same signals. */
export function addMaps(a: LinearMap, b: LinearMap, budget: WorkBudget): LinearMap {
  const [left, right] = [toSparse(a, budget), toSparse(b, budget)];
  budget.spend(left.weights.length + right.weights.length, left.weights.length + right.weights.length);
  return rowsOf(a.inputs, a.outputs, (row, add) => {
    for (const map of [left, right])
      for (let k = map.rowStart[row]!; k < map.rowStart[row + 1]!; k++) add(map.columns[k]!, map.weights[k]!);
  });
}

/** The map's outputs for these inputs. */
export function apply(map: LinearMap, values: Float64Array, budget: WorkBudget): Float64Array {
  const out = new Float64Array(map.outputs);
  if (map.kind === 'diagonal') return values.map((value, i) => value * (map.values?.[i] ?? 1));
  if (map.kind === 'dense') {
    budget.spend(map.weights.length, 0);
    for (let at = 0, i = 0; i < map.inputs; i++)
      for (let o = 0; o < map.outputs; o++) out[o]! += values[i]! * map.weights[at++]!;
    return out;
  }
  const rows = toSparse(map, budget);
  for (let i = 0; i < map.inputs; i++)
    for (let k = rows.rowStart[i]!; k < rows.rowStart[i + 1]!; k++)
      out[rows.columns[k]!]! += values[i]! * rows.weights[k]!;
  return out;
}

/** Multiplies every output by its factor; undefined leaves all as they are. */
export function scaleOutputs(map: LinearMap, factors: Float64Array | undefined, budget: WorkBudget): LinearMap {
  if (factors === undefined) return map;
  switch (map.kind) {
    case 'diagonal':
      return { ...map, values: factors.map((factor, i) => factor * (map.values?.[i] ?? 1)) };
    case 'dense':
      budget.spend(map.weights.length, map.weights.length);
      return { ...map, weights: map.weights.map((w, i) => w * factors[i % map.outputs]!) };
    case 'convolution': {
      const perChannel = sameWithinChannels(factors, map.outputShape);
      if (perChannel === undefined) break;
      const channels = map.outputShape[0];
      return { ...map, weights: map.weights.map((w, i) => w * perChannel[i % channels]!) };
    }
    case 'pool':
      if (factors.every((factor) => factor === factors[0])) return { ...map, scale: map.scale * factors[0]! };
      break;
    case 'sparse':
      break;
  }
  const rows = toSparse(map, budget);
  return { ...rows, weights: rows.weights.map((w, k) => w * factors[rows.columns[k]!]!) };
}

function scaleInputs(factors: Float64Array, map: Exclude<LinearMap, DiagonalMap>, budget: WorkBudget): LinearMap {
  switch (map.kind) {
    case 'dense':
      budget.spend(map.weights.length, map.weights.length);
      return { ...map, weights: map.weights.map((w, i) => w * factors[Math.floor(i / map.outputs)]!) };
    case 'convolution': {
      const perChannel = sameWithinChannels(factors, map.inputShape);
      if (perChannel === undefined) break;
      const each = map.weights.length / map.inputShape[0];
      return { ...map, weights: map.weights.map((w, i) => w * perChannel[Math.floor(i / each)]!) };
    }
    case 'pool':
      if (factors.every((factor) => factor === factors[0])) return { ...map, scale: map.scale * factors[0]! };
      break;
    case 'sparse':
      break;
  }
  const rows = toSparse(map, budget);
  const weights = rows.weights.slice();
  for (let i = 0; i < rows.inputs; i++)
    for (let k = rows.rowStart[i]!; k < rows.rowStart[i + 1]!; k++) weights[k]! *= factors[i]!;
  return { ...rows, weights };
}

function sameWithinChannels(values: Float64Array, [channels, height, width]: Shape): Float64Array | undefined {
  const plane = height * width;
  for (let i = 0; i < values.length; i++) if (values[i] !== values[Math.floor(i / plane) * plane]) return undefined;
  return Float64Array.from({ length: channels }, (_, c) => values[c * plane]!);
}

/**
 * Pooling and then convolving is one convolution with a larger kernel and stride, as long as no tap falls on pixels that the
 * pooling left out or that only the convolution's padding reaches.
 */
function poolThenConvolve(pool: PoolMap, conv: ConvolutionMap, budget: WorkBudget): ConvolutionMap | undefined {
  const channels = pool.inputShape[0];
  for (const axis of [0, 1] as const) {
    const size = pool.inputShape[axis + 1]!;
    const pooled = pool.outputShape[axis + 1]!;
    const [window, step, pad] = [pool.kernel[axis], pool.stride[axis], pool.padding[axis]];
    const first = -conv.padding[axis];
    const last = (conv.outputShape[axis + 1]! - 1) * conv.stride[axis] - conv.padding[axis] + conv.kernel[axis] - 1;
    // Pooled positions outside the pooled image count as 0; their windows must lie outside the image as well.
    if (first < 0 && -step - pad + window - 1 >= 0) return undefined;
    if (last >= pooled && pooled * step - pad < size) return undefined;
  }
  const kernel = [0, 1].map((axis) => (conv.kernel[axis]! - 1) * pool.stride[axis]! + pool.kernel[axis]!) as [
    number,
    number,
  ];
  const outChannels = conv.outputShape[0];
  const count = channels * kernel[0] * kernel[1] * outChannels;
  budget.spend(conv.weights.length * pool.kernel[0] * pool.kernel[1], count);
  const weights = new Float64Array(count);
  for (let c = 0; c < channels; c++)
    for (let ky = 0; ky < conv.kernel[0]; ky++)
      for (let kx = 0; kx < conv.kernel[1]; kx++)
        for (let py = 0; py < pool.kernel[0]; py++)
          for (let px = 0; px < pool.kernel[1]; px++) {
            const [y, x] = [ky * pool.stride[0] + py, kx * pool.stride[1] + px];
            const to = ((c * kernel[0] + y) * kernel[1] + x) * outChannels;
            const from = ((c * conv.kernel[0] + ky) * conv.kernel[1] + kx) * outChannels;
            for (let o = 0; o < outChannels; o++) weights[to + o]! += conv.weights[from + o]! * pool.scale;
          }
  return {
    kind: 'convolution',
    inputs: pool.inputs,
    outputs: conv.outputs,
    weights,
    kernel,
    stride: [conv.stride[0] * pool.stride[0], conv.stride[1] * pool.stride[1]],
    padding: [conv.padding[0] * pool.stride[0] + pool.padding[0], conv.padding[1] * pool.stride[1] + pool.padding[1]],
    inputShape: pool.inputShape,
    outputShape: conv.outputShape,
  };
}

/** Any map as rows; zeros of matrices and kernels are left out. */
export function toSparse(map: LinearMap, budget: WorkBudget): SparseMap {
  switch (map.kind) {
    case 'sparse':
      return map;
    case 'diagonal':
      budget.spend(map.inputs, map.inputs);
      return rowsOf(map.inputs, map.outputs, (row, add) => add(row, map.values?.[row] ?? 1));
    case 'dense':
      budget.spend(map.weights.length, map.weights.length);
      return rowsOf(map.inputs, map.outputs, (row, add) => {
        for (let o = 0; o < map.outputs; o++) add(o, map.weights[row * map.outputs + o]!);
      });
    case 'convolution':
    case 'pool': {
      const channels = map.kind === 'pool' ? 1 : map.outputShape[0];
      const taps = Math.ceil(map.kernel[0] / map.stride[0]) * Math.ceil(map.kernel[1] / map.stride[1]) * channels;
      budget.spend(map.inputs * (taps + map.kernel[0] * map.kernel[1]), map.inputs * taps);
      const [, inHeight, inWidth] = map.inputShape;
      return rowsOf(map.inputs, map.outputs, (row, add) => {
        const x = row % inWidth;
        const y = Math.floor(row / inWidth) % inHeight;
        const c = Math.floor(row / (inWidth * inHeight));
        forEachTap(map, y, x, (tap, place, plane) => {
          if (map.kind === 'pool') add(c * plane + place, map.scale);
          else
            for (let o = 0; o < channels; o++)
              add(o * plane + place, map.weights[(c * map.kernel[0] * map.kernel[1] + tap) * channels + o]!);
        });
      });
    }
  }
}

/** Calls `visit` for every output position under which pixel (y, x) lies: the tap's number, the position, positions per channel. */
export function forEachTap(
  { kernel, stride, padding, outputShape }: Pick<PoolMap, 'kernel' | 'stride' | 'padding' | 'outputShape'>,
  y: number,
  x: number,
  visit: (tap: number, place: number, plane: number) => void,
): void {
  const [, height, width] = outputShape;
  for (let ky = (y + padding[0]) % stride[0]; ky < kernel[0]; ky += stride[0]) {
    const oy = (y + padding[0] - ky) / stride[0];
    if (oy < 0 || oy >= height) continue;
    for (let kx = (x + padding[1]) % stride[1]; kx < kernel[1]; kx += stride[1]) {
      const ox = (x + padding[1] - kx) / stride[1];
      if (ox >= 0 && ox < width) visit(ky * kernel[1] + kx, oy * width + ox, height * width);
    }
  }
}

/** Rows from a function that adds the elements of one row, in any order; what adds up to 0 is left out. */
export function rowsOf(
  inputs: number,
  outputs: number,
  row: (row: number, add: (column: number, weight: number) => void) => void,
): SparseMap {
  const sums = new Float64Array(outputs);
  const seen = new Uint8Array(outputs);
  let touched: number[] = [];
  const rowStart = new Uint32Array(inputs + 1);
  let columns = new Uint32Array(1024);
  let weights = new Float64Array(1024);
  let count = 0;
  const add = (column: number, weight: number): void => {
    if (weight === 0) return;
    sums[column]! += weight;
    if (seen[column] === 0) {
      seen[column] = 1;
      touched.push(column);
    }
  };
  for (let i = 0; i < inputs; i++) {
    row(i, add);
    if (count + touched.length > columns.length) {
      const size = 2 * (count + touched.length);
      const [moreColumns, moreWeights] = [new Uint32Array(size), new Float64Array(size)];
      moreColumns.set(columns);
      moreWeights.set(weights);
      [columns, weights] = [moreColumns, moreWeights];
    }
    touched.sort((a, b) => a - b);
    for (const column of touched) {
      if (sums[column] !== 0) {
        columns[count] = column;
        weights[count++] = sums[column]!;
      }
      sums[column] = 0;
      seen[column] = 0;
    }
    touched = [];
    rowStart[i + 1] = count;
  }
  return {
    kind: 'sparse',
    inputs,
    outputs,
    rowStart,
    columns: columns.slice(0, count),
    weights: weights.slice(0, count),
  };
}

function multiply(a: SparseMap, b: SparseMap, budget: WorkBudget): LinearMap {
  let work = 0;
  for (let k = 0; k < a.columns.length; k++) work += b.rowStart[a.columns[k]! + 1]! - b.rowStart[a.columns[k]!]!;
  budget.spend(work, Math.min(work, a.inputs * b.outputs));
  const product = rowsOf(a.inputs, b.outputs, (row, add) => {
    for (let k = a.rowStart[row]!; k < a.rowStart[row + 1]!; k++) {
      const [middle, weight] = [a.columns[k]!, a.weights[k]!];
      for (let m = b.rowStart[middle]!; m < b.rowStart[middle + 1]!; m++) add(b.columns[m]!, weight * b.weights[m]!);
    }
  });
  const cells = a.inputs * b.outputs;
  if (product.weights.length < DENSE_FROM * cells) return product;
  const weights = new Float64Array(cells);
  for (let i = 0; i < product.inputs; i++)
    for (let k = product.rowStart[i]!; k < product.rowStart[i + 1]!; k++)
      weights[i * product.outputs + product.columns[k]!] = product.weights[k]!;
  return { kind: 'dense', inputs: product.inputs, outputs: product.outputs, weights };
}

/** The rows for which `keep` holds; the others become empty. */
export function keepInputs(map: LinearMap, keep: (input: number) => boolean, budget: WorkBudget): SparseMap {
  const rows = toSparse(map, budget);
  return rowsOf(map.inputs, map.outputs, (row, add) => {
    if (keep(row))
      for (let k = rows.rowStart[row]!; k < rows.rowStart[row + 1]!; k++) add(rows.columns[k]!, rows.weights[k]!);
  });
}
