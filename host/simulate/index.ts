/** Schedulers in virtual time: `tutti/simulate`. */
export { simulate, type SimulatedNodeSpec, type SimulationOptions } from './simulator.js';
export type { ClassSummary, Distribution, MemorySample, SimulationResult, StageSpan } from './metrics.js';
export {
  comparePolicies,
  measureCapacity,
  type Contender,
  type ExperimentCell,
  type ExperimentOptions,
  type ExperimentReport,
} from './experiment.js';
export { renderReport, type PlotLibrary } from './report-html.js';
export { agentScenario, modelShapeNamed, type AgentScenarioOptions, type Scenario } from './scenario.js';
export { MODEL_SHAPES, parseProfile, PROFILES, profileNamed, type DeviceProfile } from './profiles.js';
export { trainOnWorkload } from './train-on-workload.js';
export { atLoad, type ModelShape, type Workload, type WorkloadStage, type WorkloadWorkflow } from './workload.js';
export { generateWorkload, WORKFLOW_SHAPES, type GenerateOptions, type WorkflowShape } from './workload/generate.js';
export { workloadOfTrace, type TraceWorkloadOptions } from './trace-workload.js';
export { openTrace, readTrace, type OpenTraceOptions, type TraceFormat } from './traces/open-trace.js';
export type { Trace, TraceCall, TraceProgram } from './traces/trace.js';
export { policyNamed, POLICY_NAMES } from '../maestro/policies/catalogue.js';
export { composePolicy } from '../maestro/policies/compose.js';
export type { Ordering, PolicyLevels, Provisioning, Residency, Routing } from '../maestro/policies/levels.js';
export type { Action, Change, NodeView, Policy, Program, Snapshot, Ticket } from '../maestro/decision.js';
