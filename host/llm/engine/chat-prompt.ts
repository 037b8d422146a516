/** The tokens of a request: its prompt as it is, or its conversation through the model's chat template. */
import { TuttiError } from '../../errors.js';
import type { ModelFile } from '../model/model-file.js';
import { conversationWriter } from '../tokenizer/chat-template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ChatMessage, TextRequest, ToolDefinition } from './text-engine.js';

/** A conversation as text, by a model's own template. */
export type ChatRenderer = (conversation: {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools: readonly Readonly<Record<string, unknown>>[] | undefined;
}) => string | Promise<string>;

/** By the template of a model file, or by the usual one of its vocabulary; undefined where there is neither. */
export function chatRenderer(file: ModelFile): ChatRenderer | undefined {
  return conversationWriter(file);
}

/** @throws TuttiError INPUT_INVALID when there is neither or both */
export async function promptTokens(
  { prompt, messages, tools }: Pick<TextRequest, 'prompt' | 'messages' | 'tools'>,
  tokenizer: Tokenizer,
  render: ChatRenderer | undefined,
): Promise<number[]> {
  if ((prompt === undefined) === (messages === undefined)) {
    throw new TuttiError(
      'INPUT_INVALID',
      `a request has either a prompt or messages, not ${prompt ? 'both' : 'none'}`,
      {
        where: 'prompt',
      },
    );
  }
  if (typeof prompt === 'string') return tokenizer.encode(prompt);
  if (prompt) return [...prompt];
  // A model without a template continues text: it gets what was said, one after the other.
  if (!render) return tokenizer.encode(messages!.map(({ content }) => content).join('\n'));
  const text = await render(conversationOf(messages!, tools));
  const bos = tokenizer.bos === undefined ? '' : tokenizer.decode([tokenizer.bos], { special: true });
  return tokenizer.encode(text, { special: true, addBos: bos === '' || !text.startsWith(bos) });
}

/** A conversation in the words of templates. */
export function conversationOf(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[] | undefined,
): Parameters<ChatRenderer>[0] {
  return { messages: messages.map(templateMessage), tools: tools?.map(templateTool) };
}

/** In the shape that templates are written for. Arguments are an object where they are one: templates print them as JSON. */
function templateMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): Record<string, unknown> {
  return {
    role: role === 'developer' ? 'system' : role,
    content,
    ...(name !== undefined && { name }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
    ...(toolCalls && {
      tool_calls: toolCalls.map((call) => ({
        id: call.id,
        type: 'function',
        function: { name: call.name, arguments: parsed(call.arguments) },
      })),
    }),
  };
}

function templateTool(tool: ToolDefinition): Record<string, unknown> {
  const { name, description = '', parameters = { type: 'object', properties: {} } } = tool;
  return { type: 'function', function: { name, description, parameters } };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}
