/**
 * Made-up workloads whose parts have the distributions of published traces: arrivals, lengths of each role, tools. How stages hang together, which model serves which role, what is
 * urgent, and that the parts of one workflow are long together, is made up: no public trace has roles, a graph and several models at once.
 */
import { TuttiError } from '../../errors.js';
import { seededRandom, type SeededRandom } from '../../random.js';
import type { ModelShape, Workload, WorkloadStage, WorkloadWorkflow } from '../workload.js';
import {
  drawsTogether,
  marginalAt,
  marginalMean,
  type GeneratedRole,
  type Marginal,
  type WorkloadMarginals,
} from './marginals.js';
import { PUBLISHED_MARGINALS } from './published-marginals.js';

/**
 * - `chain`: planner, coder, tester, writer, one after another
 * - `fan-out`: a planner, coders side by side, a critic that waits for all, a writer
 * - `critic-loop`: a coder, then critic and reviser in turn until the critic is content; nobody knows how often
 * - `agent`: one agent that calls tools, its prompt growing with every result; nobody knows how often
 */
export const WORKFLOW_SHAPES = ['chain', 'fan-out', 'critic-loop', 'agent'] as const;
export type WorkflowShape = (typeof WORKFLOW_SHAPES)[number];

export interface GenerateOptions {
  readonly seed: number;
  readonly workflows: number;
  readonly models: readonly ModelShape[];
  /** Workflows a second; the gaps keep the form of the trace's. Default: the trace's own rate. */
  readonly rate?: number;
  /** How often each shape comes, in relation to the others. Default: all alike. */
  readonly shapes?: Partial<Readonly<Record<WorkflowShape, number>>>;
  /** Share of workflows that somebody waits for. Default 0.5. */
  readonly interactive?: number;
  /** Deadlines: so many times what the workflow takes at `secondsPerToken` of output, drawn between the two. Default: none. */
  readonly slack?: readonly [number, number];
  readonly secondsPerToken?: number;
  readonly tenants?: number;
  readonly maxTokens?: number;
  /** Longest prompt, in tokens. Default 131,072. */
  readonly contextTokens?: number;
  readonly marginals?: WorkloadMarginals;
}

/** Steps that one agent takes at most: sessions of a whole day would be most of a workload. */
const MOST_STEPS = 40;
const MOST_REVIEWS = 10;
/** Beyond it somebody went home: the trace has nights in it. */
const MOST_TOOL_SECONDS = 900;

interface Draft {
  readonly draw: (marginal: Marginal) => number;
  readonly random: SeededRandom;
  readonly marginals: WorkloadMarginals;
  readonly modelOf: (role: GeneratedRole) => string;
  readonly maxTokens: number;
  readonly contextTokens: number;
}

/** @throws TuttiError OPTION_INVALID */
export function generateWorkload(options: GenerateOptions): Workload {
  const { seed, workflows: count, models, interactive = 0.5, tenants = 1 } = options;
  if (!Number.isInteger(count) || count < 1) throw invalid('workflows', 'must be a whole number above 0', count);
  if (models.length === 0) throw invalid('models', 'must name one model at least', 0);
  if (options.rate !== undefined && !(options.rate > 0)) throw invalid('rate', 'must be above 0', options.rate);
  const shapes = WORKFLOW_SHAPES.map((shape) => [shape, options.shapes ? (options.shapes[shape] ?? 0) : 1] as const);
  const all = shapes.reduce((sum, [, share]) => sum + share, 0);
  if (!(all > 0) || shapes.some(([, share]) => !(share >= 0))) throw invalid('shapes', 'must be shares from 0 up', all);

  const marginals = options.marginals ?? PUBLISHED_MARGINALS;
  const random = seededRandom(seed);
  const meanGap = marginalMean(marginals.arrivalGap);
  const scale = options.rate === undefined ? 1 : 1 / (options.rate * meanGap);
  let arrival = 0;
  const workflows = Array.from({ length: count }, (_, k): WorkloadWorkflow => {
    if (k > 0) arrival += scale * marginalAt(marginals.arrivalGap, random.uniform());
    let left = random.uniform() * all;
    const shape = shapes.find(([, share]) => (left -= share) < 0)?.[0] ?? shapes.findLast(([, share]) => share > 0)![0];
    const draft: Draft = {
      ...{ random, marginals, draw: drawsTogether(random), maxTokens: options.maxTokens ?? 4096 },
      ...{ contextTokens: options.contextTokens ?? 131_072 },
      // A role has one model within a workload, as agents do.
      modelOf: (role) => models[roleNumber[role] % models.length]!.name,
    };
    const stages = build[shape](draft);
    const tokens = stages.reduce((sum, stage) => sum + stage.outputTokens, 0);
    const tools = stages.reduce((sum, stage) => sum + (stage.toolSeconds ?? 0), 0);
    const [least, most] = options.slack ?? [0, 0];
    const slack = least + (most - least) * random.uniform();
    return {
      ...{ id: `${shape}-${k}`, application: shape, tenant: `tenant-${random.below(tenants)}`, arrival, stages },
      class: random.uniform() < interactive ? 'interactive' : 'batch',
      ...(options.slack
        ? { deadlineSeconds: Math.max(1, tools + slack * tokens * (options.secondsPerToken ?? 0.02)) }
        : {}),
    };
  });
  return {
    ...{ name: `generated-${seed}`, models, workflows },
    note: 'Synthetic. Arrivals, lengths, tool times: quantiles of Azure 2023, ChatDev and agent-session traces. Graphs, models, classes, deadlines and the correlation within a workflow are made up.',
  };
}

