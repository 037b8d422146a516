/**
 * What a scheduling policy sees and what it may do. A policy is a function of the changes and snapshots that it was given, and of nothing else: no clock,
 * no timers, no input or output, no randomness but what its seed gives. So the same policy runs live engines on the real clock and simulated ones on
 * a virtual clock, and a run can be repeated to the bit.
 */
import type { LengthPrediction } from './predict/predictor.js';
import type { Stage, Workflow } from './workflow.js';

/** A workflow under way: what it has had so far. */
export interface Program {
  readonly workflow: Workflow;
  /** Counts up over all programs. */
  readonly number: number;
  readonly deadline: number;
  /** Seconds of service, as one alone would have taken on a node, and tokens that its ended stages have had. */
  readonly attainedSeconds: number;
  readonly attainedTokens: number;
  readonly stagesEnded: number;
  /** Stages that wait for a node, or are on one. */
  readonly active: number;
  /** When its last stage ended; its arrival before that. */
  readonly lastEnd: number;
  readonly state: 'open' | 'ended' | 'shed';
}

/** A stage that can run, runs, or has run. */
export interface Ticket {
  readonly stage: Stage;
  readonly program: Program;
  /** Counts up over all tickets: ties are broken by it. */
  readonly number: number;
  /** Index of its model in the cluster's list. */
  readonly model: number;
  /** When its parents had ended and its tool had answered. */
  readonly readyAt: number;
  readonly prediction: LengthPrediction;
  readonly phase: 'known' | 'queued' | 'running' | 'ended' | 'shed';
  /** Where it runs, or where its keys and values are kept while it is paused; -1 for nowhere. */
  readonly node: number;
  /** Tokens of its answer so far, as it was last heard: at most a second ago. */
  readonly generated: number;
  /** Whether its keys and values are kept, in the host memory of `node`. */
  readonly kept: boolean;
  /** How often it had to begin again or wait again: pauses, refusals, nodes that died. */
  readonly interruptions: number;
}

/** Estimates of what is still to come, from predictions, in seconds of service on a node of the cluster. */
export interface Outlook {
  /** The stage itself, what is left of it. */
  stageSeconds(ticket: Ticket): number;
  /** The longest chain of stages and tools after it, what is not known yet by what was learned of workflows like it. */
  secondsAfter(ticket: Ticket): number;
  /** Of both together, what they take at the very least: for promises that something cannot be done. */
  leastSeconds(ticket: Ticket): number;
  /** All that the workflow still has to be served. */
  workSeconds(program: Program): number;
}

export type ModelPlace = 'device' | 'loading' | 'host' | 'disk';

/** A model at a node. */
export interface ModelAtNode {
  readonly place: ModelPlace;
  /** Seconds until it could serve: 0 on the device, what is left of a load, else how long a load takes. */
  readonly readySeconds: number;
  /** Sequences of it on the node. */
  readonly running: number;
  /** When a sequence of it last began. */
  readonly usedAt: number;
}

export interface NodeView {
  readonly index: number;
  readonly name: string;
  readonly alive: boolean;
  /** When it looked like this. */
  readonly seenAt: number;
  /** Sequences on it, and most of them. */
  readonly running: number;
  readonly slots: number;
  /** Prompt tokens that it has yet to compute, and how many it takes in an iteration. */
  readonly prefillTokens: number;
  readonly chunkTokens: number;
  /** Tokens that sequences on it attend to, all together. */
  readonly contextTokens: number;
  /** Bytes of memory for weights and keys and values together; weights there, those that are loading included. */
  readonly deviceBytes: number;
  readonly weightBytes: number;
  /** Bytes of keys and values: set aside for sequences (what they hold included), and cached beginnings that nobody refers to. */
  readonly committedBytes: number;
  readonly idleBytes: number;
  readonly models: readonly ModelAtNode[];
  /** Seconds of a round trip to it. */
  readonly networkSeconds: number;
  /** Bytes a second between its device and its host, and to other nodes. */
  readonly hostBytesPerSecond: number;
  readonly linkBytesPerSecond: number;
  /** What it can compute: prompt tokens a second of a model by itself, and the seconds of an iteration with so many sequences of so much context. */
  prefillRate(model: number): number;
  iterationSeconds(model: number, sequences: number, contextTokens: number): number;
  /** Tokens of a stage's prompt (and answer so far) that are cached there. */
  cachedTokens(ticket: Ticket): number;
  /** Of those, tokens that sequences there run on already: sharing them takes no further memory. */
  pinnedTokens(ticket: Ticket): number;
}

export interface ClusterModel {
  readonly name: string;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
}

export interface Snapshot {
  readonly now: number;
  readonly nodes: readonly NodeView[];
  readonly models: readonly ClusterModel[];
  /** Tokens to a block of keys and values. */
  readonly blockSize: number;
  readonly outlook: Outlook;
  /** What happened since the last decision, in order. */
  readonly changes: readonly Change[];
}

export type Change =
  | { readonly kind: 'arrived'; readonly program: Program }
  /** It can run: for the first time, after a pause, or because its node died or refused it. */
  | { readonly kind: 'queued'; readonly ticket: Ticket }
  | { readonly kind: 'refused'; readonly ticket: Ticket; readonly node: number }
  | { readonly kind: 'started'; readonly ticket: Ticket; readonly node: number }
  | {
      readonly kind: 'ended';
      readonly ticket: Ticket;
      readonly node: number;
      readonly tokens: number;
      /** That it was on nodes. */
      readonly seconds: number;
    }
  | { readonly kind: 'shed'; readonly program: Program }
  /** Sequences of a node need more memory than there is; unless some are paused, the node pauses the one that came last. */
  | { readonly kind: 'overflow'; readonly node: number; readonly bytes: number }
  /** It joined, was lost, or has a model ready. */
  | { readonly kind: 'node'; readonly node: number }
  /** Time has gone by, and nothing else. */
  | { readonly kind: 'time' };

export type Action =
  /** Runs a stage on a node, with memory for its prompt and so many tokens of its answer set aside. */
  | { readonly kind: 'admit'; readonly ticket: Ticket; readonly node: number; readonly reserveTokens: number }
  /** Brings a model to the device; those named in `park` make room. */
  | { readonly kind: 'load'; readonly node: number; readonly model: number; readonly park: readonly number[] }
  | { readonly kind: 'park'; readonly node: number; readonly model: number }
  /** Takes a sequence out at the end of an iteration, its keys and values kept in host memory or dropped. It is queued again. */
  | { readonly kind: 'pause'; readonly ticket: Ticket; readonly keep: boolean }
  /** Moves what is kept of a paused stage to another node, where it is to be admitted. */
  | { readonly kind: 'migrate'; readonly ticket: Ticket; readonly node: number }
  /** Ends a workflow that cannot be met; its caller is told why. */
  | { readonly kind: 'shed'; readonly program: Program; readonly reason: string };

/**
 * Decides. It is called again while it gives actions, after they were done, so it need not foresee what its own actions change; an empty list means that
 * nothing is to be done before something changes.
 */
export interface Policy {
  readonly name: string;
  decide(snapshot: Snapshot): readonly Action[];
}

/** Bytes of so many tokens of a model, in whole blocks. */
export function blockBytes(tokens: number, blockSize: number, model: ClusterModel): number {
  return Math.ceil(tokens / blockSize) * blockSize * model.kvBytesPerToken;
}

/** Bytes for keys and values that nobody has set aside on a node; cached beginnings give way. */
export function freeKvBytes(node: NodeView): number {
  return node.deviceBytes - node.weightBytes - node.committedBytes;
}
