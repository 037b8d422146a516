/**
 * Engines that are somebody else's as a node: stages are sent there, and what is known of it is what was sent and how fast it answered. Its memory is not known;
 * nothing is paused, kept or moved there, and no model is brought to it.
 */
import { TuttiError } from '../../errors.js';
import type { TextEngine } from '../../llm/engine/text-engine.js';
import type { ModelAtNode, NodeView } from '../decision.js';
import type { Cluster } from './cluster.js';
import { faultOf } from './fault.js';
import { beginAnew, type Job } from './job.js';
import { leaveOut } from './leave-out.js';
import { noCounts, type LiveNode, type NodeEvents, type Open } from './live-node.js';
import type { EngineNodeOptions } from './options.js';

export interface EngineNodeParts {
  readonly index: number;
  readonly name: string;
  readonly options: EngineNodeOptions;
  readonly cluster: Cluster;
  readonly events: NodeEvents;
}

/** Before anything was measured: prompt tokens a second, seconds to a token. */
const PREFILL_GUESS = 1000;
const TOKEN_GUESS = 0.03;
const WEIGHT = 0.1;
/** Tokens that a sequence may have where nobody says. */
const CONTEXT_GUESS = 131_072;
/** Seconds after which an engine that failed is asked again. */
const REST_SECONDS = 5;
/** How often in a row it may fail before it counts as lost. */
const MOST_FAILURES = 3;

interface Run {
  readonly job: Job;
  readonly since: number;
  readonly stopping: AbortController;
  first: number;
}

export function createEngineNode(parts: EngineNodeParts): LiveNode {
  const { index, name, options, cluster, events } = parts;
  const slots = options.slots ?? 8;
  const counts = noCounts();
  const engines = new Map<number, TextEngine>();
  for (const [model, engine] of Object.entries(options.engines)) engines.set(cluster.index.get(model)!, engine);
  const runs = new Map<Job, Run>();
  const rates = cluster.models.map(() => ({ prefill: PREFILL_GUESS, token: TOKEN_GUESS }));
  const places: Open<ModelAtNode>[] = cluster.models.map((_, k) => ({
    ...{ place: engines.has(k) ? 'device' : 'disk', readySeconds: engines.has(k) ? 0 : Infinity },
    ...{ running: 0, usedAt: 0 },
  }));
  let deviceBytes = 0;
  for (const [model, engine] of engines) {
    const tokens = slots * 2 * (engine.context ?? CONTEXT_GUESS);
    deviceBytes = Math.max(deviceBytes, tokens * cluster.models[model]!.kvBytesPerToken);
  }
  let failures = 0;
  let resting: ReturnType<typeof setTimeout> | undefined;

  const view: Open<NodeView> = {
    ...{ index, name, alive: true, seenAt: 0, running: 0, slots, prefillTokens: 0, chunkTokens: Infinity },
    ...{ contextTokens: 0, deviceBytes, weightBytes: 0, committedBytes: 0, idleBytes: 0, models: places },
    ...{ networkSeconds: 0.01, hostBytesPerSecond: 1, linkBytesPerSecond: 1 },
    prefillRate: (model) => rates[model]!.prefill,
    iterationSeconds: (model) => rates[model]!.token,
    cachedTokens: () => 0,
    pinnedTokens: () => 0,
  };

  function leave(run: Run): boolean {
    if (!runs.delete(run.job)) return false;
    places[run.job.ticket.model]!.running--;
    run.job.served += events.now() - run.since;
    run.job.ticket.generated = run.job.chunks;
    return true;
  }

  /** What came after the first chunk, and the wait for that, tell how fast it is. */
  function learn({ job, since, first }: Run): void {
    const rate = rates[job.ticket.model]!;
    const wait = Math.max(1e-4, first - since);
    rate.prefill += WEIGHT * (job.ticket.stage.promptTokens / wait - rate.prefill);
    if (job.chunks > 1) rate.token += WEIGHT * ((events.now() - first) / (job.chunks - 1) - rate.token);
  }

  async function pump(run: Run, engine: TextEngine): Promise<void> {
    const { job, stopping } = run;
    await Promise.resolve();
    try {
      const request = { ...leaveOut(job.request, 'metadata'), signal: stopping.signal };
      for await (const chunk of engine.generate(request)) {
        if (runs.get(job) !== run) return;
        if (run.first < 0) run.first = events.now();
        job.ticket.generated = job.chunks + 1;
        events.chunk(job, chunk, node);
        if (!chunk.finish) continue;
        failures = 0;
        job.cachedTokens = chunk.usage?.cachedTokens ?? 0;
        learn(run);
        leave(run);
        return events.ended(job, node, job.chunks - 1, events.now() - run.first);
      }
      throw new TuttiError('DEVICE_FAILED', `${name} ended an answer without a reason`, { where: name });
    } catch (error) {
      if (!leave(run)) return;
      const fault = faultOf(error);
      if (fault === 'node') rest();
      events.failed(job, node, error, fault);
    }
  }

  /** After a failure it gets nothing for a while. */
  function rest(): void {
    if (++failures < MOST_FAILURES || !view.alive) return;
    view.alive = false;
    counts.losses++;
    resting = setTimeout(() => {
      view.alive = true;
      failures = MOST_FAILURES - 1;
      events.changed(node);
    }, 1000 * REST_SECONDS);
    resting.unref?.();
    const jobs = [...runs.keys()];
    for (const run of [...runs.values()]) {
      leave(run);
      run.stopping.abort();
    }
    events.lost(jobs, [], node);
  }

  const node: LiveNode = {
    view,
    counts,
    get usedBytes() {
      let bytes = 0;
      for (const { ticket } of runs.keys()) {
        bytes += (ticket.stage.promptTokens + ticket.generated) * cluster.models[ticket.model]!.kvBytesPerToken;
      }
      return bytes;
    },
    gone: false,
    get jobs() {
      return runs.keys();
    },
    refresh() {
      view.running = runs.size;
      view.committedBytes = 0;
      view.contextTokens = 0;
      for (const { ticket, reserveTokens } of runs.keys()) {
        const { promptTokens } = ticket.stage;
        const tokens = promptTokens + Math.max(reserveTokens, ticket.generated);
        view.committedBytes += tokens * cluster.models[ticket.model]!.kvBytesPerToken;
        view.contextTokens += promptTokens + ticket.generated;
      }
    },
    admit(job, reserveTokens) {
      const { ticket } = job;
      const engine = engines.get(ticket.model);
      if (!view.alive || !engine || runs.size >= slots) return false;
      const run: Run = { job, since: events.now(), stopping: new AbortController(), first: -1 };
      job.moving = undefined;
      if (job.chunks > 0) beginAnew(job);
      runs.set(job, run);
      job.reserveTokens = reserveTokens;
      places[ticket.model]!.running++;
      places[ticket.model]!.usedAt = run.since;
      counts.admitted++;
      ticket.node = index;
      ticket.kept = false;
      void pump(run, engine);
      return true;
    },
    pause: () => false,
    drop(job) {
      const run = runs.get(job);
      if (!run) return;
      leave(run);
      run.stopping.abort();
    },
    takeKept: () => Promise.resolve(undefined),
    load: () => false,
    usage: (model) => engines.get(model)?.usage,
    park: () => false,
    embed(model, texts, signal) {
      const engine = engines.get(model)!;
      return engine.embed(texts, signal ? { signal } : {});
    },
    async close() {
      view.alive = false;
      clearTimeout(resting);
      for (const { stopping } of runs.values()) stopping.abort();
      runs.clear();
      return Promise.resolve();
    },
  };
  return node;
}
