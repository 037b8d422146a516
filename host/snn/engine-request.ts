/** What a run may be asked for, and the check of it against the network: nothing touches a device before it has passed. */
import { TuttiError } from '../errors.js';
import { safeSteps } from './bounds.js';
import { populationOf } from './engine-plan.js';
import { fires, type FixedPopulation, type FloatPopulation, type Population, type SpikingNetwork } from './network.js';
import { checkCurrent, checkSpikeTrain, invalid, type Current, type SpikeTrain } from './spike-train.js';
import { inputRange } from './validate.js';

export interface MembraneRequest {
  readonly population: string;
  /** Default: all of them. */
  readonly neurons?: readonly number[] | Uint32Array;
}

export interface RunRequest {
  /** A `SpikeTrain` for every input population; a `Current` for any other population that is to be driven directly. */
  readonly inputs?: Readonly<Record<string, SpikeTrain | Current>>;
  /** Default: the longest input. Shorter inputs fall silent; of longer ones the first `steps` steps are taken. */
  readonly steps?: number;
  /** Number of samples, at most the engine's. Default: that of the inputs. */
  readonly batch?: number;
  readonly record?: {
    /** Populations whose spikes are wanted step by step. */
    readonly spikes?: readonly string[];
    /** Populations whose membrane potentials are wanted step by step. */
    readonly membrane?: readonly MembraneRequest[];
    /** Populations whose membrane potentials are wanted at the end. */
    readonly final?: readonly string[];
  };
  /** Go on from where the last run ended (potentials, refractoriness, spikes under way). Default: start afresh. */
  readonly continue?: boolean;
}

export interface CheckedRequest {
  readonly steps: number;
  readonly batch: number;
  readonly trains: ReadonlyMap<string, SpikeTrain>;
  readonly currents: ReadonlyMap<string, Current>;
  readonly spikes: ReadonlySet<string>;
  readonly membranes: ReadonlyMap<string, Uint32Array>;
  readonly final: readonly string[];
  readonly continues: boolean;
}

/** Step numbers are signed 32-bit in kernels. */
const MOST_STEPS = 2 ** 31 - 1;

/** @throws TuttiError INPUT_INVALID whose `where` is the path in the request. `done`: steps of this state so far. */
export function checkRequest(
  network: SpikingNetwork,
  capacity: number,
  request: RunRequest,
  last?: { step: number; batch: number },
): CheckedRequest {
  const inputs = request.inputs ?? {};
  const trains = new Map<string, SpikeTrain>();
  const currents = new Map<string, Current>();
  let extra = new Map<string, number>();
  let longest = 0;
  for (const [name, input] of Object.entries(inputs)) {
    const where = `inputs.${name}`;
    const population = knownPopulation(network, name, where);
    if (input?.kind === 'spikes') {
      if (population.model !== 'input') {
        throw invalid(
          where,
          `is a spike train, but "${name}" is a ${population.model} population; give trains to input populations, currents to the others`,
        );
      }
      const { maxPerStep } = checkSpikeTrain(input, where);
      if (maxPerStep > population.maxSpikesPerStep) {
        throw invalid(
          where,
          `holds ${maxPerStep} spikes of one neuron in one step; "${name}" allows ${population.maxSpikesPerStep}: raise its maxSpikesPerStep`,
        );
      }
      trains.set(name, input);
      longest = Math.max(longest, input.steps);
    } else if (input?.kind === 'current') {
      if (population.model === 'input') {
        throw invalid(
          where,
          `is a current, but "${name}" is an input population; give it a spike train, or the current to its target`,
        );
      }
      extra = extra.set(name, checkCurrent(input, network.numeric, where));
      if (
        input.receptor !== undefined &&
        !(population as FloatPopulation).receptors?.some(({ name: n }) => n === input.receptor)
      ) {
        throw invalid(`${where}.receptor`, `is "${input.receptor}", which "${name}" does not have`);
      }
      currents.set(name, input);
      if (input.frames > 1) longest = Math.max(longest, input.frames);
    } else throw invalid(where, 'is neither a SpikeTrain nor a Current; make one with an encoder');
    if (input.neurons !== population.size) {
      throw invalid(`${where}.neurons`, `is ${input.neurons}, but "${name}" has ${population.size} neurons`);
    }
  }
  for (const { name, model } of network.populations as readonly Population[]) {
    if (model === 'input' && !trains.has(name)) {
      throw invalid(
        `inputs.${name}`,
        'is missing; give every input population a spike train (silence() makes an empty one)',
      );
    }
  }

  const batch = checkBatch(request, inputs, capacity, last);
  const steps = request.steps ?? longest;
  if (!Number.isInteger(steps) || steps < 1) {
    throw invalid(
      'steps',
      request.steps === undefined
        ? 'is missing, and no input tells it'
        : `is ${String(steps)}; it must be a whole number of at least 1`,
    );
  }
  const total = steps + (last?.step ?? 0);
  if (total > MOST_STEPS)
    throw invalid(
      'steps',
      `would take this run to step ${total}, the last one possible is ${MOST_STEPS}; start afresh`,
    );
  checkOverflow(network, extra, total);

  for (const [name, train] of trains) {
    if (train.steps > steps) trains.set(name, { ...train, steps, index: train.index.subarray(0, 2 * steps * batch) });
  }
  for (const [name, current] of currents) {
    const values = current.values.subarray(0, steps * batch * current.neurons);
    if (current.frames > steps) currents.set(name, { ...current, frames: steps, values });
  }
  return { steps, batch, trains, currents, ...checkRecord(network, request), continues: request.continue ?? false };
}

