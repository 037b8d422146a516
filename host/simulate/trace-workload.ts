/** Traces of calls as workloads. What a trace does not say (models, targets, when sessions without a common clock begin) comes from options and a seed. */
import { seededRandom } from '../random.js';
import { blockIds, type Trace, type TraceCall } from './traces/trace.js';
import type { ModelShape, Workload, WorkloadStage, WorkloadWorkflow } from './workload.js';

export interface TraceWorkloadOptions {
  readonly model: ModelShape;
  readonly seed: number;
  /** Sessions a second, where the trace has no common clock. Default 0.1. */
  readonly rate?: number;
  /** Most tokens of an answer; longer ones end there. Default 4096. */
  readonly maxTokens?: number;
  /** What is asked of every call. Default: 10 s to the first token, 120 s to the end. */
  readonly firstTokenSeconds?: number;
  readonly latencySeconds?: number;
  /** Most programs and most calls of a program. Default: all. */
  readonly programs?: number;
  readonly calls?: number;
  /** Longest pause between calls that is kept. Default 600 s: whoever is away for hours keeps nothing busy. */
  readonly longestGap?: number;
}

export function workloadOfTrace(trace: Trace, options: TraceWorkloadOptions): Workload {
  const { model, seed, rate = 0.1, programs: most = Infinity, calls: mostCalls = Infinity } = options;
  const random = seededRandom(seed);
  const workflows: WorkloadWorkflow[] = [];
  let clock = 0;
  for (const { id, calls } of trace.programs.slice(0, most)) {
    if (trace.clock === 'trace') {
      for (const call of calls.slice(0, mostCalls)) {
        const stage = stageOf(call, 'call', options, segmentsOf(trace, call));
        const name = `${id}-${call.index}`;
        workflows.push({ id: name, application: trace.name, arrival: call.arrival, stages: [stage] });
      }
      continue;
    }
    clock += -Math.log(1 - random.uniform()) / rate;
    workflows.push({
      id,
      application: trace.name,
      arrival: clock,
      stages: session(calls.slice(0, mostCalls), options),
    });
  }
  workflows.sort((a, b) => a.arrival - b.arrival);
  const start = workflows[0]?.arrival ?? 0;
  return {
    ...{ name: trace.name, models: [model] },
    workflows: workflows.map((workflow) => ({ ...workflow, arrival: workflow.arrival - start })),
    note: `Lengths, order, pauses${trace.blockSize > 0 ? ' and shared blocks' : ''} from the trace; model and targets are made up${trace.clock === 'program' ? ', and so is when sessions begin' : ''}.`,
  };
}

/** Calls of a session: each after the one before it of the same agent, known when that has ended. */
function session(calls: readonly TraceCall[], options: TraceWorkloadOptions): WorkloadStage[] {
  const last = new Map<string, string>();
  return calls.map((call, k) => {
    const agent = call.agent ?? '';
    const id = `call-${k}`;
    const own = last.get(agent);
    const parent = own ?? last.get('');
    last.set(agent, id);
    const shared = Math.min(call.sharedTokens ?? 0, call.promptTokens - 1);
    const gap = Math.min(options.longestGap ?? 600, call.gapSeconds ?? 0);
    return {
      ...stageOf(call, id, options, own && shared > 0 ? { stage: own, tokens: shared } : undefined),
      ...(parent !== undefined && { parents: [parent], hidden: true, toolSeconds: gap }),
      ...(call.bringsToolResult && { tool: 'tool' }),
    };
  });
}

function segmentsOf(trace: Trace, call: TraceCall): WorkloadStage['prefix'] {
  if (!call.blocks || trace.blockScope !== 'trace') return undefined;
  // The last block is seldom full.
  const ids = blockIds(call.blocks);
  const whole = Math.floor(call.promptTokens / trace.blockSize);
  return whole === 0
    ? undefined
    : { segments: Array.from(ids.subarray(0, whole), (id) => ({ id, tokens: trace.blockSize })) };
}

function stageOf(
  call: TraceCall,
  id: string,
  options: TraceWorkloadOptions,
  prefix: WorkloadStage['prefix'],
): WorkloadStage {
  const { maxTokens = 4096, firstTokenSeconds = 10, latencySeconds = 120 } = options;
  return {
    ...{ id, role: call.stage ?? call.role ?? 'call', model: options.model.name, maxTokens },
    ...{ promptTokens: Math.max(1, call.promptTokens), outputTokens: Math.max(1, call.outputTokens) },
    ...{ firstTokenSeconds, latencySeconds },
    ...(prefix && { prefix }),
  };
}
