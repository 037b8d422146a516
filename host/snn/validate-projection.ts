/** Checks one projection of a description against the populations that it joins. */
import {
  anyFinite,
  fail,
  number,
  numbers,
  object,
  oneOf,
  onlyFields,
  pair,
  positive,
  shape,
  show,
  text,
  typedArray,
  wholeWithin,
  type Unknowns,
} from './checks.js';
import { toKernelOrder } from './connectivity.js';
import {
  fires,
  type Connectivity,
  type Population,
  type Projection,
  type ProjectionBase,
  type Shape,
  type Weights,
} from './network.js';
import { MOST_NEURONS } from './validate-population.js';

/** Longer delays than any simulation has; a ring of this many slots is refused by memory, not by us. */
const MOST_DELAY = 1_000_000;
const MOST_SYNAPSES = 2 ** 31;

const sharedFields = ['name', 'from', 'to', 'receptor', 'delay', 'kind', 'weights', 'maxDelay'];
const kindFields = {
  dense: [],
  sparse: ['rowStart', 'columns'],
  convolution: ['layout', 'kernel', 'stride', 'padding', 'inputShape', 'outputShape'],
} as const;
const fixedFields = ['bits', 'scale', 'shift'];

export function checkProjection(
  value: unknown,
  numeric: 'float32' | 'fixed',
  populations: ReadonlyMap<string, Population>,
  path: string,
): Projection {
  const given = object(value, path);
  const from = resolve(given.from, populations, `${path}.from`);
  const to = resolve(given.to, populations, `${path}.to`);
  if (to.model === 'input')
    fail(`${path}.to`, `is "${to.name}", an input population; inputs have no synapses of their own`);
  if (!fires(from)) fail(`${path}.from`, `is "${from.name}", a read-out ('${from.model}') that never fires`);
  const kind = oneOf(given.kind, ['dense', 'sparse', 'convolution'], `${path}.kind`);
  onlyFields(given, [...sharedFields, ...kindFields[kind], ...(numeric === 'fixed' ? fixedFields : [])], path);

  const delay = checkDelay(given.delay, from, from.name === to.name ? 1 : 0, `${path}.delay`);
  const base: ProjectionBase = {
    name: given.name === undefined ? `${from.name}->${to.name}` : text(given.name, `${path}.name`),
    from: from.name,
    to: to.name,
    receptor: checkReceptor(given.receptor, to, `${path}.receptor`),
    delay,
    maxDelay: typeof delay === 'number' ? delay : delay.reduce((a, b) => Math.max(a, b), 0),
  };
  if (numeric === 'float32') {
    const read = (): Weights => typedArray(given.weights, Float32Array, anyFinite, `${path}.weights`);
    return { ...base, ...checkConnectivity(given, kind, from, to, read, path) };
  }
  const bits = oneOf(given.bits ?? 8, [8, 4], `${path}.bits`);
  const range = bits === 8 ? wholeWithin(-128, 127) : wholeWithin(-8, 7);
  const read = (): Weights => typedArray(given.weights, Int8Array, range, `${path}.weights`);
  return {
    ...base,
    ...checkConnectivity(given, kind, from, to, read, path),
    bits,
    scale: number(given.scale, positive, `${path}.scale`, 1),
    shift: number(given.shift, wholeWithin(0, 23), `${path}.shift`, 0),
  };
}

function resolve(value: unknown, populations: ReadonlyMap<string, Population>, path: string): Population {
  const name = text(value, path);
  const population = populations.get(name);
  if (population === undefined) {
    const known = [...populations.keys()].slice(0, 10).map(show).join(', ');
    fail(
      path,
      `names ${show(name)}, which is not a population; there are ${known}${populations.size > 10 ? ', ...' : ''}`,
    );
  }
  return population;
}

function checkReceptor(value: unknown, to: Population, path: string): string | undefined {
  const receptors = 'receptors' in to ? (to.receptors ?? []) : [];
  if (value === undefined) {
    if (receptors.length > 1)
      fail(path, `is missing; "${to.name}" has ${receptors.map(({ name }) => show(name)).join(', ')}`);
    return receptors[0]?.name;
  }
  const name = text(value, path);
  if (receptors.length === 0)
    fail(path, `is ${show(name)}, but "${to.name}" (${to.model}) has no named receptors; leave it out`);
  if (!receptors.some((receptor) => receptor.name === name)) {
    fail(path, `is ${show(name)}; "${to.name}" has ${receptors.map((receptor) => show(receptor.name)).join(', ')}`);
  }
  return name;
}

function checkDelay(value: unknown, from: Population, otherwise: number, path: string): number | Uint32Array {
  const rule = wholeWithin(0, MOST_DELAY);
  if (value === undefined || typeof value === 'number') return number(value, rule, path, otherwise);
  const delays = typedArray(value, Uint32Array, rule, path);
  if (delays.length !== from.size) {
    fail(
      path,
      `holds ${delays.length} values for the ${from.size} neurons of "${from.name}"; give one number, or ${from.size}`,
    );
  }
  // One value for all is the simple case, however it was written.
  return delays.every((delay) => delay === delays[0]) ? delays[0]! : delays;
}

