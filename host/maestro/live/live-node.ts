/** A node as the live scheduler drives it, whatever is behind it. */
import type { Embeddings, EngineUsage, TextChunk } from '../../llm/engine/text-engine.js';
import type { NodeView } from '../decision.js';
import type { Job } from './job.js';

export interface NodeCounts {
  admitted: number;
  /** Stages that were taken out, and how many of them were kept. */
  pauses: number;
  kept: number;
  /** Stages that came with their keys and values from another node. */
  moved: number;
  loads: number;
  parks: number;
  overflows: number;
  losses: number;
}

export const noCounts = (): NodeCounts => ({
  ...{ admitted: 0, pauses: 0, kept: 0, moved: 0, loads: 0, parks: 0, overflows: 0, losses: 0 },
});

/** What nodes tell the scheduler. All of it is told at once, never from within a call of the scheduler's. */
export interface NodeEvents {
  readonly now: () => number;
  chunk(job: Job, chunk: TextChunk, node: LiveNode): void;
  /** `decoded`: tokens that came after the first one here, in so many seconds. */
  ended(job: Job, node: LiveNode, decoded: number, seconds: number): void;
  /** It has no room for the stage after all. */
  refused(job: Job, node: LiveNode): void;
  /** `fault`: the request's own, or the node's, on which the stage may be tried again elsewhere. */
  failed(job: Job, node: LiveNode, error: unknown, fault: 'request' | 'node'): void;
  /** Sequences need memory that there is not. The scheduler calls `pause` before it returns, or does nothing. */
  overflow(node: LiveNode, bytes: number): void;
  lost(jobs: readonly Job[], keptJobs: readonly Job[], node: LiveNode): void;
  /** It has a model ready, lost one, or is back. */
  changed(node: LiveNode): void;
}

export interface LiveNode {
  readonly view: NodeView;
  readonly counts: Readonly<NodeCounts>;
  /** Bytes of keys and values that stages on it hold, without what is only set aside. */
  readonly usedBytes: number;
  /** Lost, and will not come back. */
  readonly gone: boolean;
  readonly jobs: Iterable<Job>;
  /** Brings the view up to date. */
  refresh(): void;
  /** False when it has no room, or no such model. */
  admit(job: Job, reserveTokens: number): boolean;
  /** False when it cannot be taken out. */
  pause(job: Job, keep: boolean): boolean;
  /** Ends what it does for a stage, running or kept. */
  drop(job: Job): void;
  /** What is kept of a paused stage, as bytes; undefined when it is lost. */
  takeKept(job: Job): Promise<Uint8Array | undefined>;
  load(model: number, park: readonly number[]): boolean;
  /** What the engine of a model counts, where it is there. */
  usage(model: number): EngineUsage | undefined;
  park(model: number): boolean;
  embed(
    model: number,
    texts: readonly (string | readonly number[])[],
    signal: AbortSignal | undefined,
  ): Promise<Embeddings>;
  close(): Promise<void>;
}

/** Sums of what the engines of a model count; stages that wait for a node are in it too. */
export function usageOf(nodes: readonly LiveNode[], model: number, jobs: readonly Job[]): EngineUsage {
  const own = jobs.filter(({ ticket }) => ticket.model === model);
  const running = own.filter(({ ticket }) => ticket.phase === 'running').length;
  const sum = { blocks: 0, usedBlocks: 0, reusedTokens: 0, computedTokens: 0, evictions: 0 };
  for (const node of nodes) {
    const usage = node.usage(model);
    for (const field of Object.keys(sum) as (keyof typeof sum)[]) sum[field] += usage?.[field] ?? 0;
  }
  return { running, waiting: own.length - running, ...sum };
}

export type Open<T> = { -readonly [K in keyof T]: T[K] };
