/** What the linear nodes of a NIR graph do to a signal of a given shape: a linear map, a bias, the shape that comes out. */
import type { Shape } from '../network.js';
import { nodeError, volume, type NirArray, type NirLeaf } from './graph.js';
import { forEachTap, rowsOf, type LinearMap, type WorkBudget } from './linear-map.js';

export interface LinearEffect {
  /** Of what comes out. */
  readonly shape: readonly number[];
  /** The map, and a bias per output; undefined where there is none. */
  readonly make: (budget: WorkBudget) => { readonly map: LinearMap; readonly bias: Float64Array | undefined };
}

type LinearNode = Extract<
  NirLeaf,
  { readonly type: 'Affine' | 'Linear' | 'Scale' | 'Conv1d' | 'Conv2d' | 'SumPool2d' | 'AvgPool2d' | 'Flatten' }
>;

export function isLinear(node: { readonly type: string }): node is LinearNode {
  return ['Affine', 'Linear', 'Scale', 'Conv1d', 'Conv2d', 'SumPool2d', 'AvgPool2d', 'Flatten'].includes(node.type);
}

/** The shape that a node asks of its input by itself; undefined when any will do. */
export function wantedShape(node: { readonly type: string }): readonly number[] | undefined {
  const leaf = node as NirLeaf;
  switch (leaf.type) {
    case 'Affine':
    case 'Linear': {
      const { shape } = leaf.weight;
      return shape.length < 2 ? undefined : [...shape.slice(0, -2), shape.at(-1)!];
    }
    case 'Conv1d':
    case 'Conv2d':
      return leaf.input_shape === undefined
        ? undefined
        : [(leaf.weight.shape[1] ?? 1) * leaf.groups, ...leaf.input_shape];
    case 'Scale':
      return wanted(leaf.scale);
    case 'Delay':
      return wanted(leaf.delay);
    case 'Threshold':
      return wanted(leaf.threshold);
    case 'Flatten':
      return leaf.input_type;
    case 'I':
    case 'IF':
    case 'LI':
    case 'LIF':
    case 'CubaLI':
    case 'CubaLIF': {
      const arrays = Object.values(leaf).filter((value): value is NirArray => typeof value === 'object');
      return wanted(arrays.reduce((largest, array) => (array.data.length > largest.data.length ? array : largest)));
    }
    case 'Input':
    case 'Output':
    case 'SumPool2d':
    case 'AvgPool2d':
      return undefined;
  }
}

/** A single value may stand for all. */
function wanted({ shape }: NirArray): readonly number[] | undefined {
  return volume(shape) === 1 ? undefined : shape;
}

/** @throws TuttiError NETWORK_INVALID naming the node when the signal does not fit it */
export function linearEffect(name: string, node: LinearNode, shape: readonly number[]): LinearEffect {
  const size = volume(shape);
  const wrong = (what: string): Error => nodeError(name, node.type, what);
  switch (node.type) {
    case 'Affine':
    case 'Linear':
      return matrixEffect(name, node, size);
    case 'Scale': {
      const values = Float64Array.from(broadcast(name, node.type, 'scale', node.scale, shape));
      return {
        shape,
        make: () => ({ map: { kind: 'diagonal', inputs: size, outputs: size, values }, bias: undefined }),
      };
    }
    case 'Conv1d':
    case 'Conv2d':
      return convolutionEffect(name, node, shape);
    case 'SumPool2d':
    case 'AvgPool2d': {
      const [channels, height, width] = planeShape(shape, wrong);
      const kernel = pairOf(node.kernel_size, 'kernel_size', 1, wrong);
      const stride = pairOf(node.stride, 'stride', 1, wrong);
      const padding = pairOf(node.padding, 'padding', 0, wrong);
      const out = outputSize([height, width], kernel, stride, padding, wrong);
      const outputShape: Shape = [channels, ...out];
      const scale = node.type === 'SumPool2d' ? 1 : 1 / (kernel[0] * kernel[1]);
      const sizes = {
        inputs: size,
        outputs: volume(outputShape),
        inputShape: [channels, height, width] as const,
        outputShape,
      };
      return {
        shape: outputShape,
        make: () => ({ map: { kind: 'pool', scale, kernel, stride, padding, ...sizes }, bias: undefined }),
      };
    }
    case 'Flatten': {
      const rank = shape.length;
      const at = (dimension: number): number =>
        Math.min(Math.max(dimension < 0 ? dimension + rank : dimension, 0), rank - 1);
      const [start, end] = [at(node.start_dim), at(node.end_dim)];
      const flat = [
        ...shape.slice(0, start),
        volume(shape.slice(start, end + 1)),
        ...shape.slice(Math.max(end, start) + 1),
      ];
      return { shape: start <= end && rank > 0 ? flat : shape, make: () => ({ map: identity(size), bias: undefined }) };
    }
  }
}

