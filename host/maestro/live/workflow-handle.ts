/** Workflows as programs use them: stages are added as agents decide on them, and answer as they come. */
import { abortedError, throwIfAborted, TuttiError } from '../../errors.js';
import type { ChatMessage, TextRequest } from '../../llm/engine/text-engine.js';
import type { StageClass, StageSpec } from '../workflow.js';
import { createAnswer, type Answer } from './answer.js';
import { leaveOut } from './leave-out.js';
import type { Executor } from './executor.js';
import type { LiveProgram, StageInput, StagePlan } from './live-program.js';

/** Answers of a stage's parents, by their names. */
export type ParentAnswers = ReadonlyMap<string, string>;

type Sampling = Omit<TextRequest, 'prompt' | 'messages' | 'metadata' | 'signal'>;

export interface StageRequest extends Sampling {
  /** Its name within the workflow. Default: role and a number. */
  readonly id?: string;
  /** Who speaks: planner, coder, critic. */
  readonly role: string;
  readonly model: string;
  /** What it is asked: either of these, or what makes it of the parents' answers once they are there. */
  readonly prompt?: string | readonly number[] | ((answers: ParentAnswers) => string | Promise<string>);
  readonly messages?:
    readonly ChatMessage[] | ((answers: ParentAnswers) => readonly ChatMessage[] | Promise<readonly ChatMessage[]>);
  /** Length of a prompt that is not known yet, as far as it can be guessed. Default 256. */
  readonly promptTokens?: number;
  /** Stages that have to end first, by their names or handles. */
  readonly parents?: readonly (string | StageHandle)[];
  /** What happens outside before it, and how many seconds that is expected to take. */
  readonly tool?: string;
  readonly toolSeconds?: number;
  /** Default: the workflow's. */
  readonly class?: StageClass;
  /** Seconds from when it can run to its first token, and to its end, that its caller wants. */
  readonly firstTokenSeconds?: number;
  readonly latencySeconds?: number;
  /** How many stages will follow it, where that is known. */
  readonly fanOut?: number;
  /** Ends it, and the stages that wait for it. */
  readonly signal?: AbortSignal;
}

/** A stage under way. It runs whether anybody reads it or not. */
export interface StageHandle extends Answer {
  readonly id: string;
}

export interface WorkflowOptions {
  /** Default: one that nobody has. */
  readonly id?: string;
  /** What it is an instance of: workflows of one application are alike. */
  readonly application?: string;
  readonly tenant?: string;
  /** Whether somebody waits for it. Default 'interactive'. */
  readonly class?: StageClass;
  /** Seconds from now after which it is of no use. */
  readonly deadlineSeconds?: number;
  /** Ends all of it. */
  readonly signal?: AbortSignal;
}

export interface WorkflowHandle {
  readonly id: string;
  /** @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED; WORKFLOW_SHED when the workflow was given up; ABORTED */
  stage(request: StageRequest): StageHandle;
  /** Several at once, which may wait for each other: all of them or, where one is invalid, none. @throws the same */
  stages(requests: readonly StageRequest[]): readonly StageHandle[];
  /** No further stage will come. Resolves when all have ended, however they did. */
  end(): Promise<void>;
  /** Ends what runs and waits of it. */
  cancel(reason?: unknown): void;
}

/** Of a prompt that is not known yet. */
const UNKNOWN_PROMPT = 256;
/** Characters to a token, before it is counted. */
const CHARACTERS = 4;