function invalid(where: string, rule: string, got: unknown): TuttiError {
  return new TuttiError('OPTION_INVALID', `${where} ${rule}, got ${String(got)}`, { where });
}

const roleNumber: Readonly<Record<GeneratedRole, number>> = {
  ...{ planner: 0, coder: 1, critic: 0, reviser: 1, tester: 2, writer: 2, agent: 1 },
};

/** A stage of `role` whose prompt holds the answers of its parents besides its own. */
function stageOf(draft: Draft, id: string, role: GeneratedRole, parents: readonly WorkloadStage[]): WorkloadStage {
  const { output, prompt } = draft.marginals.roles[role];
  const own = draft.draw(prompt);
  const read = parents.reduce((sum, parent) => sum + parent.outputTokens, 0);
  return {
    ...{ id, role, model: draft.modelOf(role), parents: parents.map((parent) => parent.id) },
    promptTokens: Math.max(1, Math.min(draft.contextTokens, Math.round(own + read))),
    ...{ maxTokens: draft.maxTokens, outputTokens: answerOf(draft, output) },
    // What a role is told first is the same each time.
    prefix: { segments: [{ id: `system ${role}`, tokens: Math.max(1, Math.round(0.25 * own)) }] },
  };
}

function answerOf({ draw, maxTokens }: Draft, output: Marginal): number {
  return Math.max(1, Math.min(maxTokens, Math.round(draw(output))));
}

const build: Readonly<Record<WorkflowShape, (draft: Draft) => WorkloadStage[]>> = {
  chain(draft) {
    const stages: WorkloadStage[] = [];
    for (const role of ['planner', 'coder', 'tester', 'writer'] as const) {
      stages.push(stageOf(draft, role, role, stages.slice(-1)));
    }
    return stages;
  },
  'fan-out'(draft) {
    const width = 2 + draft.random.below(5);
    const planner = { ...stageOf(draft, 'planner', 'planner', []), fanOut: width };
    const coders = Array.from({ length: width }, (_, k) => stageOf(draft, `coder-${k}`, 'coder', [planner]));
    const critic = stageOf(draft, 'critic', 'critic', coders);
    return [planner, ...coders, critic, stageOf(draft, 'writer', 'writer', [critic])];
  },
  'critic-loop'(draft) {
    const stages = [stageOf(draft, 'coder', 'coder', [])];
    const rounds = Math.max(1, Math.min(MOST_REVIEWS, Math.round(draft.draw(draft.marginals.reviews))));
    for (let k = 0; k < rounds; k++) {
      const critic = stageOf(draft, `critic-${k}`, 'critic', stages.slice(-1));
      stages.push({ ...critic, hidden: true });
      if (k < rounds - 1) stages.push({ ...stageOf(draft, `reviser-${k}`, 'reviser', [critic]), hidden: true });
    }
    return stages;
  },
  agent(draft) {
    const { tool, roles } = draft.marginals;
    const steps = Math.max(1, Math.min(MOST_STEPS, Math.round(draft.draw(tool.steps))));
    const stages: WorkloadStage[] = [];
    let context = Math.round(draft.draw(tool.start));
    for (let k = 0; k < steps; k++) {
      const before = stages.at(-1);
      if (before) context = before.promptTokens! + before.outputTokens + Math.round(draft.draw(tool.result));
      if (context > draft.contextTokens && before) break;
      const promptTokens = Math.max(1, Math.min(context, draft.contextTokens));
      stages.push({
        ...{ id: `step-${k}`, role: 'agent', model: draft.modelOf('agent'), promptTokens },
        ...{ maxTokens: draft.maxTokens, outputTokens: answerOf(draft, roles.agent.output) },
        ...(before
          ? {
              ...{
                parents: [before.id],
                hidden: true,
                tool: 'tool',
                toolSeconds: Math.min(MOST_TOOL_SECONDS, draft.draw(tool.seconds)),
              },
              prefix: { stage: before.id, tokens: before.promptTokens! + before.outputTokens },
            }
          : { prefix: { segments: [{ id: 'system agent', tokens: Math.max(1, Math.round(promptTokens / 4)) }] } }),
      });
    }
    return stages;
  },
};
