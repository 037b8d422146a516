/** Which models are where: as they were put, or those used of late. */
import { freeKvBytes, type Action, type NodeView, type Snapshot } from '../decision.js';
import type { Residency } from './levels.js';

/** Models stay where they were at first; a node that comes back gets its own again. */
export function fixedModels(): Residency {
  let first: (readonly number[])[] | undefined;
  return {
    name: 'fixed',
    note(_change, { nodes }) {
      first ??= nodes.map((node) => node.models.flatMap(({ place }, model) => (place === 'device' ? [model] : [])));
    },
    miss(ticket, { nodes }) {
      for (const node of nodes) {
        if (!node.alive || !first?.[node.index]!.includes(ticket.model)) continue;
        const { place } = node.models[ticket.model]!;
        if (place === 'host' || place === 'disk')
          return { kind: 'load', node: node.index, model: ticket.model, park: [] };
      }
      return undefined;
    },
  };
}

/** What has to leave a node so that a model fits, cheapest first by `cost`; undefined when even that is not enough. Models in use have to end first. */
export function makeRoom(
  node: NodeView,
  model: number,
  { models }: Snapshot,
  cost: (model: number) => number,
): { readonly park: readonly number[]; readonly drain: readonly number[]; readonly cost: number } | undefined {
  let free = freeKvBytes(node);
  // Of a model alone, a tenth of its weights is the least for keys and values.
  const need = 1.1 * models[model]!.weightBytes;
  const leaving: number[] = [];
  const drain: number[] = [];
  let sum = 0;
  const there = node.models
    .flatMap(({ place }, k) => (place === 'device' && k !== model ? [k] : []))
    .sort((a, b) => cost(a) - cost(b));
  for (const k of there) {
    if (free >= need) break;
    free += models[k]!.weightBytes;
    sum += cost(k);
    if (node.models[k]!.running > 0) drain.push(k);
    else leaving.push(k);
  }
  // Sequences of models that leave give their memory back too.
  if (free < need && (drain.length === 0 || there.length > drain.length + leaving.length)) return undefined;
  if (free < need && node.deviceBytes < need) return undefined;
  return { park: leaving, drain, cost: sum };
}

/** Loaded when it is asked for, in place of what was used longest ago. */
export function leastRecentlyUsed(): Residency {
  const leaving = new Map<number, { readonly drain: readonly number[]; readonly want: number }>();

  function loadAt(node: NodeView, model: number, snapshot: Snapshot): Action | undefined {
    const room = makeRoom(node, model, snapshot, (k) => node.models[k]!.usedAt);
    if (!room) return undefined;
    if (room.drain.length > 0) {
      leaving.set(node.index, { drain: room.drain, want: model });
      return undefined;
    }
    leaving.delete(node.index);
    return { kind: 'load', node: node.index, model, park: room.park };
  }

  return {
    name: 'lru',
    leaving: (node, model) => leaving.get(node)?.drain.includes(model) ?? false,
    miss(ticket, snapshot) {
      const { nodes, now } = snapshot;
      for (const [index, { want }] of leaving) {
        const node = nodes[index]!;
        if (!node.alive || (node.models[want]!.place !== 'disk' && node.models[want]!.place !== 'host'))
          leaving.delete(index);
      }
      for (const [index, { want }] of leaving)
        if (want === ticket.model) return loadAt(nodes[index]!, ticket.model, snapshot);
      let there = false;
      let best: NodeView | undefined;
      let bestUsed = Infinity;
      for (const node of nodes) {
        if (!node.alive || leaving.has(node.index)) continue;
        const { place, readySeconds } = node.models[ticket.model]!;
        if (place === 'loading') return undefined;
        if (place === 'device') there = true;
        else {
          const room = makeRoom(node, ticket.model, snapshot, (model) => node.models[model]!.usedAt);
          if (!room) continue;
          const used =
            Math.max(...room.park.concat(room.drain).map((k) => node.models[k]!.usedAt), 0) +
            readySeconds +
            (room.drain.length > 0 ? 1e6 : 0);
          if (used >= bestUsed) continue;
          best = node;
          bestUsed = used;
        }
      }
      if (!best) return undefined;
      // A second copy, only when waiting took longer than loading does.
      const wait = now - ticket.readyAt;
      if (there && wait < 2 * best.models[ticket.model]!.readySeconds) return undefined;
      return loadAt(best, ticket.model, snapshot);
    },
    // Who made it leave may have found another place by now; it is not left half done.
    spare(snapshot) {
      for (const [index, { want, drain }] of leaving) {
        const node = snapshot.nodes[index]!;
        const { place } = node.models[want]!;
        if (!node.alive || place === 'device' || place === 'loading') leaving.delete(index);
        else if (drain.every((k) => node.models[k]!.running === 0)) {
          leaving.delete(index);
          return loadAt(node, want, snapshot);
        }
      }
      return undefined;
    },
  };
}