export function identity(size: number): LinearMap {
  return { kind: 'diagonal', inputs: size, outputs: size, values: undefined };
}

/** Whether a parameter of shape `own` can stand for a signal of this shape by the rules of NumPy: lengths of 1 stand for any. */
export function spreads(own: readonly number[], shape: readonly number[]): boolean {
  const lead = shape.length - own.length;
  return lead >= 0 && own.every((length, i) => length === 1 || length === shape[lead + i]);
}

/**
 * A parameter for every element of a signal of this shape, by the rules of NumPy; a parameter with as many elements fits whatever
 * its shape.
 * @throws TuttiError NETWORK_INVALID
 */
export function broadcast(
  name: string,
  type: string,
  field: string,
  { shape: own, data }: NirArray,
  shape: readonly number[],
): Float32Array | Float64Array {
  const size = volume(shape);
  if (data.length === size) return data;
  const lead = shape.length - own.length;
  if (!spreads(own, shape) && data.length !== 1)
    throw nodeError(
      name,
      type,
      `has ${field} of shape [${own.join(', ')}], but ${size} elements of shape [${shape.join(', ')}] come in`,
    );
  const spread = data instanceof Float32Array ? new Float32Array(size) : new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let [rest, at, step] = [i, 0, 1];
    for (let d = shape.length - 1; d >= lead; d--) {
      const length = own[d - lead]!;
      if (length > 1) at += (rest % shape[d]!) * step;
      rest = Math.floor(rest / shape[d]!);
      step *= length;
    }
    spread[i] = data.length === 1 ? data[0]! : data[at]!;
  }
  return spread;
}

function matrixEffect(
  name: string,
  node: Extract<LinearNode, { readonly type: 'Affine' | 'Linear' }>,
  size: number,
): LinearEffect {
  const { shape, data } = node.weight;
  const wrong = (what: string): Error => nodeError(name, node.type, what);
  if (shape.length < 2) throw wrong(`has a weight of shape [${shape.join(', ')}]; it must be [..., out, in]`);
  const [outs, ins] = [shape.at(-2)!, shape.at(-1)!];
  const blocks = volume(shape.slice(0, -2));
  if (size !== blocks * ins)
    throw wrong(`takes ${blocks * ins} elements (weight [${shape.join(', ')}]), but ${size} come in`);
  const outputShape = [...shape.slice(0, -2), outs];
  const outputs = blocks * outs;
  const bias =
    node.type === 'Affine' ? Float64Array.from(broadcast(name, node.type, 'bias', node.bias, outputShape)) : undefined;
  const make = (budget: WorkBudget): ReturnType<LinearEffect['make']> => {
    budget.spend(data.length, data.length);
    const kept = bias?.some((value) => value !== 0) === true ? bias : undefined;
    if (blocks === 1) {
      const weights = new Float64Array(data.length);
      for (let o = 0; o < outs; o++) for (let i = 0; i < ins; i++) weights[i * outs + o] = data[o * ins + i]!;
      return { map: { kind: 'dense', inputs: size, outputs, weights }, bias: kept };
    }
    const map = rowsOf(size, outputs, (row, add) => {
      const [block, i] = [Math.floor(row / ins), row % ins];
      for (let o = 0; o < outs; o++) add(block * outs + o, data[(block * outs + o) * ins + i]!);
    });
    return { map, bias: kept };
  };
  return { shape: outputShape, make };
}

