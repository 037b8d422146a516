/**
 * A policy of four levels: a queue for each model in the order of ranks, and for its first stage a node, memory, and if need be a model brought to a
 * device or a running stage that gives way. Whatever it looks at is kept up to date change by change, so that a decision does not take longer the
 * more stages wait.
 */
import { choosePause } from '../../llm/kv/pause-cost.js';
import {
  blockBytes,
  freeKvBytes,
  type Action,
  type Change,
  type NodeView,
  type Policy,
  type Snapshot,
  type Ticket,
} from '../decision.js';
import { compareRanks, createRankHeap, type Rank, type RankHeap } from '../rank-heap.js';
import type { PolicyLevels } from './levels.js';
import { createNodeIndex } from './node-index.js';

/** With more nodes than this, only the least loaded and those that the workflow has been on are looked at. */
const LOOK_AT = 24;
/** Chunks of prompts that a node may have before it before it gets more: what waits is better ordered in the queue. */
const CHUNKS_AHEAD = 1;
/** Seconds for which a node that refused a stage gets none when what is known of it is not new. */
const REFUSAL_SECONDS = 0.25;
/** Seconds for which a stage waits for other models to leave when only then it fits. */
const PATIENCE_SECONDS = 120;
/** Of those behind a stage that found no room, how many are tried: a small one may fit. */
const BYPASS = 3;

