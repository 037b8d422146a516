/** Answers in OpenAI's words, read with the care that a server elsewhere needs: whatever is not as it should be is refused by name. */
import type { Embeddings, FinishReason, TextChunk, TokenLogprob, TokenUsage, ToolCall } from '../engine/text-engine.js';

type Fields = Readonly<Record<string, unknown>>;

/** What of a message is wrong, for a person. */
export class MalformedAnswer extends Error {}

export interface AnswerReader {
  /** Chunks of a message of a stream, or of a whole answer. @throws MalformedAnswer */
  read(message: unknown): readonly TextChunk[];
  /** The last chunk, when the answer is at its end; undefined when the end is missing. */
  end(): TextChunk | undefined;
}

export function answerReader(): AnswerReader {
  let finish: FinishReason | undefined;
  let usage: TokenUsage | undefined;
  const calls = new Map<number, { id: string; name: string; arguments: string }>();

  function readCalls(list: unknown): void {
    for (const [k, call] of listOf(list, 'tool_calls').entries()) {
      const { index = k, id, function: of } = fields(call, 'a tool call');
      const { name, arguments: args } = fields(of ?? {}, 'the function of a tool call');
      if (typeof index !== 'number') throw new MalformedAnswer('the index of a tool call is no number');
      const held = calls.get(index) ?? { id: '', name: '', arguments: '' };
      calls.set(index, held);
      held.id ||= text(id, 'the id of a tool call');
      held.name += text(name, 'the name of a tool');
      held.arguments += text(args, 'the arguments of a tool call');
    }
  }

  return {
    read(message) {
      const { choices, usage: counts } = fields(message, 'the answer');
      if (isFields(counts)) {
        const {
          prompt_tokens: promptTokens,
          completion_tokens: completionTokens,
          prompt_tokens_details: details,
        } = counts;
        const cached = isFields(details) ? details['cached_tokens'] : undefined;
        if (typeof promptTokens === 'number' && typeof completionTokens === 'number')
          usage = { promptTokens, completionTokens, ...(typeof cached === 'number' && { cachedTokens: cached }) };
      }
      const chunks: TextChunk[] = [];
      for (const each of listOf(choices, 'choices')) {
        const choice = fields(each, 'a choice');
        if (choice['index'] !== undefined && choice['index'] !== 0) continue;
        const said = choice['delta'] ?? choice['message'];
        const { content, tool_calls: list } =
          said === undefined || said === null ? { content: choice['text'] } : fields(said, 'a message');
        if (list !== undefined && list !== null) readCalls(list);
        chunks.push(...spread(text(content, 'the text'), logprobsOf(choice['logprobs'])));
        finish = finishOf(choice['finish_reason']) ?? finish;
      }
      return chunks;
    },
    end() {
      if (!finish) return undefined;
      const toolCalls: ToolCall[] = [...calls.entries()].sort(([a], [b]) => a - b).map(([, call]) => call);
      return { text: '', finish, ...(toolCalls.length > 0 && { toolCalls }), ...(usage && { usage }) };
    },
  };
}

interface KnownToken {
  readonly token: string;
  readonly logprob: number;
  readonly top: readonly TokenLogprob[];
}

/** One chunk a token where they are told apart. */
function spread(said: string, tokens: readonly KnownToken[]): TextChunk[] {
  if (tokens.length === 0) return said === '' ? [] : [{ text: said }];
  const apart = tokens.map(({ token }) => token).join('') === said;
  return tokens.map(({ token, logprob, top }, k) => ({
    text: apart ? token : k === 0 ? said : '',
    logprob,
    ...(top.length > 0 && { topLogprobs: top }),
  }));
}

/** Of chats ({ content: [...] }) and of completions ({ tokens, token_logprobs, top_logprobs }). What is odd is left out. */
function logprobsOf(given: unknown): readonly KnownToken[] {
  if (!isFields(given)) return [];
  const { content, tokens, token_logprobs: values, top_logprobs: tops } = given;
  if (Array.isArray(content)) {
    return content.filter(isToken).map((entry) => ({
      ...entry,
      top: (Array.isArray(entry.top_logprobs) ? entry.top_logprobs : [])
        .filter(isToken)
        .map(({ token, logprob }) => ({ text: token, logprob })),
    }));
  }
  if (!Array.isArray(tokens) || !Array.isArray(values)) return [];
  return tokens.map((token, k) => {
    const top: unknown = Array.isArray(tops) ? tops[k] : undefined;
    return {
      token: String(token),
      logprob: Number(values[k]),
      top: Object.entries(isFields(top) ? top : {}).map(([text, logprob]) => ({ text, logprob: Number(logprob) })),
    };
  });
}

function isToken(entry: unknown): entry is { token: string; logprob: number; top_logprobs?: unknown } {
  return isFields(entry) && typeof entry['token'] === 'string' && typeof entry['logprob'] === 'number';
}

function finishOf(reason: unknown): FinishReason | undefined {
  if (typeof reason !== 'string') return undefined;
  if (reason === 'length') return 'length';
  return reason === 'tool_calls' || reason === 'function_call' ? 'tool_calls' : 'stop';
}

/** @throws MalformedAnswer */
export function readEmbeddings(answer: unknown, count: number): Embeddings {
  const { data, usage } = fields(answer, 'the answer');
  const vectors: Float32Array[] = [];
  for (const item of listOf(data, 'data')) {
    const { embedding, index = vectors.length } = fields(item, 'an embedding');
    if (!Array.isArray(embedding) || !embedding.every((value) => typeof value === 'number'))
      throw new MalformedAnswer('an embedding is no list of numbers');
    vectors[Number(index)] = Float32Array.from(embedding);
  }
  if (vectors.length !== count || vectors.includes(undefined as never))
    throw new MalformedAnswer(`${vectors.length} embeddings came for ${count} texts`);
  const tokens = isFields(usage) ? usage['prompt_tokens'] : 0;
  return { vectors, promptTokens: typeof tokens === 'number' ? tokens : 0 };
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fields(value: unknown, what: string): Fields {
  if (isFields(value)) return value;
  throw new MalformedAnswer(`${what} is no object`);
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new MalformedAnswer(`${what} is no list`);
}

function text(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw new MalformedAnswer(`${what} is no text`);
}
