/**
 * Maestro's choice of models for devices: whoever leaves is the one whose next miss is expected to cost least for the memory it takes, and a model that a
 * workflow will need next is brought while its stage before still runs.
 */
import type { Action, NodeView, Snapshot, Ticket } from '../decision.js';
import type { Residency } from './levels.js';
import { makeRoom } from './residency.js';

export interface MaestroResidencyOptions {
  /** Brings models before they are asked for. Default true. */
  readonly prefetch?: boolean;
  /** Seconds over which demand is averaged. Default 60. */
  readonly memory?: number;
}

interface Drain {
  readonly drain: readonly number[];
  readonly want: number;
  readonly since: number;
}

export function maestroResidency(options: MaestroResidencyOptions = {}): Residency {
  const { prefetch = true, memory = 60 } = options;
  /** Stages of each model of late, fading. */
  const demand: number[] = [];
  const seen: number[] = [];
  const leaving = new Map<number, Drain>();
  /** Models that stages will need when others end: how many, by model. */
  const coming: number[] = [];
  const expected = new Map<Ticket, readonly number[]>();

  const rate = (model: number, now: number): number =>
    ((demand[model] ?? 0) * Math.exp(-(now - (seen[model] ?? 0)) / memory) + (coming[model] ?? 0)) / memory;

  function copies(model: number, nodes: readonly NodeView[]): number {
    let count = 0;
    for (const node of nodes) {
      const { place } = node.models[model]!;
      if (node.alive && (place === 'device' || place === 'loading')) count++;
    }
    return count;
  }

  /** Expected seconds a second of waiting for loads, if the model were not on the node, for each byte it takes there. */
  function missCost(node: NodeView, model: number, { now, nodes, models }: Snapshot): number {
    const shared = copies(model, nodes);
    const reload = models[model]!.weightBytes / node.hostBytesPerSecond + 0.5;
    // Where others have it too, only the crowding is felt.
    const miss = shared > 1 ? reload / shared ** 2 : reload;
    return (rate(model, now) * miss) / models[model]!.weightBytes;
  }

  function loadAt(
    node: NodeView,
    model: number,
    snapshot: Snapshot,
    most: number,
    mayDrain: boolean,
  ): Action | undefined {
    const room = makeRoom(node, model, snapshot, (k) => missCost(node, k, snapshot) * snapshot.models[k]!.weightBytes);
    if (!room || room.cost > most) return undefined;
    if (room.drain.length > 0) {
      if (mayDrain && !leaving.has(node.index))
        leaving.set(node.index, { drain: room.drain, want: model, since: snapshot.now });
      return undefined;
    }
    leaving.delete(node.index);
    return { kind: 'load', node: node.index, model, park: room.park };
  }

  function tidy({ nodes, now }: Snapshot): void {
    for (const [index, { want, since }] of leaving) {
      const { alive, models } = nodes[index]!;
      const { place } = models[want]!;
      if (!alive || place === 'device' || place === 'loading' || now - since > 120) leaving.delete(index);
    }
  }

  return {
    name: 'maestro',
    note(change, { now, models }) {
      if (change.kind === 'queued' && change.ticket.interruptions === 0) {
        const { model } = change.ticket;
        demand[model] = (demand[model] ?? 0) * Math.exp(-(now - (seen[model] ?? 0)) / memory) + 1;
        seen[model] = now;
      } else if (change.kind === 'started' && prefetch) {
        const { ticket } = change;
        const next = ticket.program.workflow
          .childrenOf(ticket.stage.id)
          .map(({ model }) => models.findIndex(({ name }) => name === model));
        if (next.length === 0) return;
        expected.set(ticket, next);
        for (const model of next) coming[model] = (coming[model] ?? 0) + 1;
      } else if (change.kind === 'ended') {
        for (const model of expected.get(change.ticket) ?? []) coming[model]!--;
        expected.delete(change.ticket);
      }
    },
    leaving: (node, model) => leaving.get(node)?.drain.includes(model) ?? false,
    miss(ticket, queued, snapshot) {
      tidy(snapshot);
      const { nodes, now } = snapshot;
      const { model } = ticket;
      for (const [index, { want }] of leaving)
        if (want === model) return loadAt(nodes[index]!, model, snapshot, Infinity, false);
      const shared = copies(model, nodes);
      let best: NodeView | undefined;
      let bestCost = Infinity;
      for (const node of nodes) {
        if (!node.alive || leaving.has(node.index)) continue;
        const { place, readySeconds } = node.models[model]!;
        if (place === 'loading') return undefined;
        if (place === 'device') continue;
        const room = makeRoom(
          node,
          model,
          snapshot,
          (k) => missCost(node, k, snapshot) * snapshot.models[k]!.weightBytes,
        );
        if (!room) continue;
        // The last copy of a model that is wanted is worth its reloads; sequences that have to end first cost their time.
        const cost = readySeconds + memory * room.cost + 5 * room.drain.length;
        if (cost >= bestCost) continue;
        best = node;
        bestCost = cost;
      }
      if (!best) return undefined;
      if (shared > 0) {
        // Another copy pays when those that wait are more than a copy's share and have waited for longer than it takes to bring one.
        const wait = now - ticket.readyAt;
        const perCopy = (queued[model] ?? 0) / shared;
        let others = 0;
        for (let k = 0; k < queued.length; k++) {
          if (k !== model) others = Math.max(others, (queued[k] ?? 0) / Math.max(1, copies(k, nodes)));
        }
        if (wait < bestCost || perCopy < 6 || perCopy < 3 * others) return undefined;
      }
      return loadAt(best, model, snapshot, Infinity, true);
    },
    spare(_queued, snapshot) {
      for (const [index, { want, drain }] of leaving) {
        const node = snapshot.nodes[index]!;
        if (!drain.every((k) => node.models[k]!.running === 0)) continue;
        leaving.delete(index);
        const { place } = node.models[want]!;
        if (node.alive && place !== 'device' && place !== 'loading') {
          const load = loadAt(node, want, snapshot, Infinity, false);
          if (load) return load;
        }
      }
      if (prefetch) {
        for (let model = 0; model < coming.length; model++) {
          if (!((coming[model] ?? 0) > 0) || copies(model, snapshot.nodes) > 0) continue;
          for (const node of snapshot.nodes) {
            if (!node.alive || node.models[model]!.place === 'loading') continue;
            const load = loadAt(
              node,
              model,
              snapshot,
              rate(model, snapshot.now) * node.models[model]!.readySeconds,
              false,
            );
            if (load) return load;
          }
        }
      }
      return undefined;
    },
  };
}
