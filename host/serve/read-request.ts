/** From the bytes of a request to what an engine takes. */
import type { z } from 'zod';
import type { ChatMessage, TextRequest, ToolDefinition } from '../llm/engine/text-engine.js';
import { ApiError } from './api-error.js';
import type { ChatRequest, CompletionRequest, EmbeddingRequest } from './request-schema.js';

/** @throws ApiError 400 naming the field */
export function parseBody<T extends z.ZodType>(text: string, schema: T): z.output<T> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new ApiError(400, `the body is not JSON: ${(cause as Error).message}`, { code: 'invalid_json', cause });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new ApiError(400, 'the body must be a JSON object');
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues[0]!);
  const param = issue.path
    .map((key, k) => (typeof key === 'number' ? `[${key}]` : `${k > 0 ? '.' : ''}${String(key)}`))
    .join('');
  const missing = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], body);
  throw new ApiError(400, `${param}: ${missing === undefined ? 'is missing' : issue.message}`, {
    param,
    code: missing === undefined ? 'missing_required_parameter' : 'invalid_value',
  });
}

type Issue = z.core.$ZodIssue;

/** Of a union, what is wrong with the alternative that went furthest. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const inner = issue.errors
    .map((issues) => issues[0])
    .filter((each) => each !== undefined && each.path.length > 0)
    .map((each) => deepest({ ...each!, path: [...issue.path, ...each!.path] }));
  inner.sort((a, b) => b.path.length - a.path.length);
  return inner[0] ?? issue;
}

type Common = Pick<
  ChatRequest,
  | 'temperature'
  | 'top_p'
  | 'top_k'
  | 'min_p'
  | 'repetition_penalty'
  | 'frequency_penalty'
  | 'presence_penalty'
  | 'logit_bias'
  | 'seed'
  | 'stop'
  | 'metadata'
  | 'priority'
  | 'n'
>;

/** Requests of one HTTP request: `n` of each prompt, which differ in their seeds. */
function choicesOf(request: TextRequest, { n = 1, seed }: Common): TextRequest[] {
  const first = seed ?? Math.floor(Math.random() * 2 ** 32);
  return Array.from({ length: n }, (_, k) => ({ ...request, seed: (first + k) >>> 0 }));
}

function commonOf(body: Common): TextRequest {
  const { temperature = 1, stop } = body;
  return {
    temperature,
    ...(body.top_p !== undefined && { topP: body.top_p }),
    ...(body.top_k !== undefined && { topK: body.top_k }),
    ...(body.min_p !== undefined && { minP: body.min_p }),
    ...(body.repetition_penalty !== undefined && { repetitionPenalty: body.repetition_penalty }),
    ...(body.frequency_penalty !== undefined && { frequencyPenalty: body.frequency_penalty }),
    ...(body.presence_penalty !== undefined && { presencePenalty: body.presence_penalty }),
    ...(body.logit_bias && { logitBias: body.logit_bias }),
    ...(stop !== undefined && { stop: typeof stop === 'string' ? [stop] : stop }),
    ...(body.metadata && { metadata: body.metadata }),
    ...(body.priority !== undefined && { priority: body.priority }),
  };
}

/** @throws ApiError 400 */
export function chatRequests(body: ChatRequest): TextRequest[] {
  const { tools = [], tool_choice: choice = 'auto', response_format: format } = body;
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const named = typeof choice === 'object' ? choice.function.name : undefined;
  if (named !== undefined && !tools.some((tool) => tool.function.name === named))
    throw new ApiError(400, `tool_choice names ${named}, which is not among the tools`, { param: 'tool_choice' });
  if (choice === 'required' && tools.length === 0)
    throw new ApiError(400, 'tool_choice is "required", but there are no tools', { param: 'tool_choice' });
  if (body.top_logprobs !== undefined && !body.logprobs)
    throw new ApiError(400, 'top_logprobs needs logprobs: true', { param: 'top_logprobs' });
  const request: TextRequest = {
    ...commonOf(body),
    messages: body.messages.map(messageOf),
    ...(tools.length > 0 &&
      choice !== 'none' && {
        tools: tools.map(toolOf),
        toolChoice: named !== undefined ? { name: named } : choice === 'required' ? 'required' : 'auto',
      }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(body.logprobs && { logprobs: true, topLogprobs: body.top_logprobs ?? 0 }),
    ...(format && {
      responseFormat:
        format.type === 'json_schema' ? { type: 'json_schema', schema: format.json_schema.schema } : format,
    }),
  };
  return choicesOf(request, body);
}

function messageOf(message: ChatRequest['messages'][number]): ChatMessage {
  const text = textOf(message.content);
  if (message.role === 'tool') return { role: 'tool', content: text, toolCallId: message.tool_call_id };
  const named = { content: text, ...(message.name !== undefined && { name: message.name }) };
  if (message.role !== 'assistant') return { role: message.role, ...named };
  const toolCalls = message.tool_calls?.map((call) => ({
    id: call.id,
    name: call.function.name,
    arguments: call.function.arguments,
  }));
  return { role: 'assistant', ...named, ...(toolCalls && { toolCalls }) };
}

const textOf = (content: ChatRequest['messages'][number]['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map((part) => part.text).join('');

function toolOf({
  function: { name, description, parameters },
}: NonNullable<ChatRequest['tools']>[number]): ToolDefinition {
  return { name, ...(description !== undefined && { description }), ...(parameters && { parameters }) };
}

/** Prompts in order, `n` choices of each. OpenAI's default of 16 tokens is kept. */
export function completionRequests(body: CompletionRequest): TextRequest[] {
  const { logprobs, max_tokens: maxTokens = 16 } = body;
  return promptsOf(body.prompt).flatMap((prompt) =>
    choicesOf(
      {
        ...commonOf(body),
        ...{ prompt, maxTokens },
        ...(logprobs !== undefined && { logprobs: true, topLogprobs: logprobs }),
      },
      body,
    ),
  );
}

export function promptsOf(input: EmbeddingRequest['input']): (string | readonly number[])[] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as (string | number[])[]);
}
