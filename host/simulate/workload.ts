/**
 * What the simulator replays: workflows with what their stages turn out to be. A scheduler sees the part that `Workflow` shows; the rest is for the
 * simulator, and for a policy that is told the truth as an upper bound.
 */
import type { StageSpec, WorkflowSpec } from '../maestro/workflow.js';

/** A language model, as far as its cost goes. */
export interface ModelShape {
  readonly name: string;
  /** Bytes of its weights. */
  readonly weightBytes: number;
  /** Parameters that a token goes through. */
  readonly activeParameters: number;
  /** Bytes of keys and values of a token, as they are packed. */
  readonly kvBytesPerToken: number;
}

export interface WorkloadStage extends StageSpec {
  /** How long its answer is. */
  readonly outputTokens: number;
  /** The scheduler hears of it when its parents have ended, not before. Default false: it is known with its workflow. */
  readonly hidden?: boolean;
}

export interface WorkloadWorkflow extends Omit<WorkflowSpec, 'stages'> {
  readonly stages: readonly WorkloadStage[];
}

export interface Workload {
  readonly name: string;
  readonly models: readonly ModelShape[];
  /** In the order of arrival; seconds, the first at 0 or later. */
  readonly workflows: readonly WorkloadWorkflow[];
  /** Where its numbers come from, and what of it is made up. */
  readonly note?: string;
}

/** The same workload, arriving `factor` times as fast. */
export function atLoad(workload: Workload, factor: number): Workload {
  const workflows = workload.workflows.map((workflow) => ({ ...workflow, arrival: workflow.arrival / factor }));
  return { ...workload, workflows };
}
