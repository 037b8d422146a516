/**
 * A workflow: stages of language models that wait for each other, as the scheduler knows them. It may grow while it runs, because agents decide their
 * next step; what is known of it is checked whenever something is added, and nothing that was accepted becomes invalid later.
 */
import { TuttiError } from '../errors.js';

/** Somebody waits for it, or nobody does. */
export type StageClass = 'interactive' | 'batch';

/** A piece of a prompt that others begin with too. Equal identities after equal beginnings stand for equal tokens. */
export interface PrefixSegment {
  readonly id: string | number;
  readonly tokens: number;
}

/**
 * What a prompt begins with. `segments`: pieces known by name, from the first on (a system prompt, the tools, blocks of a trace). `stage`: the first
 * `tokens` tokens of prompt and answer of an earlier stage of the same workflow.
 */
export type SharedPrefix =
  { readonly segments: readonly PrefixSegment[] } | { readonly stage: string; readonly tokens: number };

export interface StageSpec {
  /** Its name within the workflow. */
  readonly id: string;
  /** Who speaks: planner, coder, critic. */
  readonly role: string;
  readonly model: string;
  /** The prompt's text, or its length in tokens, or both. */
  readonly prompt?: string | undefined;
  readonly promptTokens?: number | undefined;
  readonly prefix?: SharedPrefix | undefined;
  /** Stages of the same workflow that have to end first. */
  readonly parents?: readonly string[] | undefined;
  /** What happens outside between the last parent's end and this stage, and for how long, where that is known. */
  readonly tool?: string | undefined;
  readonly toolSeconds?: number | undefined;
  /** Default: the workflow's. */
  readonly class?: StageClass | undefined;
  /** Most tokens of its answer. Default 4096. */
  readonly maxTokens?: number | undefined;
  /** Seconds from when it could start to its first token, and to its end, that its caller wants. */
  readonly firstTokenSeconds?: number | undefined;
  readonly latencySeconds?: number | undefined;
  /** How many stages will follow it, where the caller knows. */
  readonly fanOut?: number | undefined;
}

export interface WorkflowSpec {
  readonly id: string;
  /** What it is an instance of: workflows of one application are alike. Default: 'unknown'. */
  readonly application?: string | undefined;
  readonly tenant?: string | undefined;
  /** Default 'interactive'. */
  readonly class?: StageClass | undefined;
  /** When it came, in seconds of the scheduler's clock. */
  readonly arrival: number;
  /** Seconds after `arrival` at which all of it should have ended. */
  readonly deadlineSeconds?: number | undefined;
  /** What is known at first; `add` adds what its agents decide later. */
  readonly stages: readonly StageSpec[];
}

export interface WorkflowLimits {
  /** Models that there are; without, every name is taken. */
  readonly models?: ReadonlySet<string>;
  /** Most stages of a workflow, however it grows. Default 10,000. */
  readonly stages?: number;
  /** Most tokens of prompt and answer together. Default 4 Mi. */
  readonly contextTokens?: number;
  /** The clock, so that a deadline that has passed is refused. */
  readonly now?: number;
}

export interface Stage extends StageSpec {
  readonly workflow: Workflow;
  /** As its caller gave it. */
  readonly spec: StageSpec;
  /** In the order in which the scheduler heard of it. */
  readonly index: number;
  readonly promptTokens: number;
  readonly parents: readonly string[];
  readonly toolSeconds: number;
  readonly class: StageClass;
  readonly maxTokens: number;
  /** Longest chain of stages before it. */
  readonly depth: number;
}

export interface Workflow {
  readonly id: string;
  readonly application: string;
  readonly tenant: string;
  readonly class: StageClass;
  readonly arrival: number;
  /** On the scheduler's clock; infinite where there is none. */
  readonly deadline: number;
  readonly stages: ReadonlyMap<string, Stage>;
  childrenOf(stage: string): readonly Stage[];
  /**
   * Adds stages, all of them or, when one is invalid, none. Parents may be stages that are there or others of the same call.
   * @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED
   */
  add(stages: readonly StageSpec[], now?: number): readonly Stage[];
}

const DEFAULT_MAX_TOKENS = 4096;
const MOST_STAGES = 10_000;
const MOST_CONTEXT = 4 * 2 ** 20;
const NO_PARENTS: readonly string[] = [];
const NO_CHILDREN: readonly Stage[] = [];
/** A year: whoever waits longer has made a mistake with units. */
const MOST_SECONDS = 366 * 86_400;
/** Characters per token of English text, on the safe side for reservations. */
const CHARACTERS_PER_TOKEN = 4;

const invalid = (where: string, message: string): TuttiError =>
  new TuttiError('INPUT_INVALID', `${where} ${message}`, { where });

function checkName(value: unknown, where: string, name: string): void {
  if (typeof value === 'string' && value.length > 0 && value.length <= 256) return;
  throw invalid(`${where}.${name}`, `must be a text of 1 to 256 characters, got ${show(value)}`);
}

