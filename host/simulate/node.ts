/**
 * A simulated node: iterations of continuous batching over the models that are on its device, by the cost model. As long as nothing joins or leaves, many
 * iterations are one event; whatever happens in between takes effect at the end of the iteration that is under way.
 */
import type { NodeView } from '../maestro/decision.js';
import type { OpenTicket } from '../maestro/book.js';
import { iterationSeconds, modelCost } from './cost-model.js';
import { createModelPlaces } from './model-places.js';
import { createPrefixCache, type Content, type PinnedSpan } from './prefix-cache.js';
import type { DeviceProfile } from './profiles.js';
import type { ModelShape } from './workload.js';

/** A stage as the simulator knows it. */
export interface Job {
  readonly ticket: OpenTicket;
  /** Tokens that it answers. */
  readonly target: number;
  /** What its prompt begins with, how much of it, and what it adds. */
  readonly base: Content | undefined;
  readonly baseTokens: number;
  readonly own: Content;
  admittedAt: number;
  firstTokenAt: number;
  /** Seconds that it was on nodes, those of decoding, prompt tokens that were computed for it, and tokens found cached when it first began. */
  served: number;
  decodeFrom: number;
  computed: number;
  cached: number;
}

interface Running {
  readonly job: Job;
  readonly model: number;
  /** Prompt tokens to compute; tokens with keys and values; tokens of others' spans among them. */
  left: number;
  /** Tokens of its answer; the ticket hears of them now and then. */
  generated: number;
  readonly target: number;
  context: number;
  readonly shared: number;
  span: PinnedSpan | undefined;
  /** Blocks set aside, beyond those of the spans. */
  blocks: number;
  /** Of those, what was set aside when it began. */
  readonly floor: number;
  readonly since: number;
}

export interface NodeEvents {
  /** Asks to be called back at a time, with this version; an older version means that plans have changed. */
  wake(node: SimulatedNode, at: number, version: number): void;
  firstToken(job: Job, at: number): void;
  ended(job: Job, node: SimulatedNode, at: number): void;
  /** It was taken out, and is to be queued again. */
  paused(job: Job, node: SimulatedNode, at: number): void;
  /** There is no room for the next token. Returns false when nobody was paused. */
  overflow(node: SimulatedNode, bytes: number, at: number): boolean;
  /** Alone on the node, and still too large for it. */
  tooLarge(job: Job, node: SimulatedNode, at: number): void;
}

export interface NodeCounts {
  iterations: number;
  prefilled: number;
  decoded: number;
  reused: number;
  pauses: number;
  kept: number;
  droppedBlocks: number;
  loads: number;
  hostLoads: number;
  busySeconds: number;
}

/** Bytes of keys and values. */
export interface Reservations {
  /** For prompts and longest answers, nothing shared. */
  readonly whole: number;
  /** For answers alone: set aside, and the longest. */
  readonly answers: number;
  readonly longestAnswers: number;
}

export interface SimulatedNode {
  readonly profile: DeviceProfile;
  readonly view: NodeView;
  readonly counts: Readonly<NodeCounts>;
  readonly usedBytes: number;
  /** What its sequences have set aside, and what they would have if each had its whole prompt and its longest answer to itself. */
  readonly reservations: Reservations;
  readonly jobs: readonly Job[];
  /** False when it has no room, or no such model. */
  admit(job: Job, reserveTokens: number, now: number): boolean;
  pause(job: Job, keep: boolean, now: number): boolean;
  /** Seconds until a model is ready, undefined when it has no room or it is there. */
  load(model: number, park: readonly number[], now: number): number | undefined;
  loaded(model: number, now: number): void;
  park(model: number): boolean;
  /** What was planned up to `at` has happened. */
  wake(at: number, version: number): void;
  /** A sequence whose keys and values have come back joins. */
  restored(job: Job, at: number): void;
  /** Brings what tickets say of their answers up to date. */
  report(): void;
  fail(now: number): readonly Job[];
  recover(now: number): void;
}

type Open<T> = { -readonly [K in keyof T]: T[K] };

export interface NodeOptions {
  readonly index: number;
  readonly profile: DeviceProfile;
  readonly models: readonly ModelShape[];
  /** On the device at first. */
  readonly resident: readonly number[];
  readonly blockSize: number;
  readonly jobOf: (number: number) => Job;
  readonly events: NodeEvents;
  /** Most iterations to an event. */
  readonly mostIterations: number;
  readonly restore: (node: SimulatedNode, job: Job, at: number) => void;
}

