/**
 * A device of ours as a node: stages run in the batch loops of its models, with memory set aside in their pools; they are paused, kept, moved and restarted;
 * what the scheduler sees is what the engines count.
 */
import type { Device } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import type { LoopWatch } from '../../llm/batching/loop-watch.js';
import type { LanguageModel } from '../../llm/engine/engine.js';
import type { Generation } from '../../llm/engine/generation.js';
import { freeKvBytes, type NodeView, type Ticket } from '../decision.js';
import type { Cluster } from './cluster.js';
import { faultOf } from './fault.js';
import { createIterationFit } from './iteration-fit.js';
import { beginAnew, type Job } from './job.js';
import { keepDevice } from './keep-device.js';
import { leaveOut } from './leave-out.js';
import { noCounts, type LiveNode, type NodeEvents, type Open } from './live-node.js';
import { createNodeModels, type NodeModels } from './node-models.js';
import type { DeviceNodeOptions } from './options.js';
import { createShortageDesk } from './shortage.js';

export interface DeviceNodeParts {
  readonly index: number;
  readonly name: string;
  readonly options: DeviceNodeOptions;
  readonly cluster: Cluster;
  readonly blockSize: number;
  readonly events: NodeEvents;
  readonly jobOf: (ticket: Ticket) => Job | undefined;
  /** On the device at first. */
  readonly resident: readonly number[];
}

/** A stage on the node, or what is kept of it. */
interface Run {
  readonly job: Job;
  readonly model: number;
  readonly since: number;
  /** Blocks set aside for prompt and answer. */
  blocks: number;
  generation: Generation | undefined;
  /** When its first token here came, and how many since. */
  decodeFrom: number;
  decoded: number;
  /** The node has nothing to do with it any more. */
  over: boolean;
  /** While it is kept: resolves when it is packed away. */
  packed: Promise<void> | undefined;
}

/** Bytes a second between nodes of one process, until one has moved. */
const LINK_RATE = 1e9;

