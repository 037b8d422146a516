/**
 * The models of one device node: which are on the device, in host memory or in their files, how long it takes to change that, and memory that goes from
 * one model's pool of keys and values to another's. Only the scheduler moves models: what is on the device is leased, so that nothing else does.
 */
import type { Device } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import type { LoopWatch } from '../../llm/batching/loop-watch.js';
import type { LanguageModel } from '../../llm/engine/engine.js';
import { createModelHost, type ModelLease } from '../../llm/engine/model-host.js';
import { kvBlockBytes } from '../../llm/kv/kv-memory.js';
import type { ModelAtNode } from '../decision.js';
import type { Cluster } from './cluster.js';
import type { NodeCounts, Open } from './live-node.js';
import type { DeviceNodeOptions } from './options.js';

export interface NodeModelsOptions {
  readonly device: Device;
  readonly node: DeviceNodeOptions;
  readonly cluster: Cluster;
  readonly blockSize: number;
  readonly counts: NodeCounts;
  readonly now: () => number;
  watch(model: number): LoopWatch;
  /** What is kept for the model's stages leaves it before it is parked. */
  leaving(model: number): Promise<void>;
  /** A model has come, or did not. */
  changed(): void;
}

export interface NodeModels {
  readonly places: readonly Open<ModelAtNode>[];
  /** Bytes for weights and keys and values, and those of weights, what comes with them included. */
  readonly deviceBytes: number;
  readonly weightBytes: number;
  engine(model: number): LanguageModel | undefined;
  load(model: number, park: readonly number[]): boolean;
  park(model: number): boolean;
  /** Takes blocks that nobody holds from other models' pools. True when there may be room for so many bytes now. */
  reclaim(model: number, bytes: number): Promise<boolean>;
  /** The device gives less than it was thought to, by so many bytes. */
  short(bytes: number): void;
  /** Something has ended: there may be more again. */
  ease(): void;
  /** Waits for loads and moves. @throws what a load failed with */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Guesses before a load was measured: bytes a second from host memory and from files, and what a load takes at least. */
const HOST_RATE = 2e9;
const FILE_RATE = 5e8;
const LEAST_LOAD = 0.02;

export function createNodeModels(options: NodeModelsOptions): NodeModels {
  const { device, node, cluster, blockSize, counts, now } = options;
  const { models, index, fileOf } = cluster;
  const capacity = device.memory.budget - device.memory.inUse;
  const host = createModelHost(node.hostBytes === undefined ? {} : { hostBytes: node.hostBytes });
  const leases = new Map<number, ModelLease>();
  const offered = new Set<number>();
  /** What a model took beside its pool, where it was measured. */
  const fixed = new Map<number, number>();
  /** What the file of a model says, and what others took beyond that: a guess for those that were not loaded yet. */
  const ofFile = models.map(({ weightBytes }) => weightBytes);
  let beyond = 0;
  let lost = 0;
  let work: Promise<unknown> = Promise.resolve();
  let failure: Error | undefined;

  for (const [name, given] of Object.entries(node.models)) {
    const model = index.get(name)!;
    const file = fileOf(given);
    const context = Math.min(given.context ?? file.config.context, file.config.context);
    const blockBytes = kvBlockBytes(file.config, given.kv ?? 'f32', blockSize);
    const free = Math.max(0, capacity - models[model]!.weightBytes);
    const wanted = 4 * Math.ceil(context / blockSize);
    offered.add(model);
    host.add(name, file, {
      ...{ device, context, blockSize, watch: options.watch(model) },
      blocks: given.blocks ?? Math.max(1, Math.min(wanted, Math.floor(free / (4 * blockBytes)))),
      mostBlocks: Math.max(1, Math.floor(free / blockBytes)),
      ...(given.kv !== undefined && { kv: given.kv }),
      ...(node.batchTokens !== undefined && { batchTokens: node.batchTokens }),
      ...(node.batchSequences !== undefined && { batchSequences: node.batchSequences }),
    });
  }

  const bytesOf = (model: number): number => fixed.get(model) ?? models[model]!.weightBytes;

  function measured(model: number, bytes: number): void {
    fixed.set(model, bytes);
    models[model]!.weightBytes = bytes;
    beyond = Math.max(beyond, bytes - ofFile[model]!);
    for (const other of offered) {
      if (!fixed.has(other)) models[other]!.weightBytes = Math.max(models[other]!.weightBytes, ofFile[other]! + beyond);
    }
  }

  /** It did not fit: with others there, it takes more than was thought; alone, this node cannot run it. */
  function tooLarge(model: number): void {
    const others = places.some(({ place }, k) => k !== model && place === 'device');
    if (others) models[model]!.weightBytes = Math.max(bytesOf(model), Math.min(1.2 * bytesOf(model), 0.8 * capacity));
    else offered.delete(model);
  }
  const hosted = (model: number): (typeof host.models)[number] | undefined =>
    host.models.find(({ name }) => name === models[model]!.name);

  function loadSeconds(model: number): number {
    const there = hosted(model);
    if (!there || !offered.has(model)) return Infinity;
    const from = there.place === 'host' ? 'host' : 'file';
    const took = there.loadTimes[from];
    return took === undefined
      ? LEAST_LOAD + models[model]!.weightBytes / (from === 'host' ? HOST_RATE : FILE_RATE)
      : took / 1e3;
  }

  const places: Open<ModelAtNode>[] = models.map((_, k) => ({
    ...{ place: 'disk', running: 0, usedAt: 0, readySeconds: loadSeconds(k) },
  }));

  function setPlace(model: number, place: ModelAtNode['place']): void {
    places[model]!.place = place;
    places[model]!.readySeconds = place === 'device' ? 0 : loadSeconds(model);
  }

  const inTurn = (task: () => Promise<void>): void => {
    work = work.then(task, task);
  };
  const poolBytes = (): number => {
    let bytes = 0;
    for (const { model } of leases.values()) bytes += model.usage.blocks * model.usage.blockBytes;
    return bytes;
  };
  const physicallyFree = (): number => device.memory.budget - device.memory.inUse;

  async function trimOthers(model: number, bytes: number): Promise<number> {
    let given = 0;
    for (const [other, lease] of leases) {
      const { blocks, usedBlocks, reservedBlocks, blockBytes } = lease.model.usage;
      if (other === model || given >= bytes || blocks - usedBlocks - reservedBlocks < 1 || blocks === 1) continue;
      given += blockBytes * (await lease.model.trimKv(Math.ceil((bytes - given) / blockBytes)));
    }
    return given;
  }

  async function bring(model: number): Promise<void> {
    const { name } = models[model]!;
    const before = device.memory.inUse - poolBytes();
    for (let attempt = 0; ; attempt++) {
      try {
        const lease = await host.use(name);
        leases.set(model, lease);
        break;
      } catch (error) {
        const refused = error instanceof TuttiError && error.code === 'MEMORY_REFUSED';
        if (!refused || attempt > 0 || (await trimOthers(model, Infinity)) === 0) throw error;
      }
    }
    const took = device.memory.inUse - poolBytes() - before;
    measured(model, Math.max(took, leases.get(model)!.model.weightBytes));
    counts.loads++;
  }

  async function sendAway(model: number): Promise<void> {
    await options.leaving(model);
    leases.get(model)?.release();
    leases.delete(model);
    await host.park(models[model]!.name);
    // In its file where host memory had no room.
    if (places[model]!.place === 'host') setPlace(model, hosted(model)?.place === 'host' ? 'host' : 'disk');
  }

  const nodeModels: NodeModels = {
    places,
    get deviceBytes() {
      return capacity - lost;
    },
    get weightBytes() {
      let bytes = 0;
      places.forEach(({ place }, k) => (bytes += place === 'device' || place === 'loading' ? bytesOf(k) : 0));
      return bytes;
    },
    engine: (model) => leases.get(model)?.model,
    load(model, park) {
      const place = places[model]!;
      if (!offered.has(model) || place.place === 'device' || place.place === 'loading') return false;
      if (!park.every((other) => places[other]?.place === 'device' && places[other].running === 0)) return false;
      for (const other of park) nodeModels.park(other);
      place.place = 'loading';
      lost = 0;
      inTurn(async () => {
        try {
          await bring(model);
          place.usedAt = now();
          setPlace(model, 'device');
        } catch (error) {
          failure ??= error instanceof Error ? error : new Error(String(error));
          if (error instanceof TuttiError && error.code === 'MEMORY_REFUSED') tooLarge(model);
          else offered.delete(model);
          setPlace(model, hosted(model)?.place === 'host' ? 'host' : 'disk');
        }
        options.changed();
      });
      return true;
    },
    park(model) {
      const place = places[model]!;
      if (place.place !== 'device' || place.running > 0) return false;
      place.place = 'host';
      place.readySeconds = loadSeconds(model);
      lost = 0;
      counts.parks++;
      inTurn(() => sendAway(model));
      return true;
    },
    async reclaim(model, bytes) {
      if (physicallyFree() >= bytes) return true;
      return (await trimOthers(model, bytes)) > 0;
    },
    short(bytes) {
      lost = Math.min(capacity, lost + Math.max(0, bytes));
    },
    ease() {
      lost = Math.floor(lost / 2);
    },
    async settled() {
      await work;
      if (failure) throw failure;
    },
    async close() {
      await work.catch(() => undefined);
      for (const lease of leases.values()) lease.release();
      leases.clear();
      await host.close();
    },
  };
  return nodeModels;
}
