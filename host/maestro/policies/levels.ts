/** The levels of which a policy is made. Each is one decision; `composePolicy` does what they have in common. */
import type { Action, Change, NodeView, Program, Snapshot, Ticket } from '../decision.js';
import type { Rank } from '../rank-heap.js';

interface Level {
  readonly name: string;
  /** Hears of everything that happens, before anything is decided. */
  note?(change: Change, snapshot: Snapshot): void;
}

/** Which stage comes first. */
export interface Ordering extends Level {
  rank(ticket: Ticket, snapshot: Snapshot): Rank;
  /** Ranks of a workflow's stages change when one of its stages ends, or when one begins as well. */
  readonly followsProgram?: 'ends' | 'begins and ends';
  /** Whether `waiting` may take the place of `running`. Without it, nothing that runs is paused for what waits. */
  preempts?(waiting: Ticket, running: Ticket, snapshot: Snapshot): boolean;
  /** Whether it may begin at all now; it stays queued otherwise. */
  mayStart?(ticket: Ticket, snapshot: Snapshot): boolean;
  /** Why a workflow is given up, when it is. */
  givesUp?(program: Program, ticket: Ticket, snapshot: Snapshot): string | undefined;
}

/** Where it runs. `candidates` have its model on the device, a slot, and room. */
export interface Routing extends Level {
  /** Undefined: better to wait. */
  choose(ticket: Ticket, candidates: readonly NodeView[], snapshot: Snapshot): NodeView | undefined;
}

/** How much memory is set aside, and who makes room when there is too little. */
export interface Provisioning extends Level {
  /** Tokens of the answer for which memory is set aside before it begins. */
  reserve(ticket: Ticket, snapshot: Snapshot): number;
  /** Part of a node's memory that is left free when something is admitted. */
  headRoom(node: NodeView, snapshot: Snapshot): number;
  /** Who is paused when a node runs out of memory: one of those on it, `worst` being the last in rank. Undefined: who came last. */
  victim?(
    node: NodeView,
    running: readonly Ticket[],
    worst: Ticket | undefined,
    snapshot: Snapshot,
  ): { readonly ticket: Ticket; readonly keep: boolean } | undefined;
}

/** Which models are on which device. */
export interface Residency extends Level {
  /** A stage found its model on no node with room. */
  miss(ticket: Ticket, snapshot: Snapshot): Action | undefined;
  /** When nothing else is to be done. */
  spare?(snapshot: Snapshot): Action | undefined;
  /** The model is to leave the node: nothing of it is admitted there. */
  leaving?(node: number, model: number): boolean;
}

export interface PolicyLevels {
  readonly ordering: Ordering;
  readonly routing: Routing;
  readonly provisioning: Provisioning;
  readonly residency: Residency;
}
