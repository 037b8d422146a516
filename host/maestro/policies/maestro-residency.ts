/**
 * Maestro's choice of models for devices. A model that is nowhere comes in place of those whose next miss is expected to cost least for the memory they take; one
 * that a workflow will need next is brought while the stage before still runs; and every few seconds copies are added where stages wait for a model, or
 * put to sleep where their weights take the room that others' keys and values need.
 */
import { sharedTokens } from '../book.js';
import { freeKvBytes, type Action, type NodeView, type Snapshot, type Ticket } from '../decision.js';
import type { Residency } from './levels.js';
import { balanceModels, type ModelDemand } from './model-balance.js';
import { makeRoom } from './residency.js';

export interface MaestroResidencyOptions {
  /** Brings models before they are asked for. Default true. */
  readonly prefetch?: boolean;
  /** Adds and removes copies. Default true. */
  readonly balance?: boolean;
  /** Seconds over which demand is averaged. Default 60. */
  readonly memory?: number;
}

/** Models that have to end on a node before they leave it; `want` comes then, if any. */
interface Drain {
  readonly drain: readonly number[];
  readonly want: number | undefined;
  readonly since: number;
}

/** What a stage counts for, and models that will be asked for when it ends. */
interface Claim {
  readonly prompt: number;
  readonly answer: number;
  readonly computed: number;
  next: readonly number[] | undefined;
}

/** Sums over the stages of a model. */
interface Sums {
  sequences: number;
  prompt: number;
  answer: number;
  computed: number;
}

/** Seconds between two looks at the balance, and after a change. */
const LOOK_SECONDS = 2;
const SETTLE_SECONDS = 8;
/** Seconds over which what is asked of models is averaged. */
const AVERAGED_SECONDS = 30;
/** Seconds after which a model that does not come to an end is left where it is. */
const MOST_DRAIN = 120;

const noSums = (): Sums => ({ sequences: 0, prompt: 0, answer: 0, computed: 0 });

function demandOf({ sequences, prompt, answer, computed }: Sums, bytesPerToken: number): ModelDemand {
  if (sequences < 1e-6) return { sequences: 0, context: 0, prompt: 0, answer: 1, bytes: 0 };
  // Half of the answer is there, on the average.
  const context = (prompt + answer / 2) / sequences;
  return {
    ...{ sequences, context, prompt: computed / sequences, answer: answer / sequences },
    bytes: ((prompt + answer) / sequences) * bytesPerToken,
  };
}

