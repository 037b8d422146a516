/** A conversation with a text engine: what was said, and one answer at a time. */
import { TuttiError } from '../errors.js';
import type { ChatMessage, SamplingChoice, TextEngine } from '../llm/engine/text-engine.js';

export interface Conversation {
  /** The answer as it comes, in pieces. What was stopped counts as said; what failed is told, and taken back. */
  say(text: string): AsyncGenerator<string, void, undefined>;
  /** Ends the answer that is under way. Returns whether there is one. */
  stop(): boolean;
  reset(): void;
}

export function createConversation(
  engine: TextEngine,
  { system, ...options }: SamplingChoice & { readonly system?: string },
): Conversation {
  const opening: readonly ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  let messages: ChatMessage[] = [...opening];
  let story = system ?? '';
  let stopping: AbortController | undefined;

  return {
    async *say(text) {
      const asked = engine.chat
        ? { messages: [...messages, { role: 'user', content: text } as const] }
        : { prompt: fitting(engine, story + text) };
      stopping = new AbortController();
      let answer = '';
      try {
        for await (const chunk of engine.generate({ ...asked, ...options, signal: stopping.signal })) {
          answer += chunk.text;
          if (chunk.text !== '') yield chunk.text;
        }
      } catch (error) {
        if (!(error instanceof TuttiError)) throw error;
        if (error.code !== 'ABORTED') return yield `tutti: ${error.message}`;
      } finally {
        stopping = undefined;
      }
      messages.push({ role: 'user', content: text }, { role: 'assistant', content: answer });
      story += text + answer;
    },
    stop() {
      stopping?.abort();
      return stopping !== undefined;
    },
    reset() {
      messages = [...opening];
      story = system ?? '';
    },
  };
}

/** The end of a text that is too long for the model to go on with. */
function fitting({ tokenizer, context }: TextEngine, text: string): string | readonly number[] {
  if (!tokenizer || context === undefined) return text;
  const tokens = tokenizer.encode(text);
  return tokens.length < 0.75 * context ? tokens : tokens.slice(-Math.floor(context / 2));
}