/** Opens it, with the models that are to be on it at first. @throws what opening device and models throws */
export async function openDeviceNode(parts: DeviceNodeParts): Promise<LiveNode> {
  const { index, name, options, cluster, blockSize, events } = parts;
  const slots = options.batchSequences ?? 16;
  const chunkTokens = options.batchTokens ?? 64;
  const counts = noCounts();
  const fits = cluster.models.map(() => createIterationFit());
  const runs = new Map<Job, Run>();
  const kept = new Map<Job, Run>();
  let models: NodeModels;
  const desk = createShortageDesk({
    running: () => runs.size,
    bytesOfBlock,
    blocks: (model) => models.engine(model)?.usage.blocks ?? 0,
    reclaim: (model, bytes) => models.reclaim(model, bytes),
    misjudged() {
      refresh();
      models.short(Math.max(0, freeKvBytes(view)));
    },
    overflow(bytes) {
      counts.overflows++;
      events.overflow(node, bytes);
    },
  });
  let linkRate = LINK_RATE;
  /** Iterations, so that what was looked up in a pool is looked up again when that has changed. */
  const stamps = cluster.models.map(() => 0);
  const found = new WeakMap<Job, { readonly stamp: number; readonly tokens: number; readonly pinned: number }>();

  const view: Open<NodeView> = {
    ...{ index, name, alive: true, seenAt: 0, running: 0, slots, prefillTokens: 0, chunkTokens, contextTokens: 0 },
    ...{ deviceBytes: 0, weightBytes: 0, committedBytes: 0, idleBytes: 0, models: [], networkSeconds: 0 },
    ...{ hostBytesPerSecond: LINK_RATE, linkBytesPerSecond: LINK_RATE },
    prefillRate: (model) => chunkTokens / fits[model]!.seconds(0, chunkTokens, chunkTokens ** 2 / 2),
    iterationSeconds: (model, sequences, context) => fits[model]!.seconds(sequences, 0, context),
    cachedTokens: (ticket) => lookUp(ticket).tokens,
    pinnedTokens: (ticket) => lookUp(ticket).pinned,
  };

  function lookUp(ticket: Ticket): { readonly tokens: number; readonly pinned: number } {
    const job = parts.jobOf(ticket);
    const engine = view.alive ? models.engine(ticket.model) : undefined;
    if (!job?.tokens || !engine) return { tokens: 0, pinned: 0 };
    const stamp = stamps[ticket.model]!;
    let known = found.get(job);
    if (known?.stamp !== stamp) found.set(job, (known = { stamp, ...engine.cached(allTokens(job)) }));
    return known;
  }

  const allTokens = ({ tokens = [], answered }: Job): readonly number[] =>
    answered && answered.length > 0 ? [...tokens, ...answered.map(({ token }) => token)] : tokens;

  /** Blocks that a run has a right to: what it holds and what is set aside, or will be when it begins. */
  const pendingBlocks = ({ generation, blocks }: Run): number => {
    const holds = generation?.holds;
    if (!holds) return generation ? 0 : blocks;
    return holds.resident ? 0 : holds.reserved;
  };

  function refresh(): void {
    view.running = runs.size;
    view.deviceBytes = models.deviceBytes;
    view.weightBytes = models.weightBytes;
    view.committedBytes = 0;
    view.idleBytes = 0;
    view.prefillTokens = 0;
    view.contextTokens = 0;
    view.linkBytesPerSecond = linkRate;
    for (const [model, place] of models.places.entries()) {
      const usage = models.engine(model)?.usage;
      if (!usage || place.place !== 'device') continue;
      view.committedBytes += (usage.usedBlocks + usage.reservedBlocks) * usage.blockBytes;
      view.idleBytes += usage.idleBlocks * usage.blockBytes;
      view.hostBytesPerSecond = usage.movingBytesPerSecond;
    }
    for (const run of runs.values()) {
      const { job, model, generation } = run;
      view.committedBytes += pendingBlocks(run) * bytesOfBlock(model);
      const holds = generation?.holds;
      if (!holds) {
        if (!generation) view.prefillTokens += job.ticket.stage.promptTokens + job.ticket.generated;
        continue;
      }
      view.contextTokens += holds.computed;
      if (holds.tokens - holds.computed > 1) view.prefillTokens += holds.tokens - holds.computed;
    }
    // Who is kept has nothing set aside.
  }

  function bytesOfBlock(model: number): number {
    return blockSize * cluster.models[model]!.kvBytesPerToken;
  }

  function begin(run: Run): void {
    runs.set(run.job, run);
    models.places[run.model]!.running++;
    models.places[run.model]!.usedAt = run.since;
  }

  function leave(run: Run): void {
    run.over = true;
    if (!runs.delete(run.job)) return;
    models.ease();
    desk.ease();
    models.places[run.model]!.running--;
    run.job.served += events.now() - run.since;
    run.job.ticket.generated = run.job.chunks;
  }

  /** From the first token on, as it comes. */
  async function pump(run: Run, generation: Generation): Promise<void> {
    const { job } = run;
    try {
      for await (const chunk of generation) {
        const current = runs.get(job) ?? kept.get(job);
        if (current?.generation !== generation) return;
        if (current.decodeFrom < 0) current.decodeFrom = events.now();
        else current.decoded++;
        job.ticket.generated = job.chunks + 1;
        events.chunk(job, chunk, node);
        if (!chunk.finish) continue;
        job.cachedTokens = chunk.usage?.cachedTokens ?? job.cachedTokens;
        kept.delete(job);
        leave(current);
        events.ended(job, node, current.decoded, events.now() - current.decodeFrom);
        return;
      }
    } catch (error) {
      const current = runs.get(job) ?? kept.get(job);
      if (current?.generation === generation) failed(current, error);
    }
  }

  function failed(run: Run, error: unknown): void {
    const { job } = run;
    if (run.over && !kept.has(job)) return;
    const alone = runs.size === 1;
    kept.delete(job);
    leave(run);
    run.generation?.end();
    const noRoom = error instanceof TuttiError && error.code === 'LIMIT_EXCEEDED' && error.where === 'blocks';
    if (noRoom && !(alone && view.alive)) {
      // Others have what it needs; the scheduler had counted on more than there is.
      models.short(Math.max(0, freeKvBytes(view)));
      events.refused(job, node);
    } else events.failed(job, node, error, faultOf(error));
  }

  async function start(run: Run, before: Run | undefined): Promise<void> {
    // Nothing happens within the scheduler's own call.
    await Promise.resolve();
    const { job, model } = run;
    try {
      if (before?.generation) {
        await before.packed;
        if (run.over) return;
        resize(run);
        before.generation.resume();
        return;
      }
      const bytes = await job.moving?.catch(() => undefined);
      job.moving = undefined;
      const engine = models.engine(model);
      if (run.over) return;
      if (!engine) throw new TuttiError('DEVICE_LOST', `${name} was lost`, { where: name });
      const generation = bytes ? adopt(engine, bytes) : await openOn(engine, run);
      if (run.over) return generation.end();
      run.generation = generation;
      if (bytes) {
        counts.moved++;
        resize(run);
      }
      void pump(run, generation);
    } catch (error) {
      failed(run, error);
    }
  }

  const adopt = (engine: LanguageModel, bytes: Uint8Array): Generation => engine.adopt(bytes, { repack: true });

  function openOn(engine: LanguageModel, { job, blocks }: Run): Promise<Generation> {
    const { tokens, answered, request } = job;
    if (!answered) beginAnew(job);
    const rest = leaveOut(request, 'messages', 'prompt', 'signal', 'metadata');
    return engine.open({ ...rest, prompt: tokens ?? [], reserveBlocks: blocks, answered: job.answered ?? [] });
  }

  /** What is set aside, after a pause or a move, becomes what was granted. */
  function resize({ generation, blocks }: Run): void {
    const holds = generation?.holds;
    if (holds) generation?.reserve(blocks - holds.blocks - holds.reserved);
  }

  const watch = (model: number): LoopWatch => ({
    measured(iteration) {
      fits[model]!.note(iteration);
      stamps[model]!++;
    },
    short: (what) => desk.answer(model, what),
  });

  const node: LiveNode = {
    view,
    counts,
    get usedBytes() {
      let bytes = 0;
      for (const model of cluster.models.keys()) {
        const usage = models.engine(model)?.usage;
        if (usage) bytes += usage.usedBlocks * usage.blockBytes;
      }
      return bytes;
    },
    get gone() {
      return keeper.gone;
    },
    get jobs() {
      return runs.keys();
    },
    refresh,
    admit(job, reserveTokens) {
      const { ticket } = job;
      const { model } = ticket;
      if (!view.alive || models.places[model]!.place !== 'device' || runs.size >= slots || !job.tokens) return false;
      refresh();
      const before = kept.get(job);
      const answer = Math.max(reserveTokens, job.chunks + 1);
      const whole = Math.floor((job.tokens.length + answer) / blockSize);
      const cached = before || job.moving ? { tokens: 0, pinned: 0 } : lookUp(ticket);
      // What others run on takes no further memory; what nobody runs on does, and need not be set aside.
      const need = whole - cached.pinned / blockSize;
      if (runs.size > 0 && need * bytesOfBlock(model) > freeKvBytes(view)) return false;
      const run: Run = {
        ...{ job, model, since: events.now(), blocks: Math.max(0, whole - cached.tokens / blockSize) },
        ...{ generation: before?.generation, decodeFrom: -1, decoded: 0, over: false, packed: undefined },
      };
      kept.delete(job);
      job.reserveTokens = answer;
      ticket.node = index;
      ticket.kept = false;
      counts.admitted++;
      begin(run);
      void start(run, before);
      return true;
    },
    pause(job, keep) {
      const run = runs.get(job);
      if (!run || !view.alive) return false;
      const { generation } = run;
      const keeps = keep && (generation?.holds?.computed ?? 0) > 0;
      leave(run);
      counts.pauses++;
      if (keeps && generation) {
        counts.kept++;
        let packed: Promise<void> | undefined;
        // Within its own loop's question, it cannot be waited for.
        if (desk.asking === run.model) desk.leaves(generation.giveWay());
        else {
          packed = generation.pause().catch(() => undefined);
          if (desk.asking !== undefined) desk.leaves(packed);
        }
        const keptRun = { ...run, packed };
        kept.set(job, keptRun);
      } else generation?.end();
      job.ticket.kept = keeps;
      job.ticket.node = keeps ? index : -1;
      return true;
    },
    drop(job) {
      const run = runs.get(job) ?? kept.get(job);
      kept.delete(job);
      if (!run) return;
      leave(run);
      run.generation?.end();
    },
    async takeKept(job) {
      const run = kept.get(job);
      if (!run?.generation) return undefined;
      const begun = events.now();
      try {
        await run.packed;
        const detaching = run.generation.detach();
        kept.delete(job);
        const bytes = await detaching;
        linkRate += 0.2 * (bytes.byteLength / Math.max(1e-4, events.now() - begun) - linkRate);
        return bytes;
      } catch {
        // It has ended, or its device has: what is known of the answer is enough to go on.
        return undefined;
      }
    },
    load: (model, park) => view.alive && models.load(model, park),
    usage: (model) => models.engine(model)?.usage,
    park: (model) => view.alive && models.park(model),
    async embed(model, texts, signal) {
      const engine = models.engine(model);
      const place = models.places[model]!;
      if (!engine || place.place !== 'device')
        throw new TuttiError('DEVICE_UNAVAILABLE', `${cluster.models[model]!.name} is not on ${name} now`, {
          where: name,
        });
      place.running++;
      try {
        const most = Math.ceil(engine.context / blockSize);
        if (engine.usage.blocks < most) await engine.resizeKv(most).catch(() => undefined);
        return await engine.embed(texts, signal ? { signal } : {});
      } finally {
        place.running--;
      }
    },
    async close() {
      view.alive = false;
      for (const run of [...runs.values(), ...kept.values()]) run.generation?.end();
      runs.clear();
      kept.clear();
      await models?.close();
      await keeper.close();
    },
  };

  async function setUp(device: Device, first: readonly number[]): Promise<void> {
    models = createNodeModels({
      ...{ device, node: options, cluster, blockSize, counts, now: events.now, watch },
      async leaving(model) {
        for (const [job, run] of kept) {
          if (run.model !== model) continue;
          // Its keys and values outlive the engine as bytes.
          job.moving = node.takeKept(job);
          await job.moving;
        }
      },
      changed: () => events.changed(node),
    });
    view.models = models.places;
    for (const model of first) models.load(model, []);
    await models.settled().catch((error: unknown) => {
      // Nobody asked for more than one of them.
      const there = models.places.some(({ place }) => place === 'device');
      if (options.resident || !there) throw error;
    });
    refresh();
  }

  function lose(): void {
    if (!view.alive) return;
    const [jobs, keptJobs] = [[...runs.keys()], [...kept.keys()]];
    for (const run of [...runs.values()]) leave(run);
    for (const run of kept.values()) run.over = true;
    kept.clear();
    counts.losses++;
    view.alive = false;
    for (const place of models.places) {
      place.place = 'disk';
      place.running = 0;
    }
    void models.close().catch(() => undefined);
    refresh();
    events.lost(jobs, keptJobs, node);
  }

  const keeper = await keepDevice(options.device, {
    lost: lose,
    async back(device) {
      await setUp(device, []);
      view.alive = true;
      events.changed(node);
    },
    given: () => events.changed(node),
  });
  try {
    await setUp(keeper.device, parts.resident);
  } catch (error) {
    await node.close();
    throw error;
  }
  return node;
}