/** `read` checks the weights; it runs after the cheap checks of their number, so that a wrong size is said first. */
function checkConnectivity(
  given: Unknowns,
  kind: Connectivity['kind'],
  from: Population,
  to: Population,
  read: () => Weights,
  path: string,
): Connectivity {
  const count = numbers(given.weights, `${path}.weights`).length;
  if (count > MOST_SYNAPSES) fail(`${path}.weights`, `holds ${count} weights, the most is ${MOST_SYNAPSES}`);
  switch (kind) {
    case 'dense':
      if (count !== from.size * to.size) {
        fail(
          `${path}.weights`,
          `holds ${count} weights; ${from.size} x ${to.size} neurons need ${from.size * to.size}`,
        );
      }
      return { kind, weights: read() };
    case 'sparse':
      return { kind, ...checkRows(given, count, from, to, path), weights: read() };
    case 'convolution':
      return checkConvolution(given, count, from, to, read, path);
  }
}

function checkRows(
  given: Unknowns,
  count: number,
  from: Population,
  to: Population,
  path: string,
): { rowStart: Uint32Array; columns: Uint32Array } {
  const rowStart = typedArray(given.rowStart, Uint32Array, wholeWithin(0, MOST_SYNAPSES), `${path}.rowStart`);
  if (rowStart.length !== from.size + 1) {
    fail(
      `${path}.rowStart`,
      `holds ${rowStart.length} entries; ${from.size} pre-synaptic neurons need ${from.size + 1}`,
    );
  }
  if (rowStart[0] !== 0) fail(`${path}.rowStart[0]`, `must be 0, got ${rowStart[0]}`);
  if (rowStart[from.size] !== count) {
    fail(
      `${path}.rowStart[${from.size}]`,
      `is ${rowStart[from.size]}, but there are ${count} weights; they must be equal`,
    );
  }
  for (let pre = 0; pre < from.size; pre++) {
    const start = rowStart[pre]!;
    const end = rowStart[pre + 1]!;
    if (end < start || end > count)
      fail(`${path}.rowStart[${pre + 1}]`, `is ${end} after ${start}; row starts must not fall`);
  }
  const columns = typedArray(given.columns, Uint32Array, wholeWithin(0, to.size - 1), `${path}.columns`);
  if (columns.length !== count)
    fail(`${path}.columns`, `holds ${columns.length} entries for ${count} weights; they must be equal`);
  for (let pre = 0; pre < from.size; pre++) {
    for (let k = rowStart[pre]! + 1; k < rowStart[pre + 1]!; k++) {
      if (columns[k]! <= columns[k - 1]!) {
        fail(
          `${path}.columns[${k}]`,
          `is ${columns[k]} after ${columns[k - 1]}; columns must ascend strictly within a row (sparseFromEntries sorts and adds up)`,
        );
      }
    }
  }
  return { rowStart, columns };
}

function checkConvolution(
  given: Unknowns,
  count: number,
  from: Population,
  to: Population,
  read: () => Weights,
  path: string,
): Connectivity {
  const layout = oneOf(given.layout, ['inHeightWidthOut', 'outInHeightWidth'], `${path}.layout`);
  const size = wholeWithin(1, 4096);
  const kernel = pair(given.kernel, size, `${path}.kernel`);
  const stride = pair(given.stride, size, `${path}.stride`, [1, 1]);
  const padding = pair(given.padding, wholeWithin(0, 4096), `${path}.padding`, [0, 0]);
  const inputShape =
    given.inputShape === undefined ? from.shape : shape(given.inputShape, `${path}.inputShape`, MOST_NEURONS);
  if (inputShape === undefined) {
    return fail(
      `${path}.inputShape`,
      `is missing, and "${from.name}" has no shape; give [channels, height, width] in either place`,
    );
  }
  if (volume(inputShape) !== from.size) {
    fail(
      `${path}.inputShape`,
      `[${inputShape.join(', ')}] has ${volume(inputShape)} neurons, "${from.name}" has ${from.size}`,
    );
  }
  const [inChannels, inHeight, inWidth] = inputShape;
  const perChannel = inChannels * kernel[0] * kernel[1];
  const outChannels = count / perChannel;
  if (!Number.isInteger(outChannels) || outChannels < 1) {
    fail(
      `${path}.weights`,
      `holds ${count} weights, not a multiple of ${inChannels} channels x ${kernel[0]} x ${kernel[1]}`,
    );
  }
  const outHeight = Math.floor((inHeight + 2 * padding[0] - kernel[0]) / stride[0]) + 1;
  const outWidth = Math.floor((inWidth + 2 * padding[1] - kernel[1]) / stride[1]) + 1;
  if (outHeight < 1 || outWidth < 1) {
    fail(
      `${path}.kernel`,
      `[${kernel.join(', ')}] is larger than the padded input [${inHeight + 2 * padding[0]}, ${inWidth + 2 * padding[1]}]`,
    );
  }
  const outputShape: Shape = [outChannels, outHeight, outWidth];
  const expected =
    given.outputShape === undefined ? undefined : shape(given.outputShape, `${path}.outputShape`, MOST_NEURONS);
  for (const [wanted, where] of [
    [expected, `${path}.outputShape`] as const,
    [to.shape, `shape of "${to.name}"`] as const,
  ]) {
    if (wanted !== undefined && wanted.some((n, i) => n !== outputShape[i])) {
      fail(where, `is [${wanted.join(', ')}], but this convolution makes [${outputShape.join(', ')}]`);
    }
  }
  if (volume(outputShape) !== to.size) {
    fail(path, `makes [${outputShape.join(', ')}] = ${volume(outputShape)} neurons, "${to.name}" has ${to.size}`);
  }
  const weights = toKernelOrder(read(), layout, { inChannels, outChannels, kernel });
  return { kind: 'convolution', weights, layout: 'inHeightWidthOut', kernel, stride, padding, inputShape, outputShape };
}

function volume([channels, height, width]: Shape): number {
  return channels * height * width;
}
