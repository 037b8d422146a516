/** Answers of /v1/chat/completions, whole or as events. */
import type { FinishReason, ToolCall } from '../llm/engine/text-engine.js';
import type { Tokenizer } from '../llm/tokenizer/tokenizer.js';
import type { ChoiceChunk, Counts, Generation } from './generation.js';
import { chatLogprobs, type ChatLogprob } from './logprobs.js';
import { toolCallReader, type ToolCallReader } from './tool-calls.js';

export interface AnswerFrame {
  readonly id: string;
  readonly model: string;
  /** Seconds. */
  readonly created: number;
  readonly tokenizer: Tokenizer | undefined;
  readonly logprobs: boolean;
}

export interface ChatFrame extends AnswerFrame {
  readonly choices: number;
  /** Names of the tools that may be called. */
  readonly tools: ReadonlySet<string>;
}

export function usageOf({ prompt, completion, cached }: Counts): object {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

interface Piece {
  readonly index: number;
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly logprobs: readonly ChatLogprob[];
  readonly finish: FinishReason | undefined;
}

/** Chunks with the calls of tools told from the text. */
async function* pieces(chunks: AsyncIterable<ChoiceChunk>, frame: ChatFrame): AsyncGenerator<Piece, void, undefined> {
  const { tools, tokenizer } = frame;
  const readers = new Map<number, ToolCallReader>();
  const called = new Set<number>();
  for await (const { index, chunk } of chunks) {
    let { text } = chunk;
    const calls: ToolCall[] = [...(chunk.toolCalls ?? [])];
    if (tools.size > 0) {
      let reader = readers.get(index);
      if (!reader) readers.set(index, (reader = toolCallReader(tools)));
      const read = reader.push(text);
      const rest = chunk.finish ? reader.end() : { text: '', calls: [] };
      text = read.text + rest.text;
      calls.push(...read.calls, ...rest.calls);
    }
    if (calls.length > 0) called.add(index);
    const finish = chunk.finish === 'stop' && called.has(index) ? 'tool_calls' : chunk.finish;
    yield { index, text, calls, finish, logprobs: frame.logprobs ? chatLogprobs(chunk, tokenizer) : [] };
  }
}

const wireCall = ({ id, name, arguments: args }: ToolCall): object => ({
  id,
  type: 'function',
  function: { name, arguments: args },
});

export async function wholeChat({ chunks, counts }: Generation, frame: ChatFrame): Promise<object> {
  const choices = Array.from({ length: frame.choices }, () => ({
    text: '',
    calls: [] as ToolCall[],
    logprobs: [] as ChatLogprob[],
    finish: 'stop',
  }));
  for await (const { index, text, calls, logprobs, finish } of pieces(chunks, frame)) {
    const choice = choices[index]!;
    choice.text += text;
    choice.calls.push(...calls);
    choice.logprobs.push(...logprobs);
    if (finish) choice.finish = finish;
  }
  return {
    id: frame.id,
    object: 'chat.completion',
    created: frame.created,
    model: frame.model,
    choices: choices.map(({ text, calls, logprobs, finish }, index) => ({
      index,
      message: {
        role: 'assistant',
        content: calls.length > 0 && text.trim() === '' ? null : text,
        refusal: null,
        ...(calls.length > 0 && { tool_calls: calls.map(wireCall) }),
      },
      logprobs: frame.logprobs ? { content: logprobs, refusal: null } : null,
      finish_reason: finish,
    })),
    usage: usageOf(counts),
  };
}

export async function* chatEvents(
  { chunks, counts }: Generation,
  frame: ChatFrame,
  includeUsage: boolean,
): AsyncGenerator<object, void, undefined> {
  const event = (choices: readonly object[], usage: object | null = null): object => ({
    id: frame.id,
    object: 'chat.completion.chunk',
    created: frame.created,
    model: frame.model,
    choices,
    ...(includeUsage && { usage }),
  });
  const callsSoFar = new Map<number, number>();
  const begun = new Set<number>();
  for await (const { index, text, calls, logprobs, finish } of pieces(chunks, frame)) {
    if (!begun.has(index)) {
      begun.add(index);
      yield event([{ index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }]);
    }
    const at = callsSoFar.get(index) ?? 0;
    callsSoFar.set(index, at + calls.length);
    const delta = {
      ...(text !== '' && { content: text }),
      ...(calls.length > 0 && { tool_calls: calls.map((call, k) => ({ index: at + k, ...wireCall(call) })) }),
    };
    // A chunk that is in the middle of a character, or of what may be a call, says nothing yet.
    if (text === '' && calls.length === 0 && logprobs.length === 0 && !finish) continue;
    const said = logprobs.length > 0 ? { content: logprobs, refusal: null } : null;
    yield event([{ index, delta, logprobs: said, finish_reason: finish ?? null }]);
  }
  if (includeUsage) yield event([], usageOf(counts));
}