export function createSimulatedNode(options: NodeOptions): SimulatedNode {
  const { profile, models, blockSize, events, mostIterations } = options;
  const costs = models.map((model) => modelCost(profile, model));
  const bytesOfBlock = models.map((model) => model.kvBytesPerToken * blockSize);
  const caches = models.map(() => createPrefixCache(blockSize));
  const deviceBytes = profile.memoryBytes * profile.usable;
  const atNode = createModelPlaces(profile, models, options.resident);
  const { places } = atNode;
  const running: Running[] = [];
  const prefills: Running[] = [];
  const joining: Running[] = [];
  const away = new Map<number, Running>();
  const counts: NodeCounts = {
    ...{ iterations: 0, prefilled: 0, decoded: 0, reused: 0, pauses: 0, kept: 0, droppedBlocks: 0, loads: 0 },
    ...{ hostLoads: 0, busySeconds: 0 },
  };
  let ownBytes = 0;
  let version = 0;
  /** What is planned: so many iterations from `begun`, the first of `first` seconds and each `slope` longer than the one before. */
  let begun = 0;
  let rounds = 0;
  let first = 0;
  let slope = 0;
  let perRound = 0;
  let planned: Running | undefined;

  const decoding = new Float64Array(models.length);
  const contexts = new Float64Array(models.length);
  const prompts = new Float64Array(models.length);
  const promptContexts = new Float64Array(models.length);

  const view: Open<NodeView> = {
    ...{ index: options.index, name: `${profile.name}-${options.index}`, alive: true, seenAt: 0, running: 0 },
    ...{ slots: profile.sequences, prefillTokens: 0, chunkTokens: profile.chunkTokens, contextTokens: 0, deviceBytes },
    weightBytes: atNode.weightBytes,
    ...{ committedBytes: 0, idleBytes: 0, models: places, networkSeconds: profile.networkSeconds },
    ...{ hostBytesPerSecond: profile.hostBytesPerSecond, linkBytesPerSecond: profile.linkBytesPerSecond },
    prefillRate: (model) => {
      const { chunkTokens } = profile;
      return chunkTokens / iterationSeconds(costs[model]!, 0, 0, chunkTokens, chunkTokens);
    },
    iterationSeconds: (model, sequences, context) => iterationSeconds(costs[model]!, sequences, context, 0, 0),
    cachedTokens: (ticket) => lookUp(ticket.number, false),
    pinnedTokens: (ticket) => lookUp(ticket.number, true),
  };

  function lookUp(number: number, pinned: boolean): number {
    const job = options.jobOf(number);
    const cache = caches[job.ticket.model]!;
    const { generated, stage } = job.ticket;
    const how = pinned ? cache.lookUpPinned : cache.lookUp;
    return generated > 0 ? how(job.own, stage.promptTokens + generated - 1) : how(job.base, job.baseTokens);
  }

  /** Writes what memory holds into the view; cached beginnings make room where they must. */
  function settle(): void {
    let pinned = 0;
    let idle = 0;
    for (let k = 0; k < caches.length; k++) {
      pinned += caches[k]!.pinnedBlocks * bytesOfBlock[k]!;
      idle += caches[k]!.idleBlocks * bytesOfBlock[k]!;
    }
    view.weightBytes = atNode.weightBytes;
    view.committedBytes = ownBytes + pinned;
    let over = view.weightBytes + view.committedBytes + idle - deviceBytes;
    for (let k = 0; k < caches.length && over > 0; k++) {
      const cache = caches[k]!;
      if (cache.idleBlocks === 0) continue;
      const least = Math.max(0, cache.idleBlocks - Math.ceil(over / bytesOfBlock[k]!));
      const dropped = cache.shrinkTo(least);
      counts.droppedBlocks += dropped;
      over -= dropped * bytesOfBlock[k]!;
      idle -= dropped * bytesOfBlock[k]!;
    }
    view.idleBytes = idle;
    view.running = running.length + joining.length + away.size;
  }

  const blocksFor = (r: Running, tokens: number): number => Math.max(0, Math.ceil((tokens - r.shared) / blockSize));

  /** Bytes beyond what is set aside that the next `n` iterations need. */
  function growth(n: number): number {
    let bytes = 0;
    for (const r of running) {
      if (r.left > 0) continue;
      const more = Math.ceil((r.context + n - r.shared) / blockSize) - r.blocks;
      if (more > 0) bytes += more * bytesOfBlock[r.model]!;
    }
    return bytes;
  }

  const mostBlockBytes = Math.max(...bytesOfBlock);
  /** More than `growth` can be, found without looking at every sequence. */
  const growthBound = (n: number): number => running.length * (Math.ceil(n / blockSize) + 1) * mostBlockBytes;

  const free = (): number => deviceBytes - view.weightBytes - view.committedBytes;
  /** The same, when the iteration that is under way has ended. */
  const freeAt = (now: number): number => free() - (rounds > 0 ? growth(roundsBy(now)) : 0);

  function duration(n: number): number {
    return n * (first + (slope * (n - 1)) / 2);
  }

  /** Plans as many iterations as nothing can change in. */
  function plan(now: number): void {
    version++;
    rounds = 0;
    for (;;) {
      if (running.length === 0) return;
      if (growthBound(1) <= free()) break;
      const need = growth(1);
      if (need <= free()) break;
      if (running.length + joining.length + away.size === 1) {
        const alone = running[0]!;
        take(alone);
        release(alone, now);
        events.tooLarge(alone.job, simulated, now);
        return;
      }
      report();
      if (!events.overflow(simulated, need - free(), now)) {
        const last = running.reduce((a, b) => (b.job.admittedAt >= a.job.admittedAt ? b : a));
        stop(last, false, now);
      }
    }
    decoding.fill(0);
    contexts.fill(0);
    prompts.fill(0);
    promptContexts.fill(0);
    let all = 0;
    let least = mostIterations;
    for (const r of running) {
      if (r.left > 0) continue;
      decoding[r.model]!++;
      contexts[r.model]! += r.context;
      all++;
      const left = r.target - r.generated;
      if (left < least) least = left;
    }
    let n = least;
    const room = Math.max(profile.chunkTokens >> 3, profile.chunkTokens - all);
    planned = prefills[0];
    perRound = 0;
    if (planned) {
      if (planned.left > room) {
        perRound = room;
        n = Math.min(n, Math.ceil(planned.left / room) - 1);
        prompts[planned.model] = room;
        promptContexts[planned.model] = planned.context + (room * n) / 2;
      } else {
        n = 1;
        let rest = room;
        for (const r of prefills) {
          if (rest === 0) break;
          const part = Math.min(rest, r.left);
          prompts[r.model]! += part;
          promptContexts[r.model] = Math.max(promptContexts[r.model]!, r.context + part / 2);
          rest -= part;
        }
        perRound = room - rest;
      }
    }
    if (n > 1 && growthBound(n) > free() && growth(n) > free()) {
      let low = 1;
      let high = n;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (growth(middle) <= free()) low = middle;
        else high = middle;
      }
      n = low;
    }
    first = 0;
    slope = 0;
    for (let k = 0; k < models.length; k++) {
      if (decoding[k] === 0 && prompts[k] === 0) continue;
      const begin = iterationSeconds(costs[k]!, decoding[k]!, contexts[k]!, prompts[k]!, promptContexts[k]!);
      first += begin;
      if (n === 1 || decoding[k] === 0) continue;
      const grown = contexts[k]! + decoding[k]! * (n - 1);
      const last = iterationSeconds(costs[k]!, decoding[k]!, grown, prompts[k]!, promptContexts[k]!);
      slope += (last - begin) / (n - 1);
    }
    begun = now;
    rounds = n;
    events.wake(simulated, now + duration(n), version);
  }

  /** Iterations of the plan that have ended, or end with the one that is under way, at `now`. */
  function roundsBy(now: number): number {
    const elapsed = now - begun;
    let n =
      slope > 0
        ? Math.floor((-(first - slope / 2) + Math.sqrt((first - slope / 2) ** 2 + 2 * slope * elapsed)) / slope)
        : Math.floor(elapsed / first);
    n = Math.max(1, n - 1);
    while (n < rounds && duration(n) < elapsed - 1e-12) n++;
    return Math.min(rounds, n);
  }

  /** Ends the plan with the iteration that is under way. */
  function cut(now: number): void {
    if (rounds === 0) return plan(now);
    const n = roundsBy(now);
    if (n === rounds) return;
    rounds = n;
    version++;
    events.wake(simulated, begun + duration(n), version);
  }

  /** What the planned iterations did. */
  function apply(at: number): void {
    const n = rounds;
    rounds = 0;
    counts.iterations += n;
    counts.busySeconds += at - begun;
    let over: Running[] | undefined;
    let decoded = 0;
    for (const r of running) {
      if (r.left > 0) continue;
      r.generated += n;
      r.context += n;
      decoded += n;
      if (r.context - r.shared > r.blocks * blockSize || r.blocks > r.floor) grow(r);
      if (r.generated >= r.target) (over ??= []).push(r);
    }
    counts.decoded += decoded;
    let tokens = perRound * n;
    while (planned && tokens > 0 && prefills.length > 0) {
      const r = prefills[0]!;
      const part = Math.min(tokens, r.left);
      tokens -= part;
      r.left -= part;
      r.context += part;
      r.job.computed += part;
      counts.prefilled += part;
      view.prefillTokens -= part;
      if (r.left > 0) break;
      prefills.shift();
      const { job } = r;
      job.decodeFrom = at;
      r.generated++;
      counts.decoded++;
      if (job.firstTokenAt < 0) {
        job.firstTokenAt = at;
        events.firstToken(job, at);
      }
      if (r.generated >= r.target) (over ??= []).push(r);
    }
    planned = undefined;
    if (over) for (const r of over) finish(r, at);
  }

  /** Tells tickets how far they are. */
  function report(): void {
    for (const r of running) r.job.ticket.generated = r.generated;
  }

  function grow(r: Running): void {
    const blocks = Math.max(r.floor, blocksFor(r, r.context));
    if (blocks === r.blocks) return;
    ownBytes += (blocks - r.blocks) * bytesOfBlock[r.model]!;
    r.blocks = blocks;
  }

  function take(r: Running): void {
    let at = running.indexOf(r);
    if (at >= 0) {
      running[at] = running[running.length - 1]!;
      running.pop();
      at = prefills.indexOf(r);
      if (at >= 0) {
        prefills.splice(at, 1);
        view.prefillTokens -= r.left;
        if (planned === r) perRound = 0;
      }
      return;
    }
    at = joining.indexOf(r);
    if (at >= 0) {
      joining.splice(at, 1);
      view.prefillTokens -= r.left;
    } else away.delete(r.job.ticket.number);
  }

  /** Gives memory back; what was computed stays cached while there is room. */
  function release(r: Running, now: number): void {
    r.job.ticket.generated = r.generated;
    ownBytes -= r.blocks * bytesOfBlock[r.model]!;
    places[r.model]!.running--;
    view.contextTokens -= tokensAtStart(r);
    r.job.served += now - r.since;
    if (r.left === 0) r.job.own.end = r.context;
    if (r.left === 0 && r.context > r.shared) caches[r.model]!.add(r.job.own, r.shared, r.context, r.span);
    else caches[r.model]!.unpin(r.span);
    settle();
  }

  const tokensAtStart = (r: Running): number => r.job.ticket.stage.promptTokens;

  function finish(r: Running, at: number): void {
    take(r);
    release(r, at);
    events.ended(r.job, simulated, at);
  }

  function stop(r: Running, keep: boolean, now: number): void {
    counts.pauses++;
    take(r);
    const { job } = r;
    const { ticket } = job;
    const kept = keep && r.left === 0;
    if (kept) counts.kept++;
    ticket.kept = kept;
    ticket.node = kept ? view.index : -1;
    ticket.interruptions++;
    release(r, now);
    events.paused(job, simulated, now);
  }

  const simulated: SimulatedNode = {
    profile,
    view,
    counts,
    get usedBytes() {
      let bytes = 0;
      for (const r of running) bytes += blocksFor(r, r.context) * bytesOfBlock[r.model]!;
      for (let k = 0; k < caches.length; k++) bytes += caches[k]!.pinnedBlocks * bytesOfBlock[k]!;
      return bytes;
    },
    get reservations() {
      let [whole, answers, longestAnswers] = [0, 0, 0];
      for (const r of [...running, ...joining, ...away.values()]) {
        const { promptTokens, maxTokens } = r.job.ticket.stage;
        const bytes = models[r.model]!.kvBytesPerToken;
        whole += (promptTokens + maxTokens) * bytes;
        longestAnswers += maxTokens * bytes;
        answers += Math.max(0, r.shared + r.blocks * blockSize - promptTokens) * bytes;
      }
      return { whole, answers, longestAnswers };
    },
    get jobs() {
      return [...running, ...joining, ...away.values()].map((r) => r.job);
    },
    admit(job, reserveTokens, now) {
      const { ticket } = job;
      const { stage, model } = ticket;
      const place = places[model]!;
      if (!view.alive || place.place !== 'device' || view.running >= view.slots) return false;
      const prompt = stage.promptTokens + ticket.generated;
      const reserve = Math.max(1, reserveTokens - ticket.generated);
      const cache = caches[model]!;
      const own = ticket.generated > 0 && cache.lookUp(job.own, prompt - 1) > job.baseTokens;
      const begins: readonly [Content | undefined, number, boolean] = own
        ? [job.own, prompt - 1, false]
        : [job.base, job.baseTokens, true];
      const { blocks: pinned, end } = cache.pinCost(...begins);
      const most = Math.min(end, prompt - 1);
      const shared = most - (most % blockSize);
      const blocks = Math.max(0, Math.ceil((prompt + reserve - shared) / blockSize));
      const bytes = (blocks + pinned) * bytesOfBlock[model]!;
      if (bytes > free() - (rounds > 0 ? growthBound(rounds) : 0) && bytes > freeAt(now)) return false;
      const { span, tokens } = cache.pin(...begins);
      const restoring = ticket.kept && ticket.node === view.index;
      const hit = restoring ? prompt - 1 : Math.min(tokens, prompt - 1);
      const r: Running = {
        job,
        model,
        left: prompt - hit,
        generated: ticket.generated,
        target: job.target,
        context: hit,
        shared,
        span,
        blocks,
        floor: blocks,
        since: now,
      };
      ownBytes += blocks * bytesOfBlock[model]!;
      counts.reused += tokens;
      if (job.admittedAt < 0) job.cached = tokens;
      job.admittedAt = now;
      place.running++;
      place.usedAt = now;
      view.prefillTokens += r.left;
      view.contextTokens += tokensAtStart(r);
      ticket.node = view.index;
      ticket.kept = false;
      if (restoring) {
        away.set(ticket.number, r);
        const bytes = (prompt - shared) * models[model]!.kvBytesPerToken;
        options.restore(simulated, job, now + Math.max(0, bytes) / profile.hostBytesPerSecond);
      } else joining.push(r);
      settle();
      if (!restoring) join(now);
      return true;
    },
    restored(job, at) {
      const r = away.get(job.ticket.number);
      if (!r) return;
      away.delete(job.ticket.number);
      joining.push(r);
      join(at);
    },
    pause(job, keep, now) {
      const r = [...running, ...joining, ...away.values()].find((other) => other.job === job);
      if (!r) return false;
      if (rounds > 0 && r.left === 0 && running.includes(r)) {
        // It still has the iteration that is under way.
        const n = roundsBy(now);
        if (r.generated + n >= r.target) return false;
        cut(now);
        r.generated += n;
        r.context += n;
        counts.decoded += n;
        grow(r);
      }
      stop(r, keep, now);
      if (rounds === 0) plan(now);
      return true;
    },
    load(model, park, now) {
      const { place } = places[model]!;
      if (!view.alive || place === 'device' || place === 'loading') return undefined;
      for (const other of park) if (!simulated.park(other)) return undefined;
      if (models[model]!.weightBytes > freeAt(now)) return undefined;
      const { seconds, fromHost } = atNode.load(model, now)!;
      counts.loads++;
      if (fromHost) counts.hostLoads++;
      settle();
      return seconds;
    },
    loaded: atNode.loaded,
    park(model) {
      if (!atNode.park(model)) return false;
      caches[model]!.clear();
      settle();
      return true;
    },
    wake(at, wanted) {
      if (wanted !== version || !view.alive) return;
      if (rounds > 0) apply(at);
      settle();
      begin();
      plan(at);
    },
    report,
    fail() {
      report();
      const lost = simulated.jobs.slice();
      view.alive = false;
      version++;
      rounds = 0;
      running.length = 0;
      prefills.length = 0;
      joining.length = 0;
      away.clear();
      planned = undefined;
      ownBytes = 0;
      view.prefillTokens = 0;
      view.contextTokens = 0;
      for (const cache of caches) cache.clear();
      atNode.lose();
      settle();
      return lost;
    },
    recover() {
      view.alive = true;
    },
  };

  function begin(): void {
    for (const r of joining) {
      running.push(r);
      prefills.push(r);
    }
    joining.length = 0;
  }

  function join(now: number): void {
    if (rounds > 0) return cut(now);
    begin();
    plan(now);
  }

  return simulated;
}
