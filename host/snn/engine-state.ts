/**
 * A network on one device: its synapses, the state of its neurons, its spike rings. Made whole or not at all; everything
 * is allocated through the device's budget under "network/part", and released together.
 */
import { throwIfAborted, TuttiError } from '../errors.js';
import type { Device, DeviceBuffer, KernelBody, KernelCall, LongCallOptions, TypedView } from '../device/device.js';
import { createBufferScope } from './buffer-scope.js';
import { decayFreeForm, decayFreePotentials, decayFreeState } from './decay-free.js';
import { fixedConstants, floatConstants } from './dynamics.js';
import {
  flagsKey,
  layProjection,
  lowerStep,
  populationOf,
  type LaidProjection,
  type NeuronBuffers,
  type Strategy,
} from './engine-plan.js';
import {
  fires,
  valueAt,
  type FixedPopulation,
  type FloatPopulation,
  type Population,
  type SpikingNetwork,
} from './network.js';
import { createSpikeRing, type SpikeRing } from './spike-ring.js';
import type { SpikeTrain } from './spike-train.js';

/** Everything that a run needs to go on elsewhere, in host memory. */
export interface Snapshot {
  readonly step: number;
  readonly batch: number;
  readonly neurons: ReadonlyMap<
    string,
    { readonly v: ArrayBuffer; readonly input: ArrayBuffer; readonly refractory: ArrayBuffer }
  >;
  /** The last steps of each population whose spikes are still under way. */
  readonly recent: ReadonlyMap<string, SpikeTrain>;
}

/** A number of steps with no read-back in between. */
export interface Stretch {
  readonly batch: number;
  readonly firstStep: number;
  readonly steps: number;
  readonly currents: ReadonlyMap<
    string,
    { readonly frames: number; readonly origin: number; readonly receptor: string | undefined }
  >;
  /** Neurons chosen, and frames that the recording holds. */
  readonly membranes: ReadonlyMap<string, { readonly chosen: number; readonly frames: number }>;
}

export interface DeviceState {
  readonly device: Device;
  readonly strategies: ReadonlyMap<string, Strategy>;
  /** What every run needs compiled. */
  readonly kernels: readonly KernelBody[];
  readonly rings: ReadonlyMap<string, SpikeRing>;
  /** Longest axonal delay of the synapses that leave each population, in steps. */
  readonly maxDelays: ReadonlyMap<string, number>;
  /** Back to the initial potentials: no input, no refractoriness. */
  reset(batch: number): void;
  zeroCounts(batch: number): void;
  /** Gives a population's ring `slots` slots; spikes that are still under way at `step` stay in it. */
  fitRing(name: string, slots: number, batch: number, step: number): Promise<void>;
  writeCurrent(name: string, values: Float32Array | Int32Array): void;
  /** Makes room to record the potentials of the neurons `ids`. */
  fitMembrane(name: string, ids: Uint32Array, frames: number, batch: number): void;
  /** The calls of one step; the very same list for the same stretch (apart from `steps`) as long as nothing was reallocated. */
  callsFor(stretch: Stretch): readonly KernelCall[];
  readMembrane(name: string, words: number): Promise<ArrayBuffer>;
  readCounts(name: string, batch: number): Promise<ArrayBuffer>;
  /** Potentials after `step` steps since the fresh start. */
  readPotentials(name: string, batch: number, step: number): Promise<ArrayBuffer>;
  /** Populations in decay-free form, which no current can be injected into. */
  readonly decayFree: ReadonlySet<string>;
  snapshot(step: number, batch: number): Promise<Snapshot>;
  restore(snapshot: Snapshot): void;
  /** Replaces the synapses of a projection by those of another strategy. On an error the old ones stay. */
  setStrategy(name: string, strategy: Strategy): void;
  release(): void;
}

/** Kernel lists kept per state. A list is made in microseconds, but the device prepares each one that it has not seen. */
const MOST_LISTS = 8;

/**
 * Puts `network` on `device` with room for `batchCapacity` samples.
 * @throws MemoryRefusedError, TuttiError LIMIT_EXCEEDED or ABORTED, DeviceLostError; nothing stays allocated then.
 */
