import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '../../llm/engine/text-engine.js';
import { createConversations } from './conversations.js';
import { readMetadata } from './stage-metadata.js';

const said = (...texts: readonly string[]): ChatMessage[] =>
  texts.map((content, k) => ({ role: k % 2 ? 'assistant' : 'user', content }));

describe('conversations', () => {
  it('go on from the latest request that they begin with, answer and all', () => {
    const conversations = createConversations<string>();
    conversations.add({ messages: said('a') }, 'b', 'first');
    const forget = conversations.add({ messages: said('a', 'b', 'c') }, ' d\n', 'second');
    const of = (...texts: readonly string[]): string | undefined => conversations.find({ messages: said(...texts) });
    expect(of('a', 'b', 'c', 'd', 'e')).toBe('second');
    expect(of('a', 'b', 'x')).toBe('first');
    expect(of('a', 'other', 'c')).toBeUndefined();
    expect(of('x', 'b', 'c')).toBeUndefined();
    expect(of('a')).toBeUndefined();
    forget();
    expect(of('a', 'b', 'c', 'd', 'e')).toBe('first');
  });

  it('go on from calls of tools, which their clients write down in their own words', () => {
    const conversations = createConversations<string>();
    const asked = said('weather?');
    conversations.add({ messages: asked }, '<tool_call>{"name":"look"}</tool_call>', 'first');
    const call = { id: '1', name: 'look', arguments: '{}' };
    const messages: ChatMessage[] = [
      ...asked,
      { role: 'assistant', content: '', toolCalls: [call] },
      { role: 'tool', content: 'rain', toolCallId: '1' },
    ];
    expect(conversations.find({ messages })).toBe('first');
  });

  it('are told apart where answers differ, and are texts as well', () => {
    const conversations = createConversations<string>();
    conversations.add({ messages: said('a') }, 'yes', 'yes');
    conversations.add({ messages: said('a') }, 'no', 'no');
    expect(conversations.find({ messages: said('a', 'yes', 'b') })).toBe('yes');
    expect(conversations.find({ messages: said('a', 'no', 'b') })).toBe('no');
    conversations.add({ prompt: 'Once' }, ' upon', 'short');
    conversations.add({ prompt: 'Once upon' }, ' a time', 'long');
    expect(conversations.find({ prompt: 'Once upon a time, ' })).toBe('long');
    expect(conversations.find({ prompt: 'Once upon the' })).toBe('short');
    expect(conversations.find({ prompt: 'Twice' })).toBeUndefined();
    expect(conversations.find({ prompt: [1, 2] })).toBeUndefined();
  });
});

it("metadata is read, and what is somebody else's is let through", () => {
  const given = { workflow: 'w', deadline: '1.5', class: 'batch', fan_out: '3', user_id: 'x', tool: 'search' };
  expect(readMetadata(given)).toMatchObject({
    workflow: 'w',
    deadlineSeconds: 1.5,
    class: 'batch',
    fanOut: 3,
    tool: 'search',
  });
  expect(readMetadata()).toMatchObject({ workflow: undefined, deadlineSeconds: undefined, fanOut: undefined });
});