function knownPopulation(network: SpikingNetwork, name: string, where: string): Population {
  const population = populationOf(network, name);
  if (population === undefined) {
    throw invalid(where, `names no population of this network; there are ${network.order.slice(0, 10).join(', ')}`);
  }
  return population;
}

function checkBatch(
  request: RunRequest,
  inputs: Readonly<Record<string, SpikeTrain | Current>>,
  capacity: number,
  last: { batch: number } | undefined,
): number {
  const [first] = Object.values(inputs);
  const batch = request.batch ?? first?.batch ?? last?.batch ?? capacity;
  if (!Number.isInteger(batch) || batch < 1 || batch > capacity) {
    throw invalid(
      'batch',
      `is ${String(batch)}; this engine takes 1 .. ${capacity} samples: create it with a larger batch, or give fewer`,
    );
  }
  for (const [name, input] of Object.entries(inputs)) {
    if (input.batch !== batch) throw invalid(`inputs.${name}.batch`, `is ${input.batch}, the run has ${batch} samples`);
  }
  if (last !== undefined && last.batch !== batch) {
    throw invalid('batch', `is ${batch}, but the run that this one continues had ${last.batch} samples`);
  }
  return batch;
}

function checkOverflow(network: SpikingNetwork, extra: ReadonlyMap<string, number>, steps: number): void {
  if (network.numeric !== 'fixed') return;
  let safe = network.maxSteps;
  let where = 'steps';
  const { populations, projections } = network;
  for (const [name, current] of extra) {
    const population = populationOf(network, name) as FixedPopulation;
    const own = safeSteps(population, inputRange(populations, projections, population), current);
    if (own < safe) where = `inputs.${name}`;
    safe = Math.min(safe, own);
  }
  if (steps > safe) {
    throw new TuttiError(
      'INPUT_INVALID',
      `${where}: a potential could leave int32 after ${safe} steps, this run reaches step ${steps}; start afresh sooner, or give the network a leak or smaller weights`,
      { where, facts: { maxSteps: safe } },
    );
  }
}

function checkRecord(
  network: SpikingNetwork,
  request: RunRequest,
): Pick<CheckedRequest, 'spikes' | 'membranes' | 'final'> {
  const record = request.record ?? {};
  const spikes = new Set<string>();
  (record.spikes ?? []).forEach((name, i) => {
    const where = `record.spikes[${i}]`;
    if (!fires(knownPopulation(network, name, where)))
      throw invalid(where, `is "${name}", a read-out that never fires`);
    spikes.add(name);
  });
  const membranes = new Map<string, Uint32Array>();
  (record.membrane ?? []).forEach(({ population: name, neurons }, i) => {
    const where = `record.membrane[${i}]`;
    const population = withPotential(network, name, where);
    if (membranes.has(name)) throw invalid(where, `asks for "${name}" a second time; put all neurons into one request`);
    const ids = neurons ?? Array.from({ length: population.size }, (_, n) => n);
    if (ids.length === 0) throw invalid(`${where}.neurons`, 'is empty; leave it out for all neurons');
    ids.forEach((id, k) => {
      if (!Number.isInteger(id) || id < 0 || id >= population.size) {
        throw invalid(`${where}.neurons[${k}]`, `is ${id}; "${name}" has neurons 0 .. ${population.size - 1}`);
      }
    });
    membranes.set(name, Uint32Array.from(ids));
  });
  const final = [...new Set(record.final ?? [])];
  final.forEach((name, i) => withPotential(network, name, `record.final[${i}]`));
  return { spikes, membranes, final };
}

function withPotential(network: SpikingNetwork, name: string, where: string): Population {
  const population = knownPopulation(network, name, where);
  if (population.model === 'input') throw invalid(where, `is "${name}", an input population; it has no membrane`);
  return population;
}