export function composePolicy(name: string, levels: PolicyLevels): Policy {
  const { ordering, routing, provisioning, residency } = levels;
  const queues: RankHeap[] = [];
  const running: RankHeap[] = [];
  const onNode: Set<Ticket>[] = [];
  const blocked: boolean[] = [];
  const ofProgram = new Map<number, Set<Ticket>>();
  const lastNodes = new Map<number, number[]>();
  const timers = createRankHeap();
  const index = createNodeIndex();
  const refusedUntil: number[] = [];
  /** When tickets were paused that have not begun again. */
  const pausedAt = new Map<number, number>();
  let indexed = 0;
  /** Whether anybody asks for the last in rank of those that run. */
  const ranksRunning = ordering.preempts !== undefined || provisioning.victim !== undefined;

  const list = <T>(lists: T[], at: number, make: () => T): T => (lists[at] ??= make());
  const queueOf = (model: number): RankHeap => list(queues, model, createRankHeap);
  const runningOf = (model: number): RankHeap => list(running, model, () => createRankHeap(true));
  const nodeSet = (node: number): Set<Ticket> => list(onNode, node, () => new Set<Ticket>());

  function setRank(ticket: Ticket, snapshot: Snapshot): void {
    const rank = ordering.rank(ticket, snapshot);
    const heap = ticket.phase === 'running' ? runningOf(ticket.model) : queueOf(ticket.model);
    heap.set(ticket, rank);
    if (rank.until !== undefined && rank.until < Infinity) timers.set(ticket, { tier: 0, key: rank.until });
    else timers.delete(ticket);
  }

  function rerank({ program }: Ticket, snapshot: Snapshot): void {
    for (const other of ofProgram.get(program.number) ?? []) {
      if (other.phase === 'queued' || ranksRunning) setRank(other, snapshot);
    }
  }

  function forget(ticket: Ticket): void {
    queueOf(ticket.model).delete(ticket);
    runningOf(ticket.model).delete(ticket);
    timers.delete(ticket);
    pausedAt.delete(ticket.number);
    const own = ofProgram.get(ticket.program.number);
    own?.delete(ticket);
    if (own?.size === 0) ofProgram.delete(ticket.program.number);
  }

  function note(change: Change, snapshot: Snapshot): void {
    ordering.note?.(change, snapshot);
    routing.note?.(change, snapshot);
    provisioning.note?.(change, snapshot);
    residency.note?.(change, snapshot);
    switch (change.kind) {
      case 'arrived':
      case 'overflow':
        return;
      case 'queued': {
        const { ticket } = change;
        if (ticket.phase !== 'queued') return;
        if (ticket.interruptions > 0) {
          for (const set of onNode) set?.delete(ticket);
          runningOf(ticket.model).delete(ticket);
        }
        const queue = queueOf(ticket.model);
        setRank(ticket, snapshot);
        let own = ofProgram.get(ticket.program.number);
        if (!own) ofProgram.set(ticket.program.number, (own = new Set()));
        own.add(ticket);
        if (queue.at(0) === ticket || ticket.interruptions > 0) blocked[ticket.model] = false;
        return;
      }
      case 'refused':
        refusedUntil[change.node] = snapshot.now + REFUSAL_SECONDS;
        index.update(snapshot.nodes[change.node]!);
        return;
      case 'started': {
        const { ticket, node } = change;
        pausedAt.delete(ticket.number);
        queueOf(ticket.model).delete(ticket);
        nodeSet(node).add(ticket);
        if (ranksRunning) setRank(ticket, snapshot);
        else timers.delete(ticket);
        index.update(snapshot.nodes[node]!);
        if (ordering.followsProgram === 'begins and ends') rerank(ticket, snapshot);
        if (snapshot.nodes.length <= LOOK_AT) return;
        const last = lastNodes.get(ticket.program.number);
        if (!last) lastNodes.set(ticket.program.number, [node]);
        else if (!last.includes(node)) {
          last.push(node);
          if (last.length > 4) last.shift();
        }
        return;
      }
      case 'ended': {
        const { ticket, node } = change;
        nodeSet(node).delete(ticket);
        forget(ticket);
        if (ticket.program.state !== 'open') lastNodes.delete(ticket.program.number);
        index.update(snapshot.nodes[node]!);
        blocked.fill(false);
        if (ordering.followsProgram) rerank(ticket, snapshot);
        return;
      }
      case 'shed':
        for (const ticket of [...(ofProgram.get(change.program.number) ?? [])]) {
          for (const set of onNode) set?.delete(ticket);
          forget(ticket);
        }
        lastNodes.delete(change.program.number);
        blocked.fill(false);
        return;
      case 'node':
        index.update(snapshot.nodes[change.node]!);
        blocked.fill(false);
        return;
      case 'time':
        blocked.fill(false);
    }
  }

  /** Nodes to look at for a stage. */
  function around(ticket: Ticket, { nodes }: Snapshot): readonly NodeView[] {
    if (nodes.length <= LOOK_AT) return nodes;
    const seen = index.least(LOOK_AT).map((node) => nodes[node]!);
    for (const last of lastNodes.get(ticket.program.number) ?? []) {
      if (!seen.includes(nodes[last]!)) seen.push(nodes[last]!);
    }
    if (ticket.node >= 0 && !seen.includes(nodes[ticket.node]!)) seen.push(nodes[ticket.node]!);
    return seen;
  }

  /** `more`: bytes that are about to be given back. */
  function fits(ticket: Ticket, node: NodeView, snapshot: Snapshot, reserve: number, more = 0): boolean {
    const model = snapshot.models[ticket.model]!;
    const free = freeKvBytes(node) + more - provisioning.headRoom(node, snapshot);
    const least = bytesOf(ticket, ticket.generated + 1, snapshot);
    if (node.running === 0) return least <= node.deviceBytes - node.weightBytes;
    if (free <= 0) return false;
    const all = bytesOf(ticket, reserve, snapshot);
    return all <= free || all - node.pinnedTokens(ticket) * model.kvBytesPerToken <= free;
  }

  /** Bytes of a stage's prompt and so much of its answer, and what its blocks may have too much. */
  function bytesOf({ stage, model }: Ticket, answer: number, { blockSize, models }: Snapshot): number {
    return blockBytes(stage.promptTokens + answer + 2 * blockSize, blockSize, models[model]!);
  }

  /** Alone on a node, it gets what there is. */
  function reserveOn(ticket: Ticket, node: NodeView, snapshot: Snapshot, reserve: number): number {
    if (node.running > 0 || bytesOf(ticket, reserve, snapshot) <= freeKvBytes(node)) return reserve;
    const tokens = Math.floor(freeKvBytes(node) / snapshot.models[ticket.model]!.kvBytesPerToken);
    return Math.max(ticket.generated + 1, tokens - ticket.stage.promptTokens - 3 * snapshot.blockSize);
  }

  /** Why no node can ever run it. */
  function whyTooLarge(ticket: Ticket, snapshot: Snapshot): string | undefined {
    const { weightBytes } = snapshot.models[ticket.model]!;
    const need = bytesOf(ticket, ticket.generated + 1, snapshot);
    let most = 0;
    let now = 0;
    for (const node of snapshot.nodes) {
      most = Math.max(most, node.deviceBytes - weightBytes);
      if (node.models[ticket.model]!.place === 'device') now = Math.max(now, node.deviceBytes - node.weightBytes);
    }
    // Where its model is nowhere, it waits for the model and not for room.
    if (need <= most && (now === 0 || need <= now || snapshot.now - ticket.readyAt < PATIENCE_SECONDS))
      return undefined;
    const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
    return `stage ${ticket.stage.id} needs ${gigabytes(need)} GB for its keys and values; no node has more than ${gigabytes(need > most ? most : now)} GB beside weights`;
  }

  function candidatesFor(ticket: Ticket, snapshot: Snapshot, reserve: number): NodeView[] {
    const found: NodeView[] = [];
    for (const node of around(ticket, snapshot)) {
      if (!node.alive || node.running >= node.slots || node.models[ticket.model]!.place !== 'device') continue;
      if (node.prefillTokens >= CHUNKS_AHEAD * node.chunkTokens) continue;
      if ((refusedUntil[node.index] ?? 0) > snapshot.now) continue;
      if (residency.leaving?.(node.index, ticket.model)) continue;
      if (fits(ticket, node, snapshot, reserve)) found.push(node);
    }
    return found;
  }

  const keeps = (ticket: Ticket, snapshot: Snapshot): boolean => {
    const node = snapshot.nodes[ticket.node];
    if (!node) return false;
    const tokens = ticket.stage.promptTokens + ticket.generated;
    const bytes = tokens * snapshot.models[ticket.model]!.kvBytesPerToken;
    const rates = { prefillTokensPerSecond: node.prefillRate(ticket.model), bytesPerSecond: node.hostBytesPerSecond };
    return choosePause(tokens, bytes, rates).keep;
  };

  /** What is done for a stage; undefined when it has to wait. */
  function place(ticket: Ticket, snapshot: Snapshot): Action | undefined {
    // Who has just made room for another does not take it back.
    if (pausedAt.get(ticket.number) === snapshot.now) return undefined;
    const reason = ordering.givesUp?.(ticket.program, ticket, snapshot);
    if (reason !== undefined) return { kind: 'shed', program: ticket.program, reason };
    if (ordering.mayStart && !ordering.mayStart(ticket, snapshot)) return undefined;
    const reserve = Math.min(
      ticket.stage.maxTokens,
      Math.max(provisioning.reserve(ticket, snapshot), ticket.generated + 1),
    );
    const candidates = candidatesFor(ticket, snapshot, reserve);
    if (candidates.length > 0) {
      const node = routing.choose(ticket, candidates, snapshot);
      return (
        node && { kind: 'admit', ticket, node: node.index, reserveTokens: reserveOn(ticket, node, snapshot, reserve) }
      );
    }
    const large = whyTooLarge(ticket, snapshot);
    if (large !== undefined) return { kind: 'shed', program: ticket.program, reason: large };
    const load = residency.miss(ticket, snapshot);
    if (load) return load;
    if (!ordering.preempts) return undefined;
    const worst = runningOf(ticket.model).at(0);
    if (!worst || worst.phase !== 'running' || worst.program === ticket.program) return undefined;
    if (pausedAt.get(worst.number) === snapshot.now) return undefined;
    if (snapshot.nodes[worst.node]!.prefillTokens >= snapshot.nodes[worst.node]!.chunkTokens) return undefined;
    const tokens = worst.stage.promptTokens + worst.generated;
    const more = tokens * snapshot.models[worst.model]!.kvBytesPerToken;
    if (!fits(ticket, snapshot.nodes[worst.node]!, snapshot, reserve, more)) return undefined;
    if (!ordering.preempts(ticket, worst, snapshot)) return undefined;
    pausedAt.set(worst.number, snapshot.now);
    return { kind: 'pause', ticket: worst, keep: keeps(worst, snapshot) };
  }

  function overflow(node: number, snapshot: Snapshot): Action[] {
    if (!provisioning.victim) return [];
    const tickets = [...nodeSet(node)].filter((ticket) => ticket.phase === 'running');
    let worst: Ticket | undefined;
    let worstRank: Rank | undefined;
    for (const ticket of tickets) {
      const rank = runningOf(ticket.model).rankOf(ticket);
      if (!rank || (worstRank && compareRanks(rank, worstRank) <= 0)) continue;
      worst = ticket;
      worstRank = rank;
    }
    const victim = provisioning.victim(snapshot.nodes[node]!, tickets, worst, snapshot);
    return victim ? [{ kind: 'pause', ...victim }] : [];
  }

  function decide(snapshot: Snapshot): readonly Action[] {
    for (; indexed < snapshot.nodes.length; indexed++) index.update(snapshot.nodes[indexed]!);
    let paused: Action[] | undefined;
    for (const change of snapshot.changes) {
      note(change, snapshot);
      if (change.kind === 'overflow') paused = overflow(change.node, snapshot);
    }
    if (paused) return paused;
    for (let due = timers.at(0); due && timers.rankOf(due)!.key <= snapshot.now; due = timers.at(0)) {
      setRank(due, snapshot);
      const next = timers.rankOf(due);
      if (next && next.key <= snapshot.now) timers.delete(due);
    }
    for (;;) {
      let best: Ticket | undefined;
      let bestRank: Rank | undefined;
      for (let model = 0; model < queues.length; model++) {
        const queue = queues[model];
        if (!queue || blocked[model]) continue;
        const first = queue.at(0);
        if (!first) continue;
        const rank = queue.rankOf(first)!;
        if (bestRank && compareRanks(rank, bestRank) >= 0) continue;
        best = first;
        bestRank = rank;
      }
      if (!best) break;
      const queue = queueOf(best.model);
      for (let k = 0; k <= BYPASS; k++) {
        const ticket = queue.at(k);
        const action = ticket && place(ticket, snapshot);
        if (action) return [action];
      }
      blocked[best.model] = true;
    }
    const spare = residency.spare?.(snapshot);
    return spare ? [spare] : [];
  }

  return { name, decide };
}
