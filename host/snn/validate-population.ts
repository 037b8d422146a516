/** Checks one population of a description. */
import {
  anyFinite,
  fail,
  int32,
  list,
  notNegative,
  number,
  object,
  oneOf,
  onlyFields,
  parameter,
  positive,
  shape,
  text,
  wholeWithin,
  type Rule,
  type Unknowns,
} from './checks.js';
import { floatConstants } from './dynamics.js';
import {
  valueAt,
  type CheckedReceptor,
  type CheckedReset,
  type FixedPopulation,
  type FloatPopulation,
  type InputPopulation,
  type Parameter,
  type Population,
  type Shape,
} from './network.js';

/** Neuron ids and step counts must be exact in f32, which some kernels hold them in. */
export const MOST_NEURONS = 2 ** 24;
const MOST_REFRACTORY_STEPS = 2 ** 24;
/** A ring has room for this many spikes of every neuron in every slot. */
const MOST_SPIKES_PER_STEP = 65_535;

interface Head {
  readonly name: string;
  readonly size: number;
  readonly shape: Shape | undefined;
}

const headFields = ['name', 'model', 'size', 'shape'];

export function checkPopulation(value: unknown, numeric: 'float32' | 'fixed', dt: number, path: string): Population {
  const given = object(value, path);
  const models =
    numeric === 'float32'
      ? (['input', 'lif', 'cubaLif', 'li', 'if', 'cubaLi', 'integrator'] as const)
      : (['input', 'lif', 'li', 'if'] as const);
  const model = oneOf(given.model, models, `${path}.model`);
  const head = checkHead(given, path);
  if (model === 'input') return checkInput(given, head, path);
  if (numeric === 'float32') return checkFloat(given, model, head, dt, path);
  return checkFixed(given, model as FixedPopulation['model'], head, path);
}

function checkHead(given: Unknowns, path: string): Head {
  const name = text(given.name, `${path}.name`);
  const checkedShape = given.shape === undefined ? undefined : shape(given.shape, `${path}.shape`, MOST_NEURONS);
  const volume = checkedShape === undefined ? undefined : checkedShape[0] * checkedShape[1] * checkedShape[2];
  if (given.size === undefined && volume === undefined) fail(`${path}.size`, 'is missing; give size or shape');
  const size = number(given.size, wholeWithin(1, MOST_NEURONS), `${path}.size`, volume);
  if (volume !== undefined && volume !== size) {
    fail(`${path}.size`, `is ${size}, but shape [${checkedShape!.join(', ')}] has ${volume} neurons`);
  }
  return { name, size, shape: checkedShape };
}

function checkInput(given: Unknowns, head: Head, path: string): InputPopulation {
  onlyFields(given, [...headFields, 'maxSpikesPerStep'], path);
  const maxSpikesPerStep = number(given.maxSpikesPerStep, wholeWithin(1, 2 ** 24), `${path}.maxSpikesPerStep`, 1);
  return { model: 'input', ...head, maxSpikesPerStep };
}

function checkReset(given: Unknowns, rule: Rule, size: number, path: string, crossing: boolean): CheckedReset {
  if (given.reset === undefined) return { kind: 'value', value: 0 };
  const reset = object(given.reset, `${path}.reset`);
  const kind = oneOf(
    reset.kind,
    crossing ? (['value', 'subtract', 'crossing'] as const) : (['value', 'subtract'] as const),
    `${path}.reset.kind`,
  );
  onlyFields(reset, kind === 'subtract' ? ['kind'] : ['kind', 'value'], `${path}.reset`);
  if (kind === 'subtract') return { kind };
  return { kind, value: parameter(reset.value, rule, size, `${path}.reset.value`, 0) };
}

/** Lowering by a threshold of 0 or less would raise the potential, and the neuron would never be at rest. */
function checkSubtractable(threshold: Parameter, reset: CheckedReset | undefined, size: number, path: string): void {
  if (reset?.kind !== 'subtract') return;
  for (let n = 0; n < (typeof threshold === 'number' ? 1 : size); n++) {
    if (valueAt(threshold, n) <= 0) {
      fail(
        `${path}.threshold${typeof threshold === 'number' ? '' : `[${n}]`}`,
        'must be above 0 for a reset by subtraction',
      );
    }
  }
}

/** Several spikes in one step are defined by what a spike takes away, and leave no room for a refractory time. */
function checkMaxSpikes(given: Unknowns, reset: CheckedReset, refractory: Parameter, path: string): number {
  const most = number(given.maxSpikesPerStep, wholeWithin(1, MOST_SPIKES_PER_STEP), `${path}.maxSpikesPerStep`, 1);
  if (most === 1) return most;
  if (reset.kind !== 'subtract')
    fail(`${path}.maxSpikesPerStep`, `is ${most}; more than 1 needs reset { kind: 'subtract' }`);
  const held = typeof refractory === 'number' ? refractory > 0 : refractory.some((value) => value > 0);
  if (held) fail(`${path}.maxSpikesPerStep`, `is ${most}; a neuron with a refractory time fires once a step at most`);
  return most;
}

