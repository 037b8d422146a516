/**
 * `defineNetwork`: the one door into the room. Everything behind it (engine, files, training) trusts that a
 * `SpikingNetwork` is whole: names resolve, arrays fit, numbers are finite, fixed-point potentials cannot overflow.
 */
import { addProjectionRange, safeSteps, type InputRange } from './bounds.js';
import { fail, list, number, object, oneOf, onlyFields, positive, text, type Unknowns } from './checks.js';
import { countSynapses } from './connectivity.js';
import type {
  FixedNetwork,
  FixedPopulation,
  NetworkDescription,
  Population,
  Projection,
  SpikingNetwork,
} from './network.js';
import { checkPopulation } from './validate-population.js';
import { checkProjection } from './validate-projection.js';
import { orderPopulations } from './topology.js';

const defined = new WeakSet<object>();

/** Whether `network` came from `defineNetwork` in this process. */
export function isDefined(network: unknown): network is SpikingNetwork {
  return typeof network === 'object' && network !== null && defined.has(network);
}

/**
 * Checks a description and fills in its defaults.
 *
 * Typed arrays in it are kept, not copied: do not change them afterwards.
 * @throws TuttiError NETWORK_INVALID whose `where` is the path of what is wrong ("projections[2].weights[17]").
 */
export function defineNetwork(description: NetworkDescription): SpikingNetwork {
  if (isDefined(description)) return description;
  const given = object(description, 'network');
  const name = given.name === undefined ? 'network' : text(given.name, 'name');
  const numeric = oneOf(given.numeric, ['float32', 'fixed'], 'numeric');
  // `order`, `synapses` and `maxSteps` may be there: a SpikingNetwork that was copied is a description as well.
  const derived = ['order', 'synapses', 'maxSteps'];
  onlyFields(
    given,
    ['name', 'numeric', 'populations', 'projections', ...derived, ...(numeric === 'float32' ? ['dt'] : [])],
    'network',
  );
  const dt = numeric === 'float32' ? number(given.dt, positive, 'dt') : 0;

  const populations = checkPopulations(given, numeric, dt);
  const projections = checkProjections(given, numeric, populations);
  const names = populations.map((population) => population.name);
  const { order, cycle } = orderPopulations(names, projections.filter(hasImmediate));
  if (cycle !== undefined) {
    fail(
      'projections',
      `form a cycle without delay: ${cycle.join(' -> ')}; give at least one projection on it a delay of 1 step or more`,
    );
  }
  const synapses = projections.reduce((sum, projection) => sum + countSynapses(projection), 0);
  const shared = { name, order: order, synapses };
  const network = (
    numeric === 'float32'
      ? { ...shared, numeric, dt, populations, projections }
      : { ...shared, numeric, populations, projections, maxSteps: boundPotentials(populations, projections) }
  ) as SpikingNetwork;
  Object.freeze(network.populations);
  Object.freeze(network.projections);
  defined.add(Object.freeze(network));
  return network;
}

function checkPopulations(given: Unknowns, numeric: 'float32' | 'fixed', dt: number): Population[] {
  const populations = list(given.populations, 'populations').map((population, i) =>
    Object.freeze(checkPopulation(population, numeric, dt, `populations[${i}]`)),
  );
  if (populations.length === 0) fail('populations', 'is empty; a network needs at least one population');
  unique(populations, 'populations');
  return populations;
}

function checkProjections(
  given: Unknowns,
  numeric: 'float32' | 'fixed',
  populations: readonly Population[],
): Projection[] {
  const byName = new Map(populations.map((population) => [population.name, population]));
  const taken = new Set<string>();
  const projections = list(given.projections ?? [], 'projections').map((projection, i) => {
    const checked = checkProjection(projection, numeric, byName, `projections[${i}]`);
    // Two projections between the same populations are common; only names that somebody chose must differ by themselves.
    let { name } = checked;
    if ((projection as Unknowns).name === undefined) {
      for (let n = 2; taken.has(name); n++) name = `${checked.name} ${n}`;
    }
    taken.add(name);
    return Object.freeze({ ...checked, name });
  });
  unique(projections, 'projections');
  return projections;
}

function unique(items: readonly { readonly name: string }[], path: string): void {
  const seen = new Map<string, number>();
  items.forEach(({ name }, i) => {
    const first = seen.get(name);
    if (first !== undefined)
      fail(`${path}[${i}].name`, `is "${name}", as is ${path}[${first}].name; names must be unique`);
    seen.set(name, i);
  });
}

function hasImmediate(projection: Projection): boolean {
  return typeof projection.delay === 'number' ? projection.delay === 0 : projection.delay.includes(0);
}

function boundPotentials(populations: readonly Population[], projections: readonly Projection[]): number {
  let steps = Infinity;
  populations.forEach((population, i) => {
    if (population.model === 'input') return;
    const safe = safeSteps(population as FixedPopulation, inputRange(populations, projections, population));
    if (safe < 1) {
      fail(
        `populations[${i}]`,
        `("${population.name}") can overflow int32 in a single step: use smaller weights, a smaller shift, fewer synapses per neuron or a smaller threshold`,
      );
    }
    steps = Math.min(steps, safe);
  });
  return steps;
}

/** What the projections into `population` can add in a step; undefined when there are none. */
export function inputRange(
  populations: readonly Population[],
  projections: readonly Projection[],
  population: Population,
): InputRange | undefined {
  const incoming = projections.filter((projection) => projection.to === population.name);
  if (incoming.length === 0) return undefined;
  const range = { up: new Float64Array(population.size), down: new Float64Array(population.size) };
  for (const projection of incoming) {
    const source = populations.find(({ name }) => name === projection.from)!;
    addProjectionRange(
      range,
      projection as FixedNetwork['projections'][number],
      source.size,
      source.maxSpikesPerStep ?? 1,
    );
  }
  return range;
}