/** @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED, ABORTED */
export function openWorkflow(executor: Executor, options: WorkflowOptions & { readonly id: string }): WorkflowHandle {
  const { signal, ...spec } = options;
  throwIfAborted(signal, `workflow ${spec.id}`);
  const live = executor.open(spec);
  const names = new Map<string, number>();
  const abort = (): void => cancel(abortedError(signal!, `workflow ${spec.id}`));
  signal?.addEventListener('abort', abort, { once: true });
  live.whenClosed.push(() => signal?.removeEventListener('abort', abort));

  function nameOf({ id, role }: StageRequest): string {
    if (id !== undefined) return id;
    for (;;) {
      const count = (names.get(role) ?? 0) + 1;
      names.set(role, count);
      const name = count === 1 ? role : `${role}-${count}`;
      if (!live.plans.has(name)) return name;
    }
  }

  function cancel(reason: unknown): void {
    const error =
      reason instanceof TuttiError
        ? reason
        : new TuttiError('ABORTED', `workflow ${spec.id} was cancelled`, { where: spec.id, cause: reason });
    live.refusal ??= error;
    for (const id of [...live.plans.keys()]) executor.giveUp(live, id, error);
    executor.complete(live);
  }

  const handle: WorkflowHandle = {
    id: spec.id,
    stage: (request) => handle.stages([request])[0]!,
    stages(requests) {
      const plans = requests.map((request) => planOf(request, nameOf(request)));
      for (const { signal: own, role } of requests) throwIfAborted(own, `stage ${role}`);
      executor.add(live, plans);
      return plans.map((plan, k) => handleOf(executor, live, plan, requests[k]!.signal));
    },
    end() {
      const closed = new Promise<void>((resolve) => {
        if (live.program.state !== 'open') resolve();
        else live.whenClosed.push(resolve);
      });
      executor.complete(live);
      return closed;
    },
    cancel,
  };
  return handle;
}

/** What an accepted stage's caller gets. */
export function handleOf(
  executor: Executor,
  live: LiveProgram,
  { spec, answer }: StagePlan,
  signal: AbortSignal | undefined,
): StageHandle {
  if (signal) {
    const abort = (): void => executor.giveUp(live, spec.id, abortedError(signal, `stage ${spec.id}`));
    signal.addEventListener('abort', abort, { once: true });
    answer.whenOver(() => signal.removeEventListener('abort', abort));
  }
  return { id: spec.id, [Symbol.asyncIterator]: answer[Symbol.asyncIterator], text: answer.text };
}

export function planOf(request: StageRequest, id: string): StagePlan {
  const { role, model, prompt, messages, promptTokens, parents, tool, toolSeconds, fanOut, ...rest } = request;
  const { class: kind, firstTokenSeconds, latencySeconds, ...others } = rest;
  const sampling = leaveOut(others, 'id', 'signal');
  if ((prompt === undefined) === (messages === undefined)) {
    const what = prompt === undefined ? 'neither' : 'both';
    throw new TuttiError('INPUT_INVALID', `stage ${id} has ${what} of prompt and messages; it needs one of them`, {
      where: 'stage.prompt',
    });
  }
  const asked = prompt ?? messages!;
  const spec: StageSpec = {
    ...{ id, role, model, tool, toolSeconds, class: kind, firstTokenSeconds, latencySeconds, fanOut },
    ...(typeof prompt === 'string' && { prompt }),
    promptTokens: promptTokens ?? guessedLength(asked),
    maxTokens: sampling.maxTokens,
    parents: parents?.map((parent) => (typeof parent === 'string' ? parent : parent.id)),
  };
  return { spec, input: inputOf(prompt, messages, sampling), answer: createAnswer() };
}

function inputOf(prompt: StageRequest['prompt'], messages: StageRequest['messages'], sampling: Sampling): StageInput {
  if (typeof prompt === 'function') return async (answers) => ({ ...sampling, prompt: await prompt(answers) });
  if (typeof messages === 'function') return async (answers) => ({ ...sampling, messages: await messages(answers) });
  return { ...sampling, ...(prompt !== undefined ? { prompt } : { messages: messages! }) };
}

function guessedLength(asked: NonNullable<StageRequest['prompt'] | StageRequest['messages']>): number {
  if (typeof asked === 'function') return UNKNOWN_PROMPT;
  if (typeof asked === 'string') return Math.max(1, Math.ceil(asked.length / CHARACTERS));
  let length = 0;
  for (const each of asked) length += typeof each === 'number' ? 1 : Math.ceil(each.content.length / CHARACTERS) + 4;
  return Math.max(1, length);
}
