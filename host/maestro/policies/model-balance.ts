/**
 * Which models are to be where, by what each choice would make of everybody's tokens. Stages of a model are spread over the nodes that hold it; a node takes
 * turns over its models, so a token there takes the iterations of all of them and a part of their prompts; and what finds no memory waits. Of all
 * single changes, the one that makes the sum over all stages least. Pure.
 */
import type { NodeView } from '../decision.js';

export interface BalanceChange {
  readonly node: number;
  readonly model: number;
  readonly kind: 'add' | 'remove';
}

/** What is asked of a model, averaged over the last while. */
export interface ModelDemand {
  /** Stages that run or wait. */
  readonly sequences: number;
  /** Of one of them: tokens that it attends to, tokens of its prompt that have to be computed, tokens of its answer, bytes of keys and values. */
  readonly context: number;
  readonly prompt: number;
  readonly answer: number;
  readonly bytes: number;
}

export interface BalanceInput {
  readonly nodes: readonly NodeView[];
  readonly weights: readonly number[];
  readonly demand: readonly ModelDemand[];
  /** Nodes that are not to be touched. */
  readonly busy: (node: NodeView) => boolean;
}

/** Each change interrupts something: less than this part of the time is not worth it. */
const LEAST_GAIN = 0.1;
/** Shares into which the stages of a model are dealt out. */
const SHARES = 12;
/** Of many nodes, how many are tried for each model. */
const TRIED = 6;
/** A model without stages keeps one copy where it costs nobody anything. */
const LEAST_SEQUENCES = 0.05;

/** Time of all stages under an assignment: `holds[node][model]`. */
function timeUnder(holds: readonly (readonly boolean[])[], { nodes, weights, demand }: BalanceInput): number {
  const count = nodes.length;
  const models = demand.length;
  const sequences = nodes.map(() => new Float64Array(models));
  const bytes = new Float64Array(count);
  const time = new Float64Array(count);
  const all = new Float64Array(count);
  const rooms = nodes.map((node, j) => {
    let room = node.deviceBytes;
    for (let m = 0; m < models; m++) if (holds[j]![m]) room -= weights[m]!;
    return Math.max(1, room);
  });
  /** Seconds that a node's turn of a model takes with so many stages of it. */
  const turn = (j: number, m: number, n: number): number => {
    if (n < LEAST_SEQUENCES) return 0;
    const { context, prompt, answer } = demand[m]!;
    const node = nodes[j]!;
    // Less than one stage at a time: the turn is taken for a part of the time.
    const iteration = Math.min(1, n) * node.iterationSeconds(m, Math.max(1, n), Math.max(1, n) * context);
    return iteration + (n * prompt) / node.prefillRate(m) / Math.max(1, answer);
  };
  /** Stages that find no memory wait for those that have it. */
  const crowd = (j: number, held: number): number => Math.max(1, held / rooms[j]!) ** 2;

  const order = Array.from({ length: models }, (_, m) => m).sort(
    (a, b) => demand[b]!.sequences * demand[b]!.bytes - demand[a]!.sequences * demand[a]!.bytes,
  );
  for (const m of order) {
    const { sequences: wanted, bytes: each } = demand[m]!;
    if (wanted < LEAST_SEQUENCES) continue;
    const share = wanted / SHARES;
    for (let s = 0; s < SHARES; s++) {
      let best = -1;
      let least = Infinity;
      let bestTurn = 0;
      for (let j = 0; j < count; j++) {
        if (!holds[j]![m] || !nodes[j]!.alive) continue;
        const own = sequences[j]![m]!;
        const more = turn(j, m, own + share) - turn(j, m, own);
        const then = (time[j]! + more) * crowd(j, bytes[j]! + share * each) * (all[j]! + share);
        const cost = then - time[j]! * crowd(j, bytes[j]!) * all[j]!;
        if (cost >= least) continue;
        least = cost;
        best = j;
        bestTurn = more;
      }
      // Nobody has it: it would have to be brought for every stage.
      if (best < 0) return Infinity;
      sequences[best]![m]! += share;
      time[best]! += bestTurn;
      all[best]! += share;
      bytes[best]! += share * each;
    }
  }
  let sum = 0;
  for (let j = 0; j < count; j++) sum += time[j]! * crowd(j, bytes[j]!) * all[j]!;
  return sum;
}

export function balanceModels(input: BalanceInput): BalanceChange | undefined {
  const { nodes, weights, demand, busy } = input;
  const models = weights.length;
  const copies = new Array<number>(models).fill(0);
  const holds = nodes.map((node) =>
    node.models.map(({ place }, m) => {
      const there = node.alive && (place === 'device' || place === 'loading');
      if (there) copies[m]!++;
      return there;
    }),
  );
  const now = timeUnder(holds, input);
  if (!(now > 0)) return undefined;
  const free = nodes.filter((node) => node.alive && !busy(node));
  const idlest = free.slice().sort((a, b) => a.running / a.slots - b.running / b.slots || a.index - b.index);
  let best: BalanceChange | undefined;
  let least = (1 - LEAST_GAIN) * now;
  const tryOne = (node: NodeView, model: number, kind: 'add' | 'remove'): void => {
    holds[node.index]![model] = kind === 'add';
    const then = timeUnder(holds, input);
    holds[node.index]![model] = kind !== 'add';
    if (then >= least) return;
    least = then;
    best = { node: node.index, model, kind };
  };
  for (let model = 0; model < models; model++) {
    const without = idlest.filter(({ index }) => !holds[index]![model]);
    if (demand[model]!.sequences >= LEAST_SEQUENCES) {
      for (const node of without.slice(0, TRIED)) {
        if (node.weightBytes + weights[model]! <= 0.9 * node.deviceBytes) tryOne(node, model, 'add');
      }
    }
    if (copies[model]! < 2) continue;
    const having = idlest.filter(({ index }) => holds[index]![model]).reverse();
    for (const node of having.slice(0, TRIED)) tryOne(node, model, 'remove');
  }
  return best;
}
