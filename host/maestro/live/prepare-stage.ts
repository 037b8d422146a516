/** From what is guessed of a stage when it is added to what is known when it can run: its prompt's tokens, what of them is cached, how long it may become. */
import { TuttiError } from '../../errors.js';
import type { TextRequest } from '../../llm/engine/text-engine.js';
import type { OpenTicket } from '../book.js';
import type { LengthPredictor } from '../predict/predictor.js';
import type { StageSpec } from '../workflow.js';
import type { LiveProgram, StagePlan } from './live-program.js';
import type { Open } from './live-node.js';

/** Until its prompt is counted, a stage's answer may fill the context. @throws TuttiError LIMIT_EXCEEDED for one that no context holds */
export function boundedSpec({ spec }: StagePlan, most: number): StageSpec {
  const promptTokens = Math.min(spec.promptTokens ?? 1, most - 1);
  const { maxTokens = most } = spec;
  if (maxTokens > most && maxTokens < Infinity) {
    throw new TuttiError(
      'LIMIT_EXCEEDED',
      `stage ${spec.id} asks for ${maxTokens} tokens of an answer; at most ${most} are possible: lower maxTokens`,
      { where: 'stage.maxTokens', facts: { maxTokens, most } },
    );
  }
  return {
    ...spec,
    promptTokens,
    maxTokens: maxTokens === Infinity ? maxTokens : Math.min(maxTokens, most - promptTokens),
  };
}

/** By the names of its parents. */
export function answersOf({ plans }: LiveProgram, { stage }: OpenTicket): ReadonlyMap<string, string> {
  return new Map(stage.parents.map((id) => [id, plans.get(id)?.plan.answer.soFar ?? '']));
}

export interface StageFacts {
  readonly request: TextRequest;
  /** Of its prompt, where they can be counted, and how many of them a node has cached. */
  readonly tokens: readonly number[] | undefined;
  readonly cached: number;
  readonly context: number;
}

/** What a stage is asked, in place of what was guessed of it; it is predicted anew. */
export function tellTicket(ticket: OpenTicket, facts: StageFacts, predictor: LengthPredictor): void {
  const { request, tokens, cached, context } = facts;
  const stage: Open<typeof ticket.stage> = ticket.stage;
  if (tokens) stage.promptTokens = tokens.length;
  stage.maxTokens = Math.max(1, Math.min(request.maxTokens ?? Infinity, context - stage.promptTokens));
  if (cached > 0) stage.prefix = { segments: [{ id: `cached ${ticket.number}`, tokens: cached }] };
  const { messages = [], prompt, tools } = request;
  const system = messages.filter(({ role }) => role === 'system' || role === 'developer');
  const others = messages.filter((message) => !system.includes(message));
  const features = {
    ...ticket.features,
    ...{ promptTokens: stage.promptTokens, sharedTokens: cached, maxTokens: stage.maxTokens },
    prompt: typeof prompt === 'string' ? prompt : others.map(({ content }) => content).join('\n'),
    ...(system.length > 0 && { systemPrompt: system.map(({ content }) => content).join('\n') }),
    ...(tools && { tools: tools.map(({ name }) => name) }),
  };
  Object.assign(ticket, { features, prediction: predictor.predict(features) });
}
