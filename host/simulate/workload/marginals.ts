/** Distributions taken from traces: a few quantiles each, drawn from by way of a standard normal so that draws of one workflow can go together. */
import { TuttiError } from '../../errors.js';
import type { SeededRandom } from '../../random.js';
import { callsByArrival, type Trace, type TraceCall } from '../traces/trace.js';

/** Quantiles at MARGINAL_LEVELS, from the least value to the largest. */
export type Marginal = readonly number[];

/** What a generated workflow is made of. */
export interface WorkloadMarginals {
  /** Seconds between arrivals. */
  readonly arrivalGap: Marginal;
  /** Of each role: tokens of its answers, and of the prompt that it has of its own. */
  readonly roles: Readonly<Record<GeneratedRole, { readonly output: Marginal; readonly prompt: Marginal }>>;
  /** Seconds in a tool, tokens of its result, steps of an agent with tools, tokens of its first prompt. */
  readonly tool: {
    readonly seconds: Marginal;
    readonly result: Marginal;
    readonly steps: Marginal;
    readonly start: Marginal;
  };
  /** Reviews before a critic is content. */
  readonly reviews: Marginal;
}

export const GENERATED_ROLES = ['planner', 'coder', 'critic', 'reviser', 'tester', 'writer', 'agent'] as const;
export type GeneratedRole = (typeof GENERATED_ROLES)[number];

/** Every twentieth, and closer in the tail, which most of the tokens come from. */
export const MARGINAL_LEVELS: readonly number[] = [...Array.from({ length: 20 }, (_, k) => k / 20), 0.98, 0.995, 1];

/** @throws TuttiError INPUT_INVALID when there are no values */
export function marginalOf(values: readonly number[], what: string): Marginal {
  if (values.length === 0) {
    throw new TuttiError('INPUT_INVALID', `the traces hold nothing of ${what}; give a trace that does`, {
      where: what,
    });
  }
  const sorted = [...values].sort((a, b) => a - b);
  return MARGINAL_LEVELS.map((level) => sorted[Math.round(level * (sorted.length - 1))]!);
}

/** The value at `share` of a marginal, 0 .. 1. In the tail it grows evenly in its logarithm. */
export function marginalAt(marginal: Marginal, share: number): number {
  let k = 0;
  while (k < marginal.length - 2 && share > MARGINAL_LEVELS[k + 1]!) k++;
  const [from, to] = [marginal[k]!, marginal[k + 1]!];
  const part =
    (Math.max(0, Math.min(1, share)) - MARGINAL_LEVELS[k]!) / (MARGINAL_LEVELS[k + 1]! - MARGINAL_LEVELS[k]!);
  return from > 0 && to > 4 * from ? from * (to / from) ** part : from + part * (to - from);
}

/** Mean of what `marginalAt` gives. */
export function marginalMean(marginal: Marginal): number {
  const points = 2000;
  let sum = 0;
  for (let k = 0; k < points; k++) sum += marginalAt(marginal, (k + 0.5) / points);
  return sum / points;
}

/** How much draws of one workflow go together: the correlation of their normals. An assumption, not measured. */
const TOGETHER = 0.5;

/** Draws for one workflow: each has its marginal, and a workflow that is long in one is likely long in others. */
export function drawsTogether(random: SeededRandom): (marginal: Marginal) => number {
  const common = random.normal();
  return (marginal) =>
    marginalAt(marginal, normalShare(Math.sqrt(TOGETHER) * common + Math.sqrt(1 - TOGETHER) * random.normal()));
}

/** Share of a standard normal below `z` (Abramowitz and Stegun 26.2.17, error below 1e-7). */
function normalShare(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    0.3989422804014327 *
    Math.exp(-(z ** 2) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? 1 - tail : tail;
}

/**
 * Marginals from an Azure trace (arrivals), ChatDev calls (roles and reviews) and agent sessions (tools).
 * @throws TuttiError INPUT_INVALID when one of them lacks what is needed
 */
export function marginalsOf(arrivals: Trace, roles: Trace, agents: Trace): WorkloadMarginals {
  const times = callsByArrival(arrivals).map((call) => call.arrival);
  const calls = roles.programs.flatMap((program) => program.calls);
  const steps = agents.programs.flatMap((program) => program.calls);
  const role = (
    name: string,
    wanted: (call: TraceCall) => boolean,
    of = calls,
  ): { output: Marginal; prompt: Marginal } => {
    const chosen = of.filter(wanted);
    return {
      output: marginalOf(
        chosen.map((call) => Math.max(1, call.outputTokens)),
        name,
      ),
      prompt: marginalOf(
        chosen.map((call) => Math.max(1, call.promptTokens - (call.sharedTokens ?? 0))),
        name,
      ),
    };
  };
  const at = (stage: string, speaker?: string) => (call: TraceCall) =>
    call.stage === stage && (speaker === undefined || call.role === speaker);
  const reviewer = at('CodeReviewComment', 'Code Reviewer');
  const tools = steps.filter((call) => call.bringsToolResult && call.sharedTokens !== undefined);
  return {
    arrivalGap: marginalOf(
      times.slice(1).map((time, k) => time - times[k]!),
      'arrivals',
    ),
    roles: {
      planner: role('planners', (call) => at('DemandAnalysis')(call) || at('Reflection')(call)),
      coder: role('coders', (call) => at('Coding')(call) || at('CodeComplete')(call)),
      critic: role('critics', reviewer),
      reviser: role('revisers', at('CodeReviewModification', 'Programmer')),
      tester: role('testers', at('TestErrorSummary')),
      writer: role('writers', at('Manual')),
      agent: role('agents', (call) => call.role === 'agent', steps),
    },
    tool: {
      seconds: marginalOf(
        tools.flatMap((call) => (call.gapSeconds === undefined ? [] : [call.gapSeconds])),
        'tools',
      ),
      result: marginalOf(
        tools.map((call) => Math.max(1, call.promptTokens - call.sharedTokens!)),
        'tool results',
      ),
      steps: marginalOf(
        agents.programs.map((program) => program.calls.length),
        'sessions',
      ),
      start: marginalOf(
        agents.programs.flatMap(({ calls: [first] }) => (first ? [first.promptTokens] : [])),
        'sessions',
      ),
    },
    reviews: marginalOf(
      roles.programs.map((program) => Math.max(1, program.calls.filter(reviewer).length)),
      'reviews',
    ),
  };
}
