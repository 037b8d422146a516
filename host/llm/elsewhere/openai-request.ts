/** Our requests in OpenAI's words. */
import { METADATA_FIELDS, type ChatMessage, type TextRequest, type ToolDefinition } from '../engine/text-engine.js';

/** Body of a request to /chat/completions, or to /completions when it has a prompt. */
export function requestBody(model: string, request: TextRequest): Record<string, unknown> {
  const { messages, prompt, tools, toolChoice, responseFormat, logprobs, topLogprobs = 0 } = request;
  const body: Record<string, unknown> = {
    model,
    stream: true,
    stream_options: { include_usage: true },
    temperature: request.temperature ?? 0,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    repetition_penalty: request.repetitionPenalty,
    frequency_penalty: request.frequencyPenalty,
    presence_penalty: request.presencePenalty,
    logit_bias: request.logitBias,
    seed: request.seed,
    max_tokens: request.maxTokens,
    stop: request.stop && request.stop.length > 0 ? request.stop : undefined,
    priority: request.priority,
  };
  const asked = logprobs === true || topLogprobs > 0;
  if (messages === undefined) return { ...body, prompt, ...(asked && { logprobs: topLogprobs }) };
  return {
    ...body,
    messages: messages.map(wireMessage),
    ...(asked && { logprobs: true, top_logprobs: topLogprobs }),
    ...(tools && tools.length > 0 && { tools: tools.map(wireTool) }),
    ...(toolChoice !== undefined && {
      tool_choice: typeof toolChoice === 'string' ? toolChoice : { type: 'function', function: toolChoice },
    }),
    ...(responseFormat && {
      response_format:
        responseFormat.type === 'json_schema'
          ? { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: responseFormat.schema } }
          : responseFormat,
    }),
  };
}

function wireMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): object {
  return {
    role,
    content,
    ...(name !== undefined && { name }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
    ...(toolCalls && {
      tool_calls: toolCalls.map((call) => ({
        id: call.id,
        type: 'function',
        function: { name: call.name, arguments: call.arguments },
      })),
    }),
  };
}

const wireTool = (tool: ToolDefinition): object => ({ type: 'function', function: tool });

/** What a request says of itself, as headers. */
export function metadataHeaders({ metadata = {} }: TextRequest): Record<string, string> {
  const known = METADATA_FIELDS.filter((field) => /^[\x20-\x7e]+$/.test(metadata[field] ?? ''));
  return Object.fromEntries(known.map((field) => [`x-tutti-${field.replace('_', '-')}`, metadata[field]!]));
}
