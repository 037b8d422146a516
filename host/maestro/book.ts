/**
 * The scheduler's book: workflows under way, their stages that can run, what each has been served. Executors, live or simulated, tell it what happened;
 * it says which stages can run when, and asks the predictor.
 */
import { TuttiError } from '../errors.js';
import type { Program, Ticket } from './decision.js';
import type { LengthPrediction, LengthPredictor, StageFeatures } from './predict/predictor.js';
import { createWorkflow, type Stage, type StageSpec, type WorkflowLimits, type WorkflowSpec } from './workflow.js';

/** The same records, as their owner changes them. */
export type OpenTicket = { -readonly [K in Exclude<keyof Ticket, 'program'>]: Ticket[K] } & {
  readonly program: OpenProgram;
  readonly features: StageFeatures;
  /** Tokens of its answer, once it has ended. */
  tokens: number;
};

export type OpenProgram = { -readonly [K in keyof Program]: Program[K] } & {
  /** Of stages that are known: those that can run, run or have run have a ticket. */
  readonly tickets: Map<string, OpenTicket>;
  /** Parents that have not ended, of stages without a ticket. */
  readonly waiting: Map<string, number>;
  /** Calls of each role that ended, and tokens of the last of them. */
  readonly roles: Map<string, { readonly calls: number; readonly last: number }>;
  /** Counts whatever changes what is still to come. */
  version: number;
};

/** A stage that can run at a time: now, or when its tool has answered. */
export interface Ready {
  readonly ticket: OpenTicket;
  readonly at: number;
}

export interface BookOptions extends WorkflowLimits {
  /** Indices of the models' names. */
  readonly modelIndex: ReadonlyMap<string, number>;
  /** Without, every answer is expected to be of the same length. */
  readonly predictor?: LengthPredictor;
  /** Knows how long an answer will be, instead of a predictor. For upper bounds. */
  readonly lengthOf?: (stage: Stage) => number;
}

export interface Book {
  readonly programs: ReadonlyMap<string, OpenProgram>;
  /** @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED */
  open(spec: WorkflowSpec, now: number): { readonly program: OpenProgram; readonly ready: readonly Ready[] };
  /** Stages that an agent decided on. @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED */
  grow(program: OpenProgram, stages: readonly StageSpec[], now: number): readonly Ready[];
  /** A stage has answered with so many tokens and took so many seconds of service. */
  ended(ticket: OpenTicket, tokens: number, seconds: number, now: number, calledTool?: string): readonly Ready[];
  /** No stage of it will come any more. */
  close(program: OpenProgram, state: 'ended' | 'shed'): void;
}

/** An answer whose length is known. */
export function knownLength(tokens: number): LengthPrediction {
  return { median: tokens, mean: tokens, toolProbability: 0, quantile: () => tokens };
}

const UNKNOWN_LENGTH = 256;

export function sharedTokens(stage: StageSpec): number {
  const { prefix } = stage;
  if (!prefix) return 0;
  if ('stage' in prefix) return prefix.tokens;
  let tokens = 0;
  for (const segment of prefix.segments) tokens += segment.tokens;
  return tokens;
}

