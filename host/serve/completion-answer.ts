/** Answers of /v1/completions, whole or as events. */
import { usageOf, type AnswerFrame } from './chat-answer.js';
import type { Generation } from './generation.js';
import { chatLogprobs, completionLogprobs, type ChatLogprob } from './logprobs.js';

export interface CompletionFrame extends AnswerFrame {
  readonly choices: number;
}

export async function wholeCompletion({ chunks, counts }: Generation, frame: CompletionFrame): Promise<object> {
  const choices = Array.from({ length: frame.choices }, () => ({
    text: '',
    logprobs: [] as ChatLogprob[],
    finish: 'stop',
  }));
  for await (const { index, chunk } of chunks) {
    const choice = choices[index]!;
    choice.text += chunk.text;
    choice.logprobs.push(...chatLogprobs(chunk, frame.tokenizer));
    if (chunk.finish) choice.finish = chunk.finish;
  }
  return {
    id: frame.id,
    object: 'text_completion',
    created: frame.created,
    model: frame.model,
    choices: choices.map(({ text, logprobs, finish }, index) => ({
      ...{ index, text, finish_reason: finish },
      logprobs: frame.logprobs ? completionLogprobs(logprobs, 0) : null,
    })),
    usage: usageOf(counts),
  };
}

export async function* completionEvents(
  { chunks, counts }: Generation,
  frame: CompletionFrame,
  includeUsage: boolean,
): AsyncGenerator<object, void, undefined> {
  const event = (choices: readonly object[], usage: object | null = null): object => ({
    id: frame.id,
    object: 'text_completion',
    created: frame.created,
    model: frame.model,
    choices,
    ...(includeUsage && { usage }),
  });
  const offsets = new Map<number, number>();
  for await (const { index, chunk } of chunks) {
    const { text, finish } = chunk;
    const spelled = frame.logprobs ? chatLogprobs(chunk, frame.tokenizer) : [];
    if (text === '' && spelled.length === 0 && !finish) continue;
    const offset = offsets.get(index) ?? 0;
    offsets.set(
      index,
      spelled.reduce((sum, { token }) => sum + token.length, offset),
    );
    const logprobs = spelled.length > 0 ? completionLogprobs(spelled, offset) : null;
    yield event([{ index, text, logprobs, finish_reason: finish ?? null }]);
  }
  if (includeUsage) yield event([], usageOf(counts));
}