function convolutionEffect(
  name: string,
  node: Extract<LinearNode, { readonly type: 'Conv1d' | 'Conv2d' }>,
  shape: readonly number[],
): LinearEffect {
  const wrong = (what: string): Error => nodeError(name, node.type, what);
  const flat = node.type === 'Conv1d';
  const { weight, groups } = node;
  if (weight.shape.length !== (flat ? 3 : 4))
    throw wrong(`has a weight of shape [${weight.shape.join(', ')}]; it must be [out, in, ${flat ? 'x' : 'y, x'}]`);
  const [outChannels, perGroup] = weight.shape as [number, number];
  if (!(groups >= 1) || outChannels % groups !== 0)
    throw wrong(`has ${groups} groups for ${outChannels} output channels; they must divide them`);
  // One dimension is two with a height of 1.
  const two = (sizes: readonly number[], field: string, least: number, first: number): readonly [number, number] =>
    flat ? [first, oneOf(sizes, field, least, wrong)] : pairOf(sizes, field, least, wrong);
  const taps: readonly [number, number] = flat ? [1, weight.shape[2]!] : [weight.shape[2]!, weight.shape[3]!];
  const stride = two(node.stride, 'stride', 1, 1);
  const dilation = two(node.dilation, 'dilation', 1, 1);
  const [channels, height, width] = convolutionInput(node, shape, perGroup * groups, flat, wrong);

  // Dilated kernels are kernels with zeros in between. 'same' with an even number of taps pads one more behind than before:
  // a tap of 0 in front makes that even.
  const reach = [0, 1].map((a) => (taps[a]! - 1) * dilation[a]! + 1) as [number, number];
  const front: [number, number] = [0, 0];
  let padding: readonly [number, number] = [0, 0];
  if (node.padding === 'same') {
    if (stride[0] !== 1 || stride[1] !== 1) throw wrong("has padding 'same' with a stride, which is not defined");
    for (const a of [0, 1] as const) front[a] = (reach[a] - 1) % 2;
    padding = [Math.ceil((reach[0] - 1) / 2), Math.ceil((reach[1] - 1) / 2)];
  } else if (node.padding !== 'valid') padding = two(node.padding, 'padding', 0, 0);
  const kernel: readonly [number, number] = [reach[0] + front[0], reach[1] + front[1]];
  const out = outputSize([height, width], kernel, stride, padding, wrong);
  const inputShape: Shape = [channels, height, width];
  const outputShape: Shape = [outChannels, ...out];
  const plane = out[0] * out[1];
  const perOut = outChannels / groups;
  const at = (o: number, c: number, ky: number, kx: number): number =>
    weight.data[((o * perGroup + c) * taps[0] + ky) * taps[1] + kx]!;
  const sizes = { inputs: volume(inputShape), outputs: volume(outputShape) };
  const bias = broadcast(name, node.type, 'bias', node.bias, [outChannels]);
  const spread = (): Float64Array | undefined =>
    bias.some((value) => value !== 0)
      ? Float64Array.from({ length: sizes.outputs }, (_, i) => bias[Math.floor(i / plane)]!)
      : undefined;

  const full = (budget: WorkBudget): LinearMap => {
    budget.spend(weight.data.length, channels * kernel[0] * kernel[1] * outChannels);
    const weights = new Float64Array(channels * kernel[0] * kernel[1] * outChannels);
    for (let o = 0; o < outChannels; o++)
      for (let c = 0; c < channels; c++)
        for (let ky = 0; ky < taps[0]; ky++)
          for (let kx = 0; kx < taps[1]; kx++) {
            const [y, x] = [front[0] + ky * dilation[0], front[1] + kx * dilation[1]];
            weights[((c * kernel[0] + y) * kernel[1] + x) * outChannels + o] = at(o, c, ky, kx);
          }
    return { kind: 'convolution', ...sizes, weights, kernel, stride, padding, inputShape, outputShape };
  };
  // A grouped convolution as a full one would be mostly zeros.
  const grouped = (budget: WorkBudget): LinearMap => {
    const count = sizes.inputs * taps[0] * taps[1] * perOut;
    budget.spend(count, count);
    return rowsOf(sizes.inputs, sizes.outputs, (row, add) => {
      const [x, y, c] = [row % width, Math.floor(row / width) % height, Math.floor(row / (width * height))];
      const group = Math.floor(c / perGroup);
      forEachTap({ kernel, stride, padding, outputShape }, y, x, (tap, place) => {
        const ky = (Math.floor(tap / kernel[1]) - front[0]) / dilation[0];
        const kx = ((tap % kernel[1]) - front[1]) / dilation[1];
        if (ky < 0 || kx < 0 || !Number.isInteger(ky) || !Number.isInteger(kx)) return;
        for (let o = group * perOut; o < (group + 1) * perOut; o++) add(o * plane + place, at(o, c % perGroup, ky, kx));
      });
    });
  };
  return {
    shape: flat ? [outChannels, out[1]] : outputShape,
    make: (budget) => ({ map: groups === 1 ? full(budget) : grouped(budget), bias: spread() }),
  };
}