function checkFloat(
  given: Unknowns,
  model: FloatPopulation['model'],
  head: Head,
  dt: number,
  path: string,
): FloatPopulation {
  const leaks = model !== 'if' && model !== 'integrator';
  const spiking = model !== 'li' && model !== 'cubaLi' && model !== 'integrator';
  const exponential = model === 'cubaLif' || model === 'cubaLi';
  onlyFields(
    given,
    [
      ...headFields,
      ...(leaks ? ['tau', 'leak'] : []),
      ...(spiking ? ['threshold', 'reset', 'refractory', 'maxSpikesPerStep'] : []),
      ...(exponential ? ['receptors'] : ['synapse']),
      'resistance',
      'bias',
      'initial',
    ],
    path,
  );
  const { size } = head;
  const read = (field: string, rule: Rule, otherwise?: Parameter): Parameter =>
    parameter(given[field], rule, size, `${path}.${field}`, otherwise);
  const reset = spiking ? checkReset(given, anyFinite, size, path, model !== 'cubaLif') : undefined;
  const leak = leaks ? read('leak', anyFinite, 0) : undefined;
  const threshold = spiking ? read('threshold', anyFinite) : undefined;
  if (threshold !== undefined) checkSubtractable(threshold, reset, size, path);
  const refractory = spiking ? read('refractory', notNegative, 0) : undefined;
  const longest =
    typeof refractory === 'object'
      ? (refractory as Float32Array).reduce((a, b) => Math.max(a, b), 0)
      : (refractory ?? 0);
  if (longest / dt > MOST_REFRACTORY_STEPS) {
    fail(`${path}.refractory`, `is ${longest} s, more than ${MOST_REFRACTORY_STEPS} steps of ${dt} s`);
  }
  if (reset?.kind === 'crossing' && (longest > 0 || given.synapse === 'delta')) {
    fail(`${path}.reset.kind`, "'crossing' needs synapse 'current' and no refractory time");
  }
  const population: FloatPopulation = {
    model,
    ...head,
    tau: leaks ? read('tau', positive) : undefined,
    resistance: read('resistance', anyFinite, 1),
    leak,
    bias: read('bias', anyFinite, 0),
    initial: read('initial', anyFinite, leak ?? 0),
    threshold,
    reset,
    refractory,
    maxSpikesPerStep: spiking ? checkMaxSpikes(given, reset!, refractory!, path) : undefined,
    synapse: exponential ? undefined : oneOf(given.synapse ?? 'current', ['current', 'delta'], `${path}.synapse`),
    receptors: exponential ? checkReceptors(given, size, path) : undefined,
  };
  // Each number is fine by itself, but products of huge ones are not.
  if (!floatConstants(population, dt).values.every(Number.isFinite)) {
    fail(
      path,
      'has parameters whose products leave single precision (resistance, weightScale, leak, bias); use smaller units',
    );
  }
  return population;
}

function checkReceptors(given: Unknowns, size: number, path: string): readonly CheckedReceptor[] {
  const receptors = list(given.receptors, `${path}.receptors`);
  if (receptors.length === 0) fail(`${path}.receptors`, 'is empty; a population with receptors needs at least one');
  if (receptors.length > 16) fail(`${path}.receptors`, `has ${receptors.length} entries, the most is 16`);
  const checked = receptors.map((value, i) => {
    const at = `${path}.receptors[${i}]`;
    const receptor = object(value, at);
    onlyFields(receptor, ['name', 'tau', 'weightScale'], at);
    return {
      name: text(receptor.name, `${at}.name`),
      tau: parameter(receptor.tau, positive, size, `${at}.tau`),
      weightScale: parameter(receptor.weightScale, anyFinite, size, `${at}.weightScale`, 1),
    };
  });
  checked.forEach(({ name }, i) => {
    if (checked.findIndex((other) => other.name === name) !== i) {
      fail(`${path}.receptors[${i}].name`, `is "${name}" a second time; receptor names must be unique`);
    }
  });
  return checked;
}

function checkFixed(given: Unknowns, model: FixedPopulation['model'], head: Head, path: string): FixedPopulation {
  const spiking = model !== 'li';
  onlyFields(
    given,
    [
      ...headFields,
      ...(model === 'if' ? [] : ['leakShift']),
      ...(spiking ? ['threshold', 'reset', 'refractorySteps', 'maxSpikesPerStep'] : []),
      'bias',
      'initial',
    ],
    path,
  );
  const { size } = head;
  const read = (field: string, rule: Rule, otherwise?: Parameter): Parameter =>
    parameter(given[field], rule, size, `${path}.${field}`, otherwise);
  const reset = spiking ? checkReset(given, int32, size, path, false) : undefined;
  const threshold = spiking ? read('threshold', int32) : undefined;
  if (threshold !== undefined) checkSubtractable(threshold, reset, size, path);
  const refractorySteps = spiking ? read('refractorySteps', wholeWithin(0, MOST_REFRACTORY_STEPS), 0) : undefined;
  return {
    model,
    ...head,
    leakShift:
      model === 'lif'
        ? read('leakShift', wholeWithin(1, 30))
        : model === 'li'
          ? read('leakShift', wholeWithin(0, 30), 0)
          : undefined,
    bias: read('bias', int32, 0),
    initial: read('initial', int32, 0),
    threshold,
    reset,
    refractorySteps,
    maxSpikesPerStep: spiking ? checkMaxSpikes(given, reset!, refractorySteps!, path) : undefined,
  };
}
