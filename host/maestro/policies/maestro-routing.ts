/**
 * Maestro's choice of a node: where the stage is predicted to end first. Sums what waits there, what is left of the prompt after reuse, decoding in the
 * batch that it joins, and the memory that may run out; stays with what it knows when nodes are about equal, and counts what it has sent since a node was last seen.
 */
import { freeKvBytes, type NodeView, type Snapshot, type Ticket } from '../decision.js';
import type { Routing } from './levels.js';

export interface MaestroRoutingOptions {
  /** Relative gain below which the node of the workflow's last stage is kept. Default 0.2. */
  readonly hysteresis?: number;
  /** Part of a node's memory below which overflow is counted on, and what an overflow costs of a stage's own time. */
  readonly scarce?: number;
  readonly overflowCost?: number;
  /** Weight of the slowing down of those that run there already. Default 1. */
  readonly others?: number;
}

interface Sent {
  readonly at: number;
  readonly promptTokens: number;
  readonly contextTokens: number;
}

export function maestroRouting(options: MaestroRoutingOptions = {}): Routing {
  const { hysteresis = 0.2, scarce = 0.1, overflowCost = 0.5, others = 1 } = options;
  const homes = new Map<number, number>();
  const sent: Sent[][] = [];

  /** Predicted seconds until the stage would end there. */
  function seconds(ticket: Ticket, node: NodeView, snapshot: Snapshot): number {
    const { model, stage, prediction, generated } = ticket;
    const prompt = stage.promptTokens + generated;
    let waiting = node.prefillTokens;
    let sequences = node.models[model]!.running;
    let context = (node.contextTokens * sequences) / Math.max(1, node.running);
    // What was sent after the node was last seen is not in what was seen.
    for (const { at, promptTokens, contextTokens } of sent[node.index] ?? []) {
      if (at <= node.seenAt || node.seenAt === 0) continue;
      waiting += promptTokens;
      context += contextTokens;
      sequences++;
    }
    const kept = ticket.kept && ticket.node === node.index;
    const hit = kept ? prompt - 1 : node.cachedTokens(ticket);
    const own = Math.max(1, prompt - hit) / node.prefillRate(model);
    const prefill = waiting / node.prefillRate(model) + own;
    const left = Math.max(1, prediction.mean - generated);
    // A model that has nothing to do on a node takes no turn there; its first sequence adds a whole one to everybody's iterations.
    const before = sequences === 0 ? 0 : node.iterationSeconds(model, sequences, context);
    const joined = node.iterationSeconds(model, sequences + 1, context + prompt + left / 2);
    // Other models of the node take turns with this one.
    let turns = 0;
    for (let k = 0; k < node.models.length; k++) {
      const { running } = node.models[k]!;
      if (k !== model && running > 0)
        turns += node.iterationSeconds(k, running, (node.contextTokens * running) / node.running);
    }
    const kv = snapshot.models[model]!.kvBytesPerToken;
    const room = freeKvBytes(node) - (prompt - hit + left) * kv;
    const memory = node.deviceBytes - node.weightBytes;
    const risk = room >= scarce * memory ? 0 : Math.min(1, 1 - room / (scarce * memory));
    const decode = left * (joined + turns);
    const restore = kept ? (prompt * kv) / node.hostBytesPerSecond : 0;
    return (
      node.networkSeconds +
      prefill +
      restore +
      decode +
      others * node.running * (own + left * (joined - before)) +
      risk * overflowCost * (prefill + decode)
    );
  }

  return {
    name: 'maestro',
    note(change, { now, nodes }) {
      if (change.kind === 'started') {
        const { ticket, node } = change;
        homes.set(ticket.program.number, node);
        if (nodes[node]!.seenAt === 0) return;
        const list = (sent[node] ??= []).filter(({ at }) => at > nodes[node]!.seenAt);
        const { promptTokens } = ticket.stage;
        list.push({ at: now, promptTokens, contextTokens: promptTokens });
        sent[node] = list;
      } else if (change.kind === 'shed') homes.delete(change.program.number);
      else if (change.kind === 'ended' && change.ticket.program.state !== 'open')
        homes.delete(change.ticket.program.number);
    },
    choose(ticket, candidates, snapshot) {
      const home = homes.get(ticket.program.number);
      let best: NodeView | undefined;
      let bestCost = Infinity;
      for (const node of candidates) {
        const cost = seconds(ticket, node, snapshot) * (node.index === home ? 1 - hysteresis : 1);
        if (cost >= bestCost) continue;
        best = node;
        bestCost = cost;
      }
      return best;
    },
  };
}