/** [channels, height, width] of what comes in; the node's own input_shape decides where the signal is flat. */
function convolutionInput(
  node: Extract<LinearNode, { readonly type: 'Conv1d' | 'Conv2d' }>,
  shape: readonly number[],
  channels: number,
  flat: boolean,
  wrong: (what: string) => Error,
): Shape {
  const dimensions = flat ? 2 : 3;
  const own = node.input_shape;
  const trimmed = shape.slice(0, Math.max(0, shape.length - dimensions)).every((length) => length === 1)
    ? shape.slice(-dimensions)
    : shape;
  const candidates = [trimmed, ...(own === undefined ? [] : [[channels, ...own]])];
  const found = candidates.find(
    (candidate) => candidate.length === dimensions && candidate[0] === channels && volume(candidate) === volume(shape),
  );
  if (found === undefined)
    throw wrong(
      `takes ${channels} channels${own === undefined ? '' : ` of [${own.join(', ')}]`}, but a signal of shape [${shape.join(', ')}] comes in`,
    );
  return flat ? [found[0]!, 1, found[1]!] : [found[0]!, found[1]!, found[2]!];
}

/** A shape as [channels, height, width]; leading dimensions of 1 (a batch of one) are dropped. */
function planeShape(shape: readonly number[], wrong: (what: string) => Error): Shape {
  const lead = shape.slice(0, -3);
  if (shape.length < 3 || lead.some((length) => length !== 1))
    throw wrong(`pools signals of shape [channels, height, width], but [${shape.join(', ')}] comes in`);
  return [shape.at(-3)!, shape.at(-2)!, shape.at(-1)!];
}

function oneOf(sizes: readonly number[], field: string, least: number, wrong: (what: string) => Error): number {
  if (sizes.length !== 1 || sizes[0]! < least || sizes[0]! > 4096)
    throw wrong(`has ${field} [${sizes.join(', ')}]; it must be one whole number in ${least} .. 4096`);
  return sizes[0]!;
}

function pairOf(
  sizes: readonly number[],
  field: string,
  least: number,
  wrong: (what: string) => Error,
): readonly [number, number] {
  const pair = sizes.length === 1 ? [sizes[0]!, sizes[0]!] : sizes;
  if (pair.length !== 2 || pair.some((size) => size < least || size > 4096))
    throw wrong(`has ${field} [${sizes.join(', ')}]; it must be one or two whole numbers in ${least} .. 4096`);
  return [pair[0]!, pair[1]!];
}

function outputSize(
  input: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number],
  padding: readonly [number, number],
  wrong: (what: string) => Error,
): readonly [number, number] {
  const size = (a: 0 | 1): number => Math.floor((input[a] + 2 * padding[a] - kernel[a]) / stride[a]) + 1;
  const out = [size(0), size(1)] as const;
  if (out[0] < 1 || out[1] < 1)
    throw wrong(`has a kernel of [${kernel.join(', ')}], larger than the padded input [${input.join(', ')}]`);
  return out;
}
