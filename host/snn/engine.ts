/**
 * Runs a spiking network. The engine keeps the network on a device, queues runs, and, when it was given a pool instead of
 * a device, survives the loss of devices: it moves to another one and runs the work again from host memory.
 */
import { DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type { Device, LongCallOptions } from '../device/device.js';
import type { CompileOptions } from './compile/compile.js';
import { fanOut, countSynapses } from './connectivity.js';
import { createResidence, type EngineHome } from './engine-home.js';
import { automaticStrategy, layProjection, populationOf, strategiesFor, type Strategy } from './engine-plan.js';
import { checkRequest, type CheckedRequest, type RunRequest } from './engine-request.js';
import { runOnState, type RunOutputs, type RunPosition } from './engine-run.js';
import { createDeviceState, type DeviceState, type Snapshot } from './engine-state.js';
import { type NetworkDescription, type Population, type Projection, type SpikingNetwork } from './network.js';
import { joinTrains, sliceTrain, type SpikeTrain } from './spike-train.js';
import { countSynapticEvents } from './synaptic-events.js';
import { defineNetwork } from './validate.js';

/**
 * How a projection is run. 'auto' decides by the stored density of its weights, 'measure' tries every possible strategy on
 * the first run's own data and keeps the fastest.
 */
export type StrategyChoice = 'auto' | 'measure' | Strategy;

/**
 * 'scatter': kernel by kernel. 'machine': compiled for a synapse machine (docs/suprasnn.md) and run as a program; for fixed-point networks
 * without currents, and no run continues another. 'measure': tries both on the first run and keeps the faster.
 */
export type Execution = 'scatter' | 'machine' | 'measure';

export interface EngineOptions extends LongCallOptions {
  /** Largest number of samples in one run. Default 1. */
  readonly batch?: number;
  /** One choice for all projections, or by projection name (others 'auto'). Default 'auto'. */
  readonly strategy?: StrategyChoice | Readonly<Record<string, StrategyChoice>>;
  /**
   * 'auto' (default): homogeneous 'cubaLif' populations whose synapses are scattered run in decay-free form, which is several
   * times faster and equal up to rounding. 'general': every population runs the general kernel.
   */
  readonly neurons?: 'auto' | 'general';
  /** Bytes of inputs and recordings buffered on the device at a time; longer runs are cut into stretches. Default 16 MiB. */
  readonly stretchBytes?: number;
  /** With a pool: how many devices may be lost during one run before it fails. Default 5. */
  readonly maxReplays?: number;
  /** Default: 'machine' on devices of kind 'fpga', which run nothing else; otherwise 'scatter'. */
  readonly execution?: Execution;
  /** For 'machine' and 'measure': machine, partition strategy, calibration. A board's own machine comes before `machine`. */
  readonly compile?: CompileOptions;
}

export interface RunResult extends RunOutputs {
  readonly steps: number;
  readonly batch: number;
  /** Number of the first step since the last fresh start; 0 unless the run continued another. */
  readonly firstStep: number;
  /** For every spike of the run, the non-zero synapses that it leaves through. */
  readonly synapticEvents: number;
  /** Wall time, from inputs in host memory to results in host memory. */
  readonly seconds: number;
}

export interface SpikingEngine {
  readonly network: SpikingNetwork;
  /** The device that it is on at the moment. */
  readonly device: Device;
  readonly batch: number;
  /** How it runs the network; what was measured to be faster, once that has been measured. */
  readonly execution: 'scatter' | 'machine';
  /** The strategy of each projection ('scatter' only); after 'measure' the one that won. */
  readonly strategies: Readonly<Record<string, Strategy>>;
  /**
   * Runs the network; runs asked for at the same time wait for each other. Inputs may be reused once it resolves.
   * @throws TuttiError INPUT_INVALID (nothing ran), ABORTED, MEMORY_REFUSED, DEVICE_CLOSED; DeviceLostError without a pool,
   *   or when the pool cannot help. After an error the next run must start afresh.
   */
  run(request: RunRequest, options?: LongCallOptions): Promise<RunResult>;
  /** Waits for runs in progress, then releases all device memory (and the lease). Idempotent. The device stays open. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_STRETCH_BYTES = 2 ** 24;
/** A first run is tried over this many steps at most when strategies are measured. */
const MEASURED_STEPS = 64;

/**
 * Puts a network on a device.
 * @throws TuttiError NETWORK_INVALID, OPTION_INVALID, MEMORY_REFUSED, LIMIT_EXCEEDED, ABORTED; nothing stays allocated then.
 */
export async function createEngine(
  description: SpikingNetwork | NetworkDescription,
  home: EngineHome,
  options: EngineOptions = {},
): Promise<SpikingEngine> {
  const network = defineNetwork(description as NetworkDescription);
  const batch = positiveWhole(options.batch ?? 1, 'batch');
  const stretchBytes = positiveWhole(options.stretchBytes ?? DEFAULT_STRETCH_BYTES, 'stretchBytes');
  const maxReplays = positiveWhole(options.maxReplays ?? 5, 'maxReplays');
  const execution = executionOn(home, options.execution);
  if (execution !== 'scatter') {
    const { createMachineEngine, createMeasuredEngine } = await import('./machine-engine.js');
    return execution === 'machine'
      ? createMachineEngine(network, home, options)
      : createMeasuredEngine(network, home, options, createEngine);
  }
  const choices = resolveChoices(network, options.strategy ?? 'auto');
  const strategies = new Map(network.projections.map((p) => [p.name, firstStrategy(network, p, choices.get(p.name)!)]));
  const neurons = options.neurons ?? 'auto';
  if (neurons !== 'auto' && neurons !== 'general') {
    throw new TuttiError('OPTION_INVALID', `neurons must be 'auto' or 'general', got ${JSON.stringify(neurons)}`, {
      where: 'neurons',
    });
  }
  let decayFree = neurons === 'auto' && ![...choices.values()].includes('measure');
  let unmeasured = network.projections.filter(({ name }) => choices.get(name) === 'measure');
  const fanOuts = new Map(
    (network.populations as readonly Population[]).map(({ name }) => [name, fanOutOf(network, name)]),
  );

  const residence = createResidence<DeviceState>(home, {
    what: `network "${network.name}"`,
    maxReplays,
    bytes: () => estimateBytes(network, strategies, batch),
    make: (device, call) => createDeviceState(device, network, batch, strategies, { ...call, decayFree }),
  });

  // Where the state on the device stands, and how to get there again.
  let position: RunPosition = { step: 0, history: new Map() };
  let lastBatch: number | undefined;
  let snapshot: Snapshot | undefined;
  /** The fresh run that came last, in case that its end state must be made again. */
  let fresh: CheckedRequest | undefined;
  let closed = false;
  let queue: Promise<unknown> = Promise.resolve();

  const execute = async (asked: CheckedRequest, call: LongCallOptions): Promise<RunOutputs> => {
    const request = home.pool === undefined ? asked : ownCopy(asked);
    const from: RunPosition = request.continues ? position : { step: 0, history: new Map() };
    return residence.surviving(async () => {
      const driven = [...request.currents.keys()].find((name) => residence.state?.decayFree.has(name));
      if (driven !== undefined) {
        // The decay-free form has no place for a current; from here on the general one is used.
        if (request.continues) {
          throw new TuttiError(
            'INPUT_INVALID',
            `inputs.${driven}: a run that continues cannot begin to drive a population that ran without current so far; create the engine with neurons: 'general'`,
            { where: `inputs.${driven}` },
          );
        }
        decayFree = false;
        residence.drop();
      }
      const had = residence.state !== undefined;
      const on = await residence.ready(call);
      if (!had && request.continues) await rebuild(on, call);
      if (unmeasured.length > 0) {
        await measure(network, on, request, unmeasured, stretchBytes, call);
        unmeasured = [];
        on.strategies.forEach((strategy, name) => strategies.set(name, strategy));
      }
      const outputs = await runOnState(network, on, request, from, stretchBytes, call);
      const end = from.step + request.steps;
      const history = lastSpikes(on, request, from);
      if (home.pool !== undefined) {
        snapshot = request.continues ? await on.snapshot(end, request.batch) : undefined;
        fresh = request.continues ? undefined : request;
      }
      position = { step: end, history };
      lastBatch = request.batch;
      return outputs;
    }, call);
  };

  /** Brings a new device to where the lost one stood. */
  const rebuild = async (on: DeviceState, call: LongCallOptions): Promise<void> => {
    if (snapshot !== undefined) on.restore(snapshot);
    else if (fresh !== undefined) {
      await runOnState(network, on, withoutRecording(fresh), { step: 0, history: new Map() }, stretchBytes, {
        signal: call.signal,
      });
    }
  };

  const run = async (request: RunRequest, call: LongCallOptions): Promise<RunResult> => {
    if (closed)
      throw new TuttiError('DEVICE_CLOSED', `the engine of network "${network.name}" was closed; create a new one`);
    throwIfAborted(call.signal, `running network "${network.name}"`);
    const last = request.continue === true ? { step: position.step, batch: lastBatch ?? batch } : undefined;
    if (last !== undefined && lastBatch === undefined) {
      throw new TuttiError('INPUT_INVALID', 'continue: there is no finished run to go on from; run without it first', {
        where: 'continue',
      });
    }
    const checked = checkRequest(network, batch, request, last);
    const began = performance.now();
    const firstStep = last?.step ?? 0;
    try {
      const outputs = await execute(checked, call);
      const seconds = (performance.now() - began) / 1000;
      const synapticEvents = countSynapticEvents(fanOuts, checked.trains, outputs.spikeCounts);
      return { ...outputs, steps: checked.steps, batch: checked.batch, firstStep, synapticEvents, seconds };
    } catch (error) {
      // The state on the device is somewhere in the middle of a run.
      lastBatch = undefined;
      snapshot = undefined;
      fresh = undefined;
      if (error instanceof DeviceLostError) residence.drop();
      throw error;
    }
  };

  const close = async (): Promise<void> => {
    closed = true;
    await queue;
    residence.drop();
  };

  await residence.surviving(() => residence.ready(options), options);
  return {
    network,
    batch,
    execution: 'scatter',
    get device() {
      return residence.device!;
    },
    get strategies() {
      return Object.fromEntries(strategies);
    },
    run(request, call = {}) {
      const result = queue.then(() => run(request, call));
      queue = result.catch(() => {});
      return result;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** @throws TuttiError OPTION_INVALID */
function executionOn(home: EngineHome, asked: Execution | undefined): Execution {
  const kinds = home.device === undefined ? [home.kind ?? []].flat() : [home.device.kind];
  const board = kinds.includes('fpga');
  const execution = asked ?? (board ? 'machine' : 'scatter');
  if (execution !== 'scatter' && execution !== 'machine' && execution !== 'measure') {
    throw new TuttiError(
      'OPTION_INVALID',
      `execution must be 'scatter', 'machine' or 'measure', got ${JSON.stringify(execution)}`,
      { where: 'execution' },
    );
  }
  if (!board || execution === 'machine') return execution;
  throw new TuttiError(
    'OPTION_INVALID',
    `execution is '${execution}', but a device of kind 'fpga' runs programs only: leave it out, or ask for other devices`,
    { where: 'execution' },
  );
}

function positiveWhole(value: number, where: string): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new TuttiError('OPTION_INVALID', `${where} must be a whole number of at least 1, got ${String(value)}`, {
      where,
    });
  }
  return value;
}

const allChoices: readonly StrategyChoice[] = ['auto', 'measure', 'scatter', 'gather', 'dense', 'convolution'];

function resolveChoices(
  network: SpikingNetwork,
  given: NonNullable<EngineOptions['strategy']>,
): Map<string, StrategyChoice> {
  const named = typeof given === 'string' ? {} : given;
  for (const [name, choice] of Object.entries(typeof given === 'string' ? { '': given } : named)) {
    const where = name === '' ? 'strategy' : `strategy.${name}`;
    if (!allChoices.includes(choice)) {
      throw new TuttiError('OPTION_INVALID', `${where} is ${JSON.stringify(choice)}; choose ${allChoices.join(', ')}`, {
        where,
      });
    }
    if (name !== '' && !network.projections.some((projection) => projection.name === name)) {
      const known = network.projections.map((projection) => projection.name).join(', ');
      throw new TuttiError('OPTION_INVALID', `${where} names no projection; there are: ${known}`, { where });
    }
  }
  return new Map(
    network.projections.map(({ name }) => [name, typeof given === 'string' ? given : (named[name] ?? 'auto')]),
  );
}

function firstStrategy(network: SpikingNetwork, projection: Projection, choice: StrategyChoice): Strategy {
  if (choice === 'auto' || choice === 'measure')
    return automaticStrategy(network, projection, countSynapses(projection));
  if (strategiesFor(projection).includes(choice)) return choice;
  throw new TuttiError(
    'OPTION_INVALID',
    `projection "${projection.name}" cannot run as '${choice}'; choose ${strategiesFor(projection).join(', ')}`,
    { where: `strategy.${projection.name}` },
  );
}

/** Device memory that the network will take, without the input and recording buffers that depend on the run. */
function estimateBytes(network: SpikingNetwork, strategies: ReadonlyMap<string, Strategy>, batch: number): number {
  let bytes = 0;
  for (const projection of network.projections) {
    for (const { arrays } of layProjection(network, projection, strategies.get(projection.name)!).parts) {
      for (const array of Object.values(arrays)) bytes += array.byteLength;
    }
  }
  // Potential, input, refractory, counts and the ring: five words per neuron and sample at least.
  for (const { model, size, maxSpikesPerStep = 1 } of network.populations as readonly Population[])
    bytes += (4 + (model === 'input' ? 1 : maxSpikesPerStep)) * 4 * size * batch;
  return bytes;
}

/** Synapses that leave each neuron of a population, over all projections. */
function fanOutOf(network: SpikingNetwork, name: string): Float64Array {
  const { size } = populationOf(network, name);
  const sum = new Float64Array(size);
  for (const projection of network.projections) {
    if (projection.from !== name) continue;
    fanOut(projection, size, populationOf(network, projection.to).size).forEach((count, pre) => (sum[pre]! += count));
  }
  return sum;
}

/** A caller may reuse its arrays after a run, but the run may have to be made again later. */
function ownCopy(request: CheckedRequest): CheckedRequest {
  return {
    ...request,
    trains: new Map(
      [...request.trains].map(([name, train]) => [
        name,
        { ...train, index: train.index.slice(), ids: train.ids.slice() },
      ]),
    ),
    currents: new Map(
      [...request.currents].map(([name, current]) => [name, { ...current, values: current.values.slice() }]),
    ),
  };
}

function withoutRecording(request: CheckedRequest): CheckedRequest {
  return { ...request, spikes: new Set(), membranes: new Map(), final: [] };
}

/** Input spikes that are still under way at the end of a run. */
function lastSpikes(state: DeviceState, request: CheckedRequest, from: RunPosition): ReadonlyMap<string, SpikeTrain> {
  const history = new Map<string, SpikeTrain>();
  for (const [name, train] of request.trains) {
    const kept = Math.min(state.maxDelays.get(name)!, from.step + request.steps);
    if (kept === 0) continue;
    const past = from.history.get(name);
    const first = request.steps - kept;
    if (first >= 0 || past === undefined) history.set(name, sliceTrain(train, Math.max(0, first), request.steps));
    else {
      const older = sliceTrain(past, past.steps + first, past.steps);
      history.set(name, joinTrains([older, sliceTrain(train, 0, request.steps)]));
    }
  }
  return history;
}

/**
 * Times every strategy of each projection on the device, with the data of the run that is about to be made, and leaves the
 * fastest in place. What does not fit into memory is passed over.
 */
async function measure(
  network: SpikingNetwork,
  state: DeviceState,
  request: CheckedRequest,
  projections: readonly Projection[],
  stretchBytes: number,
  options: LongCallOptions,
): Promise<void> {
  const steps = Math.min(request.steps, MEASURED_STEPS);
  const trial: CheckedRequest = {
    ...withoutRecording(request),
    steps,
    trains: new Map(
      [...request.trains].map(([name, train]) => [name, train.steps > steps ? sliceTrain(train, 0, steps) : train]),
    ),
  };
  const time = async (): Promise<number> => {
    let best = Infinity;
    for (let round = 0; round < 3; round++) {
      const began = performance.now();
      await runOnState(network, state, trial, { step: 0, history: new Map() }, stretchBytes, {
        signal: options.signal,
      });
      best = Math.min(best, performance.now() - began);
    }
    return best;
  };
  let bestTime = await time();
  let done = 0;
  for (const projection of projections) {
    const initial = state.strategies.get(projection.name)!;
    let best = initial;
    for (const strategy of strategiesFor(projection)) {
      if (strategy === initial) continue;
      try {
        state.setStrategy(projection.name, strategy);
      } catch (error) {
        if (error instanceof TuttiError && (error.code === 'MEMORY_REFUSED' || error.code === 'LIMIT_EXCEEDED'))
          continue;
        throw error;
      }
      const took = await time();
      if (took < bestTime) {
        bestTime = took;
        best = strategy;
      }
    }
    state.setStrategy(projection.name, best);
    options.onProgress?.({ done: ++done, total: projections.length, what: `strategy of ${projection.name}: ${best}` });
  }
}
