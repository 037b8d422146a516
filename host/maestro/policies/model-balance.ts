/**
 * Which models are to be where, by what each choice would make of everybody's tokens. Stages of a model are spread over the nodes that hold it; a node takes
 * turns over its models, so a token there takes the iterations of all of them and a part of their prompts; and what finds no memory waits. Of all
 * single changes, the one that makes the sum over all stages least. Pure.
 */
import type { ModelPlace, NodeView } from '../decision.js';

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
/** Of the nodes, how many are tried for each model; and of a large cluster, how many are looked at together. */
const TRIED = 4;
const GROUP = 16;
/** A model without stages keeps one copy where it costs nobody anything. */
const LEAST_SEQUENCES = 0.05;

/** On the device, or on its way there. */
const IN_USE: ReadonlySet<ModelPlace> = new Set(['device', 'loading']);

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

/**
 * `round` counts the calls: of a large cluster each looks at another part, to which the part of what is asked falls that its copies have to serve, so that a look
 * costs the same however many nodes there are.
 */
export function balanceModels(input: BalanceInput, round = 0): BalanceChange | undefined {
  const { nodes: all, demand } = input;
  if (all.length <= GROUP) return balanceGroup(input, []);
  const groups = Math.ceil(all.length / GROUP);
  // Dealt anew each time around, so that those with copies come together with those without.
  const deal = 2 * Math.floor(round / groups) + 1;
  const nodes = all.filter((_, k) => (Math.imul((k + 1) * deal, 0x9e3779b1) >>> 8) % groups === round % groups);
  const has = (node: NodeView, m: number): boolean => node.alive && IN_USE.has(node.models[m]!.place);
  const elsewhere: number[] = [];
  const parts = demand.map((own, m) => {
    const copies = all.reduce((count, node) => count + (has(node, m) ? 1 : 0), 0);
    const here = nodes.reduce((count, node) => count + (has(node, m) ? 1 : 0), 0);
    elsewhere.push(copies - here);
    const part = copies === 0 ? nodes.length / all.length : here / copies;
    return { ...own, sequences: own.sequences * part };
  });
  return balanceGroup({ ...input, nodes, demand: parts }, elsewhere);
}

/** `elsewhere`: copies of each model outside the group. */
function balanceGroup(input: BalanceInput, elsewhere: readonly number[]): BalanceChange | undefined {
  const { nodes, weights, demand, busy } = input;
  const models = weights.length;
  const copies = weights.map((_, m) => elsewhere[m] ?? 0);
  const holds = nodes.map((node) =>
    node.models.map(({ place }, m) => {
      const there = node.alive && IN_USE.has(place);
      if (there) copies[m]!++;
      return there;
    }),
  );
  const now = timeUnder(holds, input);
  if (!(now > 0)) return undefined;
  const idlest = nodes
    .map((_, j) => j)
    .filter((j) => nodes[j]!.alive && !busy(nodes[j]!))
    .sort((a, b) => nodes[a]!.running / nodes[a]!.slots - nodes[b]!.running / nodes[b]!.slots || a - b);
  let best: BalanceChange | undefined;
  let least = (1 - LEAST_GAIN) * now;
  const tryOne = (j: number, model: number, kind: 'add' | 'remove'): void => {
    holds[j]![model] = kind === 'add';
    const then = timeUnder(holds, input);
    holds[j]![model] = kind !== 'add';
    if (then >= least) return;
    least = then;
    best = { node: nodes[j]!.index, model, kind };
  };
  for (let model = 0; model < models; model++) {
    if (demand[model]!.sequences >= LEAST_SEQUENCES) {
      const without = idlest.filter((j) => !holds[j]![model]);
      for (const j of without.slice(0, TRIED)) {
        if (nodes[j]!.weightBytes + weights[model]! <= 0.9 * nodes[j]!.deviceBytes) tryOne(j, model, 'add');
      }
    }
    if (copies[model]! < 2) continue;
    const having = idlest.filter((j) => holds[j]![model]).reverse();
    for (const j of having.slice(0, TRIED)) tryOne(j, model, 'remove');
  }
  return best;
}