export function createBook(options: BookOptions): Book {
  const { modelIndex, predictor, lengthOf } = options;
  const programs = new Map<string, OpenProgram>();
  const unknown = knownLength(UNKNOWN_LENGTH);
  let programNumber = 0;
  let ticketNumber = 0;

  function featuresOf(stage: Stage, program: OpenProgram, now: number): StageFeatures {
    const parents = stage.parents.map((id) => {
      const parent = program.tickets.get(id)!;
      return { role: parent.stage.role, tokens: parent.tokens };
    });
    return {
      ...{ role: stage.role, model: stage.model, prompt: stage.prompt, promptTokens: stage.promptTokens },
      ...{ sharedTokens: sharedTokens(stage), stageIndex: program.stagesEnded, maxTokens: stage.maxTokens },
      ...{ callsOfRole: program.roles.get(stage.role)?.calls ?? 0, parents, tool: stage.tool, depth: stage.depth },
      previousTokensOfRole: program.roles.get(stage.role)?.last,
      ...{ program: program.workflow.id, workflow: program.workflow.application, fanOut: stage.fanOut },
      gapSeconds: now - program.lastEnd,
    };
  }

  function predict(stage: Stage, features: StageFeatures): LengthPrediction {
    if (lengthOf) return knownLength(lengthOf(stage));
    return predictor ? predictor.predict(features) : unknown;
  }

  const NONE: StageFeatures = { role: '', promptTokens: 0, stageIndex: 0, callsOfRole: 0, parents: [] };

  function ticketOf(stage: Stage, program: OpenProgram, now: number): Ready {
    const features = predictor ? featuresOf(stage, program, now) : NONE;
    const readyAt = now + stage.toolSeconds;
    const ticket: OpenTicket = {
      stage,
      program,
      features,
      number: ticketNumber++,
      model: modelIndex.get(stage.model)!,
      readyAt,
      prediction: predict(stage, features),
      phase: 'known',
      node: -1,
      generated: 0,
      kept: false,
      interruptions: 0,
      tokens: 0,
    };
    program.tickets.set(stage.id, ticket);
    program.active++;
    return { ticket, at: readyAt };
  }

  function take(program: OpenProgram, stages: readonly Stage[], now: number): Ready[] {
    const ready: Ready[] = [];
    program.version++;
    for (const stage of stages) {
      let open = 0;
      for (const parent of stage.parents.length > 1 ? new Set(stage.parents) : stage.parents)
        if (program.tickets.get(parent)?.phase !== 'ended') open++;
      if (open > 0) program.waiting.set(stage.id, open);
      else ready.push(ticketOf(stage, program, now));
    }
    return ready;
  }

  return {
    programs,
    open(spec, now) {
      if (programs.has(spec.id)) {
        throw new TuttiError(
          'INPUT_INVALID',
          `there is a workflow ${JSON.stringify(spec.id)} already; give it another id`,
          {
            where: 'workflow.id',
          },
        );
      }
      const workflow = createWorkflow(spec, options, now);
      const program: OpenProgram = {
        workflow,
        number: programNumber++,
        deadline: workflow.deadline,
        attainedSeconds: 0,
        attainedTokens: 0,
        stagesEnded: 0,
        active: 0,
        lastEnd: now,
        state: 'open',
        tickets: new Map(),
        waiting: new Map(),
        roles: new Map(),
        version: 0,
      };
      programs.set(spec.id, program);
      return { program, ready: take(program, [...workflow.stages.values()], now) };
    },
    grow: (program, stages, now) => take(program, program.workflow.add(stages, now), now),
    ended(ticket, tokens, seconds, now, calledTool) {
      const { program, stage } = ticket;
      ticket.phase = 'ended';
      ticket.tokens = tokens;
      program.active--;
      program.stagesEnded++;
      program.attainedSeconds += seconds;
      program.attainedTokens += tokens;
      program.lastEnd = now;
      const calls = (program.roles.get(stage.role)?.calls ?? 0) + 1;
      program.roles.set(stage.role, { calls, last: tokens });
      predictor?.observe(ticket.features, tokens, calledTool === undefined ? {} : { calledTool });
      const ready: Ready[] = [];
      for (const child of program.workflow.childrenOf(stage.id)) {
        const open = program.waiting.get(child.id);
        if (open === undefined) continue;
        if (open > 1) {
          program.waiting.set(child.id, open - 1);
          continue;
        }
        program.waiting.delete(child.id);
        ready.push(ticketOf(child, program, now));
      }
      return ready;
    },
    close(program, state) {
      program.state = state;
      programs.delete(program.workflow.id);
      for (const ticket of program.tickets.values()) if (ticket.phase !== 'ended') ticket.phase = 'shed';
    },
  };
}
