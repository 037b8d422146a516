/**
 * How memory for keys and values is shared out by which models are where. A model's stages get along by the room that they have on the nodes that hold its
 * weights; weights themselves take room. Of all single changes, the one that helps those most that need most. Pure.
 */
import type { NodeView } from '../decision.js';

export interface BalanceChange {
  readonly node: number;
  readonly model: number;
  readonly kind: 'add' | 'remove';
}

export interface BalanceInput {
  readonly nodes: readonly NodeView[];
  readonly weights: readonly number[];
  /** Bytes of keys and values that stages of each model want now: those that run and those that wait. */
  readonly wanted: readonly number[];
  /** Nodes that are not to be touched. */
  readonly busy: (node: NodeView) => boolean;
}

/** Each change interrupts something: less than this part of the pressure is not worth it. */
const LEAST_GAIN = 0.15;
/** What is counted as room of a model that has none. */
const NO_ROOM = 1e6;

export function balanceModels({ nodes, weights, wanted, busy }: BalanceInput): BalanceChange | undefined {
  const count = weights.length;
  const room = new Array<number>(count).fill(0);
  const copies = new Array<number>(count).fill(0);
  const held = (node: NodeView, model: number): boolean => {
    const { place } = node.models[model]!;
    return place === 'device' || place === 'loading';
  };
  /** Room of each model of a node that has so many of them with so many bytes of weights. */
  const share = (node: NodeView, bytes: number, models: number): number =>
    models === 0 ? 0 : Math.max(0, node.deviceBytes - bytes) / models;
  const modelsOf = (node: NodeView): number[] => weights.flatMap((_, model) => (held(node, model) ? [model] : []));

  for (const node of nodes) {
    if (!node.alive) continue;
    const models = modelsOf(node);
    for (const model of models) {
      room[model]! += share(node, node.weightBytes, models.length);
      copies[model]!++;
    }
  }
  const pressure = (rooms: readonly number[]): number => {
    let sum = 0;
    for (let k = 0; k < count; k++) if (wanted[k]! > 0) sum += wanted[k]! ** 2 / Math.max(NO_ROOM, rooms[k]!);
    return sum;
  };
  const now = pressure(room);
  let best: BalanceChange | undefined;
  let least = (1 - LEAST_GAIN) * now;
  for (const node of nodes) {
    if (!node.alive || busy(node)) continue;
    const models = modelsOf(node);
    const before = share(node, node.weightBytes, models.length);
    for (let model = 0; model < count; model++) {
      const there = models.includes(model);
      if (there ? copies[model]! < 2 : wanted[model] === 0) continue;
      const bytes = node.weightBytes + (there ? -1 : 1) * weights[model]!;
      if (bytes > 0.9 * node.deviceBytes) continue;
      const after = share(node, bytes, models.length + (there ? -1 : 1));
      const rooms = room.slice();
      for (const other of models) rooms[other]! += after - before;
      if (there) rooms[model]! -= after;
      else rooms[model]! += after;
      const then = pressure(rooms);
      if (then >= least) continue;
      least = then;
      best = { node: node.index, model, kind: there ? 'remove' : 'add' };
    }
  }
  return best;
}
