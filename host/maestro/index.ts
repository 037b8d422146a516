/** Workflows of language-model agents, scheduled by what they will cost, on real engines: `tutti/maestro`. */
export { createMaestro } from './live/maestro.js';
export type { Maestro } from './live/maestro.js';
export type {
  DeviceNodeOptions,
  EngineNodeOptions,
  MaestroLimits,
  MaestroNode,
  MaestroOptions,
  NodeModel,
} from './live/options.js';
export type {
  ParentAnswers,
  StageHandle,
  StageRequest,
  WorkflowHandle,
  WorkflowOptions,
} from './live/workflow-handle.js';
export type { Answer } from './live/answer.js';
export type { MaestroReport, MemorySample, NodeReport, StageOutcome, StageReport } from './live/report.js';
export { POLICY_NAMES, policyNamed } from './policies/catalogue.js';
export { composePolicy } from './policies/compose.js';
export type { Ordering, PolicyLevels, Provisioning, Residency, Routing } from './policies/levels.js';
export type * from './decision.js';
export type { SharedPrefix, Stage, StageClass, StageSpec, Workflow, WorkflowLimits, WorkflowSpec } from './workflow.js';
export * from './predict/index.js';
export { WorkflowShedError } from '../errors.js';
