import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toolCallReader } from './tool-calls.js';

const tools = new Set(['weather', 'add']);

/** What an answer comes out as, cut into pieces of any length. */
function read(text: string, cuts: readonly number[] = []): { text: string; calls: [string, unknown][] } {
  const reader = toolCallReader(tools);
  const all = { text: '', calls: [] as [string, unknown][] };
  const take = (part: ReturnType<typeof reader.push>): void => {
    all.text += part.text;
    for (const call of part.calls) all.calls.push([call.name, JSON.parse(call.arguments)]);
  };
  let at = 0;
  for (const cut of cuts) {
    take(reader.push(text.slice(at, at + cut)));
    at += cut;
  }
  take(reader.push(text.slice(at)));
  take(reader.end());
  return all;
}

const weather = '{"name": "weather", "arguments": {"town": "Oslo"}}';
const add = '{"name": "add", "arguments": {"a": 1, "b": [2, "}"]}}';
const calledBoth = [
  ['weather', { town: 'Oslo' }],
  ['add', { a: 1, b: [2, '}'] }],
];

const answers: Record<string, [answer: string, text: string, calls: unknown[]]> = {
  'plain text': ['It is {warm} [today] <b>.', 'It is {warm} [today] <b>.', []],
  'Hermes and Qwen': [`<tool_call>\n${weather}\n</tool_call>\n<tool_call>\n${add}\n</tool_call>\n`, '', calledBoth],
  'text, then a call': [`Let me see.\n<tool_call>${weather}</tool_call>`, 'Let me see.\n', [calledBoth[0]]],
  'a call whose end is missing': [`<tool_call>\n${weather}`, '', [calledBoth[0]]],
  'Llama 3': [weather.replace('arguments', 'parameters'), '', [calledBoth[0]]],
  'Llama 3 with its mark': [`<|python_tag|>${weather}; ${add}`, '', calledBoth],
  Mistral: [`[TOOL_CALLS] [${weather}, ${add}]`, '', calledBoth],
  'Mistral, whose mark is a control token': [` [${weather}, ${add}]`, '', calledBoth],
  'Mistral since 2025': ['[TOOL_CALLS]weather{"town": "Oslo"}', '', [calledBoth[0]]],
  'Mistral since 2025, with a mark': ['[TOOL_CALLS]weather[ARGS]{"town": "Oslo"}', '', [calledBoth[0]]],
  'JSON that is no call': ['{"town": "Oslo"}', '{"town": "Oslo"}', []],
  'a tool that there is not': ['{"name": "rm", "arguments": {}}', '{"name": "rm", "arguments": {}}', []],
  'a broken call': ['a <tool_call>{"name": </tool_call> b', 'a <tool_call>{"name": </tool_call> b', []],
  'arguments as text': ['{"name": "add", "arguments": "{\\"a\\": 1}"}', '', [['add', { a: 1 }]]],
};

describe('calls of tools in answers', () => {
  it.each(Object.entries(answers))('%s', (_, [answer, text, calls]) => {
    expect(read(answer)).toEqual({ text, calls });
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }), (cuts) => {
        expect(read(answer, cuts)).toEqual({ text, calls });
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('text that is no call comes at once, but for what may become one', () => {
    const reader = toolCallReader(tools);
    expect(reader.push('Hello <tool').text).toBe('Hello ');
    expect(reader.push('s>').text).toBe('<tools>');
  });
});
