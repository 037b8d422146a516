/** Ways of other schedulers to choose a node. */
import type { NodeView, Ticket } from '../decision.js';
import type { Routing } from './levels.js';

function lowest(candidates: readonly NodeView[], cost: (node: NodeView) => number): NodeView | undefined {
  let best: NodeView | undefined;
  let bestCost = Infinity;
  for (const node of candidates) {
    const own = cost(node);
    if (own >= bestCost) continue;
    best = node;
    bestCost = own;
  }
  return best ?? candidates[0];
}

/** Tokens that a node has to go through: prompts yet to compute, and a token of each sequence. */
const loadOf = (node: NodeView): number => node.running / node.slots + node.prefillTokens / (4 * node.chunkTokens);

export function roundRobin(): Routing {
  let last = -1;
  return {
    name: 'round-robin',
    choose(_ticket, candidates, { nodes }) {
      const node = lowest(candidates, ({ index }) => (index - last - 1 + nodes.length) % nodes.length);
      if (node) last = node.index;
      return node;
    },
  };
}

export function leastLoaded(): Routing {
  return { name: 'least-loaded', choose: (_ticket, candidates) => lowest(candidates, loadOf) };
}

/** The longest cached beginning; the least loaded where none is long, or where the one that has it is far busier. */
export function prefixAffinity({ least = 0.3, imbalance = 0.5 } = {}): Routing {
  return {
    name: 'prefix-affinity',
    choose(ticket, candidates) {
      const idlest = lowest(candidates, loadOf);
      const best = lowest(candidates, (node) => -node.cachedTokens(ticket));
      if (!best || !idlest) return idlest;
      const part = best.cachedTokens(ticket) / ticket.stage.promptTokens;
      return part >= least && loadOf(best) - loadOf(idlest) <= imbalance ? best : idlest;
    },
  };
}

/** Autellix: short calls go where there is least to do, those of long context stay where their program was. */
export function programAffinity({ longTokens = 2048 } = {}): Routing {
  const homes = new Map<number, number>();
  return {
    name: 'program-affinity',
    note(change) {
      if (change.kind === 'started') homes.set(change.ticket.program.number, change.node);
      if (change.kind === 'shed') homes.delete(change.program.number);
      if (change.kind === 'ended' && change.ticket.program.state !== 'open') homes.delete(change.ticket.program.number);
    },
    choose(ticket, candidates) {
      const home = homes.get(ticket.program.number);
      const own = candidates.find(({ index }) => index === home);
      return own && ticket.stage.promptTokens >= longTokens ? own : lowest(candidates, loadOf);
    },
  };
}

export interface KvCostOptions {
  /** Weight of the prompt's blocks that are not cached against blocks that decode, and of sequences that run. */
  readonly prefillScale?: number;
  readonly active?: number;
}

/** The cost of NVIDIA Dynamo's router: prompt blocks to compute, blocks in use, sequences that run. */
export function kvCost({ prefillScale = 1, active = 1 }: KvCostOptions = {}): Routing {
  return {
    name: 'kv-cost',
    choose: (ticket: Ticket, candidates, { blockSize, models }) =>
      lowest(candidates, (node) => {
        const missing = ticket.stage.promptTokens - node.cachedTokens(ticket) + node.prefillTokens;
        const decoding = node.committedBytes / (models[ticket.model]!.kvBytesPerToken * blockSize);
        return (prefillScale * Math.max(0, missing)) / blockSize + decoding + active * node.running;
      }),
  };
}
