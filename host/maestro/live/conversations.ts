/**
 * Which earlier request a request goes on from: the one whose messages and answer it begins with. So conversations are workflows, whether their client says
 * so or not. Messages are remembered as hashes, answers as they are.
 */
import { mix32 } from '../../random.js';
import type { ChatMessage, TextRequest } from '../../llm/engine/text-engine.js';

export interface Conversations<T> {
  /** The latest request that this one goes on from. */
  find(request: TextRequest): T | undefined;
  /** Returns what forgets it. */
  add(request: TextRequest, answer: string, owner: T): () => void;
}

interface Heard<T> {
  readonly answer: string;
  readonly owner: T;
}

/** Prompts that are text: so many of the latest are compared with. */
const MOST_TEXTS = 256;

export function createConversations<T>(): Conversations<T> {
  const heard = new Map<string, Heard<T>[]>();
  const texts = new Set<{ readonly text: string; readonly owner: T }>();

  const same = (said: ChatMessage, { answer }: Heard<T>): boolean =>
    said.role === 'assistant' && (said.toolCalls !== undefined || said.content.trim() === answer.trim());

  return {
    find({ messages, prompt }) {
      if (typeof prompt === 'string') {
        let longest: { readonly text: string; readonly owner: T } | undefined;
        for (const each of texts) {
          if (each.text.length < (longest?.text.length ?? 1) || !prompt.startsWith(each.text)) continue;
          longest = each;
        }
        return longest?.owner;
      }
      if (!messages) return undefined;
      const hashes = hashesOf(messages);
      for (let k = messages.length - 1; k >= 1; k--) {
        const match = heard.get(hashes[k - 1]!)?.findLast((each) => same(messages[k]!, each));
        if (match) return match.owner;
      }
      return undefined;
    },
    add({ messages, prompt }, answer, owner) {
      if (typeof prompt === 'string') {
        const entry = { text: prompt + answer, owner };
        texts.add(entry);
        if (texts.size > MOST_TEXTS) texts.delete(texts.values().next().value!);
        return () => void texts.delete(entry);
      }
      const key = messages && messages.length > 0 ? hashesOf(messages).at(-1)! : undefined;
      if (key === undefined) return () => undefined;
      const entry = { answer, owner };
      const list = heard.get(key);
      if (list) list.push(entry);
      else heard.set(key, [entry]);
      return () => {
        const rest = heard.get(key)?.filter((each) => each !== entry) ?? [];
        if (rest.length > 0) heard.set(key, rest);
        else heard.delete(key);
      };
    },
  };
}

/** Of every beginning of a conversation. */
function hashesOf(messages: readonly ChatMessage[]): string[] {
  let before = '';
  return messages.map(({ role, content, toolCallId = '' }) => {
    before = hashText(`${before}\0${role}\0${toolCallId}\0${content}`);
    return before;
  });
}

/** 64 bits of a text. */
export function hashText(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let k = 0; k < text.length; k++) {
    const code = text.charCodeAt(k);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b) + (b >>> 13);
  }
  return `${mix32(a).toString(36)}.${mix32(b ^ text.length).toString(36)}`;
}
