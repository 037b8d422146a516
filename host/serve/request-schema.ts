/** What requests look like. Fields that are not named here are let through unread, as OpenAI's own server does with most. */
import { z } from 'zod';

const optional = <T extends z.ZodType>(type: T) => type.nullish().transform((value) => value ?? undefined);
const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.number().int().min(least).max(most);

const sampling = {
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(whole(0)),
  min_p: optional(z.number().min(0).max(1)),
  repetition_penalty: optional(z.number().min(0.01).max(100)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  presence_penalty: optional(z.number().min(-2).max(2)),
  logit_bias: optional(
    z.record(z.string().regex(/^\d{1,10}$/, { error: 'must be a token' }), z.number().min(-100).max(100)),
  ),
  seed: optional(z.number().int()),
};

const common = {
  model: z.string(),
  stream: optional(z.boolean()),
  stream_options: optional(z.looseObject({ include_usage: optional(z.boolean()) })),
  n: optional(whole(1, 128)),
  stop: optional(z.union([z.string().min(1), z.array(z.string().min(1)).max(16)])),
  metadata: optional(z.record(z.string().max(64), z.string().max(512))),
  priority: optional(z.number()),
  ...sampling,
};

const textPart = z.looseObject({
  type: z.literal('text', { error: 'is not supported; only "text" parts are' }),
  text: z.string(),
});
const content = z.union([z.string(), z.array(textPart)]);

const toolCall = z.looseObject({
  id: z.string(),
  type: optional(z.literal('function')),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});

const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer', 'user']), content, name: optional(z.string()) }),
  z.looseObject({
    role: z.literal('assistant'),
    content: optional(content),
    name: optional(z.string()),
    tool_calls: optional(z.array(toolCall)),
  }),
  z.looseObject({ role: z.literal('tool'), content, tool_call_id: z.string() }),
]);

const schemaObject = z.record(z.string(), z.unknown());

const tool = z.looseObject({
  type: z.literal('function', { error: 'must be "function"' }),
  function: z.looseObject({
    name: z.string().min(1).max(128),
    description: optional(z.string()),
    parameters: optional(schemaObject),
  }),
});

const responseFormat = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text') }),
  z.looseObject({ type: z.literal('json_object') }),
  z.looseObject({ type: z.literal('json_schema'), json_schema: z.looseObject({ schema: schemaObject }) }),
]);

export const chatRequest = z.looseObject({
  ...common,
  messages: z.array(message).min(1),
  max_tokens: optional(whole(1)),
  max_completion_tokens: optional(whole(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(whole(0, 20)),
  response_format: optional(responseFormat),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(
    z.union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
    ]),
  ),
});

const tokenList = z.array(whole(0, 2 ** 32)).min(1);
const texts = z.union([z.string(), tokenList, z.array(z.string()).min(1), z.array(tokenList).min(1)]);

export const completionRequest = z.looseObject({
  ...common,
  prompt: texts,
  max_tokens: optional(whole(1)),
  logprobs: optional(whole(0, 20)),
  echo: optional(z.literal(false, { error: 'is not supported' })),
  suffix: optional(z.literal('', { error: 'is not supported' })),
  best_of: optional(z.literal(1, { error: 'is not supported; only 1 is' })),
});

export const embeddingRequest = z.looseObject({
  model: z.string(),
  input: texts,
  encoding_format: optional(z.enum(['float', 'base64'])),
  dimensions: optional(whole(1)),
});

export type ChatRequest = z.output<typeof chatRequest>;
export type CompletionRequest = z.output<typeof completionRequest>;
export type EmbeddingRequest = z.output<typeof embeddingRequest>;