function checkCount(value: unknown, least: number, most: number, where: string, name: string): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return;
  throw invalid(`${where}.${name}`, `must be a whole number in ${least} .. ${most}, got ${show(value)}`);
}

function checkSeconds(value: unknown, where: string, name: string, aboveZero = false): void {
  const inRange = typeof value === 'number' && (aboveZero ? value > 0 : value >= 0) && value <= MOST_SECONDS;
  if (inRange) return;
  const least = aboveZero ? 'above 0' : 'of at least 0';
  throw invalid(
    `${where}.${name}`,
    `must be a number of seconds ${least} and at most ${MOST_SECONDS}, got ${show(value)}`,
  );
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

function checkClass(value: unknown, where: string): void {
  if (value === 'interactive' || value === 'batch') return;
  throw invalid(`${where}.class`, `must be 'interactive' or 'batch', got ${show(value)}`);
}

function promptTokensOf(spec: StageSpec, where: string): number {
  if (spec.promptTokens !== undefined) return spec.promptTokens;
  if (spec.prompt !== undefined) return Math.max(1, Math.ceil(spec.prompt.length / CHARACTERS_PER_TOKEN));
  throw invalid(where, 'needs a prompt or promptTokens');
}

/** Everything about a stage that does not depend on other stages. */
function checkStage(spec: StageSpec, where: string, limits: WorkflowLimits): void {
  const most = limits.contextTokens ?? MOST_CONTEXT;
  checkName(spec.id, where, 'id');
  checkName(spec.role, where, 'role');
  checkName(spec.model, where, 'model');
  if (limits.models && !limits.models.has(spec.model)) {
    const known = [...limits.models].slice(0, 8).join(', ') || 'none';
    throw invalid(`${where}.model`, `names ${show(spec.model)}, which there is not; there are ${known}`);
  }
  if (spec.prompt !== undefined && typeof spec.prompt !== 'string') throw invalid(`${where}.prompt`, 'must be a text');
  if (spec.promptTokens !== undefined) checkCount(spec.promptTokens, 1, most, where, 'promptTokens');
  if (spec.maxTokens !== undefined) checkCount(spec.maxTokens, 1, most, where, 'maxTokens');
  const tokens = promptTokensOf(spec, where) + (spec.maxTokens ?? DEFAULT_MAX_TOKENS);
  if (tokens > most) {
    throw new TuttiError(
      'LIMIT_EXCEEDED',
      `${where} asks for ${tokens} tokens of prompt and answer; at most ${most} are allowed: lower maxTokens or shorten the prompt`,
      { where, facts: { tokens, most } },
    );
  }
  if (spec.class !== undefined) checkClass(spec.class, where);
  if (spec.toolSeconds !== undefined) checkSeconds(spec.toolSeconds, where, 'toolSeconds');
  if (spec.firstTokenSeconds !== undefined) checkSeconds(spec.firstTokenSeconds, where, 'firstTokenSeconds', true);
  if (spec.latencySeconds !== undefined) checkSeconds(spec.latencySeconds, where, 'latencySeconds', true);
  if (spec.fanOut !== undefined) checkCount(spec.fanOut, 0, limits.stages ?? MOST_STAGES, where, 'fanOut');
  if (spec.prefix && 'segments' in spec.prefix) {
    for (const { tokens: own } of spec.prefix.segments) checkCount(own, 1, most, where, 'prefix.segments.tokens');
  } else if (spec.prefix) {
    checkCount(spec.prefix.tokens, 0, most, where, 'prefix.tokens');
  }
}

/**
 * Checks a workflow and makes it.
 * @throws TuttiError INPUT_INVALID for cycles, unknown parents or models, numbers out of range, a deadline that has passed; LIMIT_EXCEEDED
 */
export function createWorkflow(spec: WorkflowSpec, limits: WorkflowLimits = {}, now = limits.now): Workflow {
  checkName(spec.id, 'workflow', 'id');
  const where = `workflow ${spec.id}`;
  if (spec.application !== undefined) checkName(spec.application, where, 'application');
  if (spec.tenant !== undefined) checkName(spec.tenant, where, 'tenant');
  if (spec.class !== undefined) checkClass(spec.class, where);
  if (!Number.isFinite(spec.arrival)) throw invalid(`${where}.arrival`, `must be a time, got ${show(spec.arrival)}`);
  if (spec.deadlineSeconds !== undefined) checkSeconds(spec.deadlineSeconds, where, 'deadlineSeconds', true);
  const deadline = spec.deadlineSeconds === undefined ? Infinity : spec.arrival + spec.deadlineSeconds;
  if (now !== undefined && deadline <= now) {
    throw invalid(`${where}.deadlineSeconds`, `has passed ${now - deadline} s ago; give it a later deadline`);
  }
  const mostStages = limits.stages ?? MOST_STAGES;
  const stages = new Map<string, Stage>();
  let children: Map<string, Stage[]> | undefined;

  const workflow: Workflow = {
    id: spec.id,
    application: spec.application ?? 'unknown',
    tenant: spec.tenant ?? 'default',
    class: spec.class ?? 'interactive',
    arrival: spec.arrival,
    deadline,
    stages,
    childrenOf: (stage) => children?.get(stage) ?? NO_CHILDREN,
    add(specs, now) {
      if (now !== undefined && !Number.isFinite(now)) throw invalid(where, `was given ${show(now)} as the time`);
      if (stages.size + specs.length > mostStages) {
        throw new TuttiError(
          'LIMIT_EXCEEDED',
          `${where} would have ${stages.size + specs.length} stages; a workflow has at most ${mostStages}: end it, or raise the limit`,
          { where, facts: { stages: stages.size + specs.length, most: mostStages } },
        );
      }
      const added: Stage[] = [];
      for (const { spec: next, depth } of inOrder(specs, stages, where, limits)) {
        // Every field by name: what is spread would be a table, and there are millions of stages in a replay.
        const stage: Stage = {
          id: next.id,
          role: next.role,
          model: next.model,
          prompt: next.prompt,
          promptTokens: promptTokensOf(next, where),
          prefix: next.prefix,
          parents: next.parents ?? NO_PARENTS,
          tool: next.tool,
          toolSeconds: next.toolSeconds ?? 0,
          class: next.class ?? workflow.class,
          maxTokens: next.maxTokens ?? DEFAULT_MAX_TOKENS,
          firstTokenSeconds: next.firstTokenSeconds,
          latencySeconds: next.latencySeconds,
          fanOut: next.fanOut,
          workflow,
          spec: next,
          index: stages.size + added.length,
          depth,
        };
        added.push(stage);
      }
      for (const stage of added) {
        stages.set(stage.id, stage);
        for (const parent of stage.parents) {
          const list = (children ??= new Map<string, Stage[]>()).get(parent);
          if (list) list.push(stage);
          else children.set(parent, [stage]);
        }
      }
      return added;
    },
  };
  workflow.add(spec.stages);
  return workflow;
}

/** Specs so that parents come first, with the length of the longest chain before each; everything about them is checked. */
function inOrder(
  specs: readonly StageSpec[],
  known: ReadonlyMap<string, Stage>,
  where: string,
  limits: WorkflowLimits,
): { spec: StageSpec; depth: number }[] {
  const [only] = specs;
  if (specs.length === 1 && only && !only.parents?.length && !(only.prefix && 'stage' in only.prefix)) {
    checkStage(only, `${where}.stages[0]`, limits);
    if (!known.has(only.id)) return [{ spec: only, depth: 0 }];
  }
  const fresh = new Map<string, StageSpec>();
  specs.forEach((spec, k) => {
    const at = `${where}.stages[${k}]`;
    checkStage(spec, at, limits);
    if (known.has(spec.id) || fresh.has(spec.id))
      throw invalid(`${at}.id`, `${show(spec.id)} is taken by another stage`);
    fresh.set(spec.id, spec);
  });
  const missing = new Map<string, number>();
  const waiting = new Map<string, string[]>();
  const depths = new Map<string, number>();
  const ready: StageSpec[] = [];
  for (const spec of specs) {
    let open = 0;
    for (const parent of new Set(spec.parents ?? [])) {
      if (!fresh.has(parent)) {
        if (known.has(parent)) continue;
        throw invalid(`${where}, stage ${spec.id}`, `has the parent ${show(parent)}, which there is not`);
      }
      open++;
      const list = waiting.get(parent);
      if (list) list.push(spec.id);
      else waiting.set(parent, [spec.id]);
    }
    const { prefix } = spec;
    if (prefix && 'stage' in prefix && !known.has(prefix.stage) && !fresh.has(prefix.stage)) {
      throw invalid(`${where}, stage ${spec.id}`, `goes on from stage ${show(prefix.stage)}, which there is not`);
    }
    missing.set(spec.id, open);
    if (open === 0) ready.push(spec);
  }
  const ordered: { spec: StageSpec; depth: number }[] = [];
  for (let spec = ready.shift(); spec; spec = ready.shift()) {
    const before = (spec.parents ?? []).map((parent) => depths.get(parent) ?? known.get(parent)!.depth);
    const depth = before.length === 0 ? 0 : Math.max(...before) + 1;
    depths.set(spec.id, depth);
    ordered.push({ spec, depth });
    for (const child of waiting.get(spec.id) ?? []) {
      const left = missing.get(child)! - 1;
      missing.set(child, left);
      if (left === 0) ready.push(fresh.get(child)!);
    }
  }
  if (ordered.length < specs.length) {
    const circle = specs.filter((spec) => missing.get(spec.id)! > 0).map((spec) => spec.id);
    throw invalid(
      where,
      `has stages that wait for each other: ${circle.slice(0, 8).join(', ')}; a workflow must not have cycles`,
    );
  }
  return ordered;
}