export function maestroResidency(options: MaestroResidencyOptions = {}): Residency {
  const { prefetch = true, balance = true, memory = 60 } = options;
  /** Stages of each model of late, fading. */
  const demand: number[] = [];
  const seen: number[] = [];
  const leaving = new Map<number, Drain>();
  /** Models that stages will need when others end: how many, by model. */
  const coming: number[] = [];
  /** Stages that wait or run, by model: now, and averaged. */
  const wanted: Sums[] = [];
  const averaged: Sums[] = [];
  let averagedAt = 0;
  /** What each stage of a program counts for in both. */
  const claims = new Map<number, Map<Ticket, Claim>>();
  let nextLook = 0;
  let looks = 0;

  const rate = (model: number, now: number): number =>
    ((demand[model] ?? 0) * Math.exp(-(now - (seen[model] ?? 0)) / memory) + (coming[model] ?? 0)) / memory;

  const isThere = (node: NodeView, model: number): boolean => {
    const { place } = node.models[model]!;
    return node.alive && (place === 'device' || place === 'loading');
  };

  function copies(model: number, nodes: readonly NodeView[]): number {
    let count = 0;
    for (const node of nodes) if (isThere(node, model)) count++;
    return count;
  }

  /** Expected seconds a second of waiting for loads, if the model were not on the node. */
  function missCost(node: NodeView, model: number, { now, nodes, models }: Snapshot): number {
    const shared = copies(model, nodes);
    const reload = models[model]!.weightBytes / node.hostBytesPerSecond + 0.5;
    // Where others have it too, only the crowding is felt.
    return rate(model, now) * (shared > 1 ? reload / shared ** 2 : reload);
  }

  const roomAt = (node: NodeView, model: number, snapshot: Snapshot): ReturnType<typeof makeRoom> =>
    // Cheapest for the bytes it takes first; their sum is what bringing the model costs others.
    makeRoom(node, model, snapshot, (k) => missCost(node, k, snapshot) / snapshot.models[k]!.weightBytes);

  function loadAt(node: NodeView, model: number, snapshot: Snapshot, mayDrain: boolean): Action | undefined {
    const room = roomAt(node, model, snapshot);
    if (!room) return undefined;
    if (room.drain.length > 0) {
      if (mayDrain) leaving.set(node.index, { drain: room.drain, want: model, since: snapshot.now });
      return undefined;
    }
    leaving.delete(node.index);
    return { kind: 'load', node: node.index, model, park: room.park };
  }

  /** What had to end has ended. */
  function drained(snapshot: Snapshot): Action | undefined {
    for (const [index, { drain, want, since }] of leaving) {
      const node = snapshot.nodes[index]!;
      const came = want !== undefined && isThere(node, want);
      if (!node.alive || came || snapshot.now - since > MOST_DRAIN) leaving.delete(index);
      else if (drain.every((k) => node.models[k]!.running === 0)) {
        leaving.delete(index);
        if (want !== undefined) return loadAt(node, want, snapshot, false);
        return { kind: 'park', node: index, model: drain[0]! };
      }
    }
    return undefined;
  }

  function average(count: number, now: number): void {
    const part = 1 - Math.exp(-(now - averagedAt) / AVERAGED_SECONDS);
    averagedAt = now;
    for (let k = 0; k < count; k++) {
      const own = (averaged[k] ??= noSums());
      const present = wanted[k] ?? noSums();
      for (const what of ['sequences', 'prompt', 'answer', 'computed'] as const) {
        own[what] += part * (present[what] - own[what]);
      }
    }
  }

  function rebalanced(snapshot: Snapshot): Action | undefined {
    const { nodes, models, now } = snapshot;
    if (!balance || now < nextLook) return undefined;
    nextLook = now + LOOK_SECONDS;
    average(models.length, now);
    const change = balanceModels(
      {
        nodes,
        weights: models.map(({ weightBytes }) => weightBytes),
        demand: models.map((model, k) => demandOf(averaged[k]!, model.kvBytesPerToken)),
        busy: (node) => leaving.has(node.index) || node.models.some(({ place }) => place === 'loading'),
      },
      looks++,
    );
    if (!change) return undefined;
    const node = nodes[change.node]!;
    const { model } = change;
    if (change.kind === 'add' && freeKvBytes(node) < 1.05 * models[model]!.weightBytes) return undefined;
    nextLook = now + SETTLE_SECONDS;
    if (change.kind === 'add') return { kind: 'load', node: node.index, model, park: [] };
    if (node.models[model]!.running === 0) return { kind: 'park', node: node.index, model };
    leaving.set(node.index, { drain: [model], want: undefined, since: now });
    return undefined;
  }

  function prefetched(snapshot: Snapshot): Action | undefined {
    for (let model = 0; model < coming.length; model++) {
      if (!((coming[model] ?? 0) > 0) || copies(model, snapshot.nodes) > 0) continue;
      for (const node of snapshot.nodes) {
        if (!node.alive || leaving.has(node.index)) continue;
        const room = roomAt(node, model, snapshot);
        if (room && room.drain.length === 0) return { kind: 'load', node: node.index, model, park: room.park };
      }
    }
    return undefined;
  }

  function claim(ticket: Ticket): void {
    let own = claims.get(ticket.program.number);
    if (!own) claims.set(ticket.program.number, (own = new Map<Ticket, Claim>()));
    if (own.has(ticket)) return;
    const prompt = ticket.stage.promptTokens;
    const computed = Math.max(1, prompt - sharedTokens(ticket.stage));
    const held = { prompt, answer: ticket.prediction.mean, computed, next: undefined };
    own.set(ticket, held);
    count(ticket.model, held, 1);
  }

  function count(model: number, { prompt, answer, computed }: Claim, sign: 1 | -1): void {
    const sums = (wanted[model] ??= noSums());
    sums.sequences += sign;
    sums.prompt += sign * prompt;
    sums.answer += sign * answer;
    sums.computed += sign * computed;
  }

  function expect(ticket: Ticket, { models }: Snapshot): void {
    const own = claims.get(ticket.program.number)?.get(ticket);
    const children = ticket.program.workflow.childrenOf(ticket.stage.id);
    if (!own || own.next || children.length === 0) return;
    own.next = children.map(({ model }) => models.findIndex(({ name }) => name === model));
    for (const model of own.next) coming[model] = (coming[model] ?? 0) + 1;
  }

  function unclaim(ticket: Ticket): void {
    const own = claims.get(ticket.program.number);
    const held = own?.get(ticket);
    if (!own || !held) return;
    own.delete(ticket);
    if (own.size === 0) claims.delete(ticket.program.number);
    count(ticket.model, held, -1);
    for (const model of held.next ?? []) coming[model]!--;
  }

  return {
    name: 'maestro',
    note(change, snapshot) {
      if (change.kind === 'queued') {
        const { ticket } = change;
        if (ticket.phase !== 'queued') return;
        claim(ticket);
        if (ticket.interruptions > 0) return;
        const { model } = ticket;
        demand[model] = (demand[model] ?? 0) * Math.exp(-(snapshot.now - (seen[model] ?? 0)) / memory) + 1;
        seen[model] = snapshot.now;
      } else if (change.kind === 'started') expect(change.ticket, snapshot);
      else if (change.kind === 'ended') unclaim(change.ticket);
      else if (change.kind === 'shed') {
        for (const ticket of [...(claims.get(change.program.number)?.keys() ?? [])]) unclaim(ticket);
      }
    },
    leaving: (node, model) => leaving.get(node)?.drain.includes(model) ?? false,
    miss({ model }, snapshot) {
      const { nodes } = snapshot;
      for (const { want } of leaving.values()) if (want === model) return undefined;
      if (copies(model, nodes) > 0) return undefined;
      let best: NodeView | undefined;
      let bestCost = Infinity;
      for (const node of nodes) {
        if (!node.alive || leaving.has(node.index)) continue;
        const room = roomAt(node, model, snapshot);
        if (!room) continue;
        let lost = 0;
        for (const k of [...room.park, ...room.drain]) lost += missCost(node, k, snapshot);
        // Sequences that have to end first cost their time.
        const cost = node.models[model]!.readySeconds + memory * lost + 5 * room.drain.length;
        if (cost >= bestCost) continue;
        best = node;
        bestCost = cost;
      }
      return best && loadAt(best, model, snapshot, true);
    },
    spare: (snapshot) => drained(snapshot) ?? rebalanced(snapshot) ?? (prefetch ? prefetched(snapshot) : undefined),
  };
}