export function createDeviceState(
  device: Device,
  network: SpikingNetwork,
  batchCapacity: number,
  chosen: ReadonlyMap<string, Strategy>,
  options: LongCallOptions & { readonly decayFree?: boolean } = {},
): DeviceState {
  const lists = new Map<string, readonly KernelCall[]>();
  const scope = createBufferScope(device, network.name, () => lists.clear());
  const populations = network.populations as readonly Population[];
  const sizes = new Map(populations.map(({ name, size }) => [name, size]));
  const sizeOf = (name: string): number => sizes.get(name)!;
  const strategies = new Map(chosen);
  const flags = new Map<string, DeviceBuffer>();
  const neurons = new Map<string, NeuronBuffers>();
  const rings = new Map<string, SpikeRing>();
  const currents = new Map<string, DeviceBuffer>();
  const membranes = new Map<string, { ids: DeviceBuffer; key: string; record?: DeviceBuffer }>();
  const initials = new Map<string, TypedView>();
  let zeros = new Uint8Array(0);

  const layOnDevice = (name: string, strategy: Strategy): LaidProjection<DeviceBuffer> => {
    const laid = layProjection(
      network,
      network.projections.find((projection) => projection.name === name)!,
      strategy,
      batchCapacity < device.capabilities.threads ? device.capabilities.threads : 1,
    );
    const made: DeviceBuffer[] = [];
    const upload = (array: string, data: TypedView): DeviceBuffer => {
      const buffer = scope.upload(`${name} ${array}`, data);
      made.push(buffer);
      return buffer;
    };
    try {
      const parts = laid.parts.map(({ delay, arrays }) => ({
        delay,
        arrays: Object.fromEntries(Object.entries(arrays).map(([array, data]) => [array, upload(array, data)])),
      }));
      const { from } = laid.projection;
      for (const { delay } of strategy === 'gather' ? parts : []) {
        const key = flagsKey(from, delay);
        if (!flags.has(key)) flags.set(key, scope.allocate(`${from} spike flags`, 4 * batchCapacity * sizeOf(from)));
      }
      return { ...laid, parts };
    } catch (error) {
      made.forEach(scope.release);
      throw error;
    }
  };

  const maxDelays = new Map(populations.map(({ name }) => [name, 0]));
  for (const { from, maxDelay } of network.projections) maxDelays.set(from, Math.max(maxDelays.get(from)!, maxDelay));

  const layNeurons = (population: FloatPopulation | FixedPopulation): NeuronBuffers => {
    const { name, size } = population;
    const { values, ...constantFacts } =
      network.numeric === 'float32'
        ? floatConstants(population as FloatPopulation, network.dt)
        : fixedConstants(population as FixedPopulation);
    const facts = { ...constantFacts };
    const bytes = 4 * batchCapacity * size;
    const scatters = network.projections.every((p) => p.to !== name || strategies.get(p.name) === 'scatter');
    const form =
      options.decayFree === true && scatters && network.numeric === 'float32'
        ? decayFreeForm(population as FloatPopulation, network.dt)
        : undefined;
    const decayFree = form && {
      form,
      decays: scope.upload(`${name} decays`, form.decays),
      gains: form.gains.map((table, r) => scope.upload(`${name} gains ${r}`, table)),
    };
    if (form) {
      facts.receptors = form.receptors + 1;
      maxDelays.set(name, Math.max(maxDelays.get(name)!, form.refractory));
    }
    const most = population.maxSpikesPerStep ?? 1;
    return {
      ...facts,
      ...(decayFree ? { decayFree } : {}),
      v: scope.allocate(`${name} potential`, bytes),
      input: scope.allocate(`${name} input`, bytes * facts.receptors),
      constants: scope.upload(`${name} constants`, values),
      refractory: scope.allocate(`${name} refractory`, bytes),
      most,
      fired: scope.allocate(`${name} fired`, 4 * batchCapacity * (most > 1 ? size : Math.ceil(size / 32))),
      totals: scope.allocate(`${name} spike counts`, bytes),
    };
  };

  let projections: LaidProjection<DeviceBuffer>[];
  try {
    projections = network.projections.map(({ name }, i) => {
      throwIfAborted(options.signal, `putting network "${network.name}" on ${device.id}`);
      const laid = layOnDevice(name, strategies.get(name)!);
      options.onProgress?.({ done: i + 1, total: network.projections.length, what: `synapses of ${name}` });
      return laid;
    });
    for (const population of populations) {
      const { name, size } = population;
      const writer = population.model === 'input' ? 'host' : 'device';
      if (population.model !== 'input') neurons.set(name, layNeurons(population));
      if (!fires(population)) continue;
      rings.set(
        name,
        createSpikeRing(scope, {
          name,
          neurons: size,
          most: population.model === 'input' ? 1 : (population.maxSpikesPerStep ?? 1),
          writer,
          slots: maxDelays.get(name)! + 1,
          batchCapacity,
        }),
      );
    }
  } catch (error) {
    scope.releaseAll();
    throw error;
  }

  const zero = (buffer: DeviceBuffer, bytes: number): void => {
    if (zeros.length < bytes) zeros = new Uint8Array(bytes);
    device.write(buffer, zeros.subarray(0, bytes));
  };
  /** The initial potentials of a batch; undefined when they are all 0. */
  const initialOf = (name: string, batch: number): TypedView | undefined => {
    const { initial, size } = populationOf(network, name) as FloatPopulation | FixedPopulation;
    if (initial === 0) return undefined;
    const known = initials.get(name);
    if (known?.length === batch * size) return known;
    const tiled = network.numeric === 'fixed' ? new Int32Array(batch * size) : new Float32Array(batch * size);
    for (let i = 0; i < tiled.length; i++) tiled[i] = valueAt(initial, i % size);
    initials.set(name, tiled);
    return tiled;
  };
  /** Spikes of the last steps before `step` that have not arrived everywhere yet. */
  const readRecent = async (name: string, step: number, batch: number): Promise<SpikeTrain | undefined> => {
    const kept = Math.min(maxDelays.get(name)!, step);
    return kept === 0 || !neurons.has(name) ? undefined : rings.get(name)!.read(batch, step - kept, step);
  };
  const writeRecent = (name: string, step: number, recent: SpikeTrain): void => {
    const first = step - recent.steps;
    rings.get(name)!.write(recent.batch, first, step, (at) => [recent, at - first]);
  };
  const fitRing = async (name: string, slots: number, batch: number, step: number): Promise<void> => {
    const ring = rings.get(name)!;
    if (ring.slots === slots) {
      ring.fit(slots, batch);
      return;
    }
    const recent = await readRecent(name, step, batch);
    ring.fit(slots, batch);
    if (recent !== undefined) writeRecent(name, step, recent);
  };

  const callsFor = (stretch: Stretch): readonly KernelCall[] => {
    const { batch, firstStep } = stretch;
    const slots = [...rings.values()].map((ring) => ring.slots);
    const origin = stretch.membranes.size > 0 ? firstStep : 0;
    const key = JSON.stringify([batch, slots, [...stretch.currents], [...stretch.membranes], origin]);
    const calls =
      lists.get(key) ??
      lowerStep(network, {
        batch,
        neurons,
        streams: rings,
        projections,
        flags,
        currents: new Map(
          [...stretch.currents].map(([name, plan]) => [name, { ...plan, buffer: currents.get(name)! }]),
        ),
        membranes: new Map(
          [...stretch.membranes].map(([name, plan]) => {
            const { ids, record } = membranes.get(name)!;
            return [name, { ...plan, ids, record: record!, origin }];
          }),
        ),
      });
    // Re-inserted, so that the list that was used longest ago comes first.
    lists.delete(key);
    lists.set(key, calls);
    if (lists.size > MOST_LISTS) lists.delete(lists.keys().next().value!);
    return calls;
  };

  return {
    device,
    strategies,
    get kernels() {
      const step = { batch: 1, firstStep: 0, steps: 1, currents: new Map(), membranes: new Map() };
      return [...new Set(callsFor(step).map((call) => call.kernel))];
    },
    rings,
    maxDelays,
    reset(batch) {
      for (const [name, { v, input, refractory, receptors, decayFree }] of neurons) {
        const bytes = 4 * batch * sizeOf(name);
        if (decayFree !== undefined) {
          const { initial } = populationOf(network, name) as FloatPopulation;
          device.write(
            input,
            decayFreeState(decayFree.form, batch, sizeOf(name), (n) => valueAt(initial, n)),
          );
          continue;
        }
        const initial = initialOf(name, batch);
        if (initial === undefined) zero(v, bytes);
        else device.write(v, initial);
        zero(input, bytes * receptors);
        zero(refractory, bytes);
      }
    },
    zeroCounts(batch) {
      for (const [name, { totals, spiking }] of neurons) if (spiking) zero(totals, 4 * batch * sizeOf(name));
    },
    fitRing,
    writeCurrent(name, values) {
      const buffer = scope.grow(currents.get(name), `${name} current`, values.byteLength);
      currents.set(name, buffer);
      device.write(buffer, values);
    },
    fitMembrane(name, ids, frames, batch) {
      const key = ids.join();
      let plan = membranes.get(name);
      if (plan?.key !== key) {
        const buffer = scope.upload(`${name} recorded neurons`, ids);
        lists.clear();
        if (plan !== undefined) scope.release(plan.ids);
        plan = { ...plan, ids: buffer, key };
        membranes.set(name, plan);
      }
      plan.record = scope.grow(plan.record, `${name} recording`, 4 * frames * batch * ids.length);
    },
    callsFor,
    readMembrane: (name, words) => device.read(membranes.get(name)!.record!, 0, 4 * words),
    readCounts: (name, batch) => device.read(neurons.get(name)!.totals, 0, 4 * batch * sizeOf(name)),
    async readPotentials(name, batch, step) {
      const { v, input, decayFree } = neurons.get(name)!;
      const size = sizeOf(name);
      if (decayFree === undefined) return device.read(v, 0, 4 * batch * size);
      const state = new Float32Array(await device.read(input, 0, 4 * batch * size * (decayFree.form.receptors + 1)));
      return decayFreePotentials(decayFree.form, state, batch, size, step).buffer as ArrayBuffer;
    },
    decayFree: new Set([...neurons].filter(([, buffers]) => buffers.decayFree !== undefined).map(([name]) => name)),
    async snapshot(step, batch) {
      const saved = [...neurons].map(async ([name, { v, input, refractory, receptors }]) => {
        const bytes = 4 * batch * sizeOf(name);
        const read = [
          device.read(v, 0, bytes),
          device.read(input, 0, bytes * receptors),
          device.read(refractory, 0, bytes),
        ];
        const [potential, arrived, left] = (await Promise.all(read)) as [ArrayBuffer, ArrayBuffer, ArrayBuffer];
        return [name, { v: potential, input: arrived, refractory: left }] as const;
      });
      const onTheWay = [...rings.keys()].map(async (name) => [name, await readRecent(name, step, batch)] as const);
      // One wait for everything, so that no read is left to fail alone.
      const [states, trains] = await Promise.all([Promise.all(saved), Promise.all(onTheWay)]);
      const recent = trains.filter((entry): entry is [string, SpikeTrain] => entry[1] !== undefined);
      return { step, batch, neurons: new Map(states), recent: new Map(recent) };
    },
    restore(snapshot) {
      for (const [name, saved] of snapshot.neurons) {
        const { v, input, refractory } = neurons.get(name)!;
        device.write(v, new Uint8Array(saved.v));
        device.write(input, new Uint8Array(saved.input));
        device.write(refractory, new Uint8Array(saved.refractory));
      }
      for (const [name, recent] of snapshot.recent) writeRecent(name, snapshot.step, recent);
    },
    setStrategy(name, strategy) {
      const i = projections.findIndex(({ projection }) => projection.name === name);
      const before = projections[i];
      if (before === undefined)
        throw new TuttiError('OPTION_INVALID', `there is no projection "${name}"`, { where: name });
      if (before.strategy === strategy) return;
      projections[i] = layOnDevice(name, strategy);
      lists.clear();
      for (const part of before.parts) Object.values(part.arrays).forEach(scope.release);
      strategies.set(name, strategy);
    },
    release() {
      lists.clear();
      scope.releaseAll();
    },
  };
}
