import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CHATML, conversationWriter, renderChat, usualTemplate } from './chat-template.js';

type Messages = readonly Readonly<Record<string, unknown>>[];
interface Case {
  readonly template: string;
  readonly conversation: string;
  readonly tools: boolean;
  readonly options: { readonly add_generation_prompt: boolean; readonly enable_thinking?: boolean };
  readonly text?: string;
  readonly error?: string;
}
const { templates, conversations, tools, cases } = JSON.parse(
  readFileSync('test/data/chat-templates/cases.json', 'utf8'),
) as {
  readonly templates: Readonly<Record<string, string>>;
  readonly conversations: Readonly<Record<string, Messages>>;
  readonly tools: Messages;
  readonly cases: readonly Case[];
};
const user: Messages = [{ role: 'user', content: 'Hi' }];

describe('renderChat', () => {
  it.each(Object.keys(templates))('writes what the reference writes: %s', async (name) => {
    for (const { conversation, options, ...wanted } of cases.filter(({ template }) => template === name)) {
      const rendered = renderChat(templates[name]!, {
        messages: conversations[conversation]!,
        ...(wanted.tools && { tools }),
        addGenerationPrompt: options.add_generation_prompt,
        ...{ bos: '<s>', eos: '</s>', variables: options },
      });
      if (wanted.text !== undefined) expect(await rendered, conversation).toBe(wanted.text);
      else await expect(rendered).rejects.toMatchObject({ code: 'INPUT_INVALID', where: 'messages' });
    }
  });

  it('says why a template refuses', async () => {
    await expect(
      renderChat(templates['alternating']!, { messages: [{ role: 'assistant', content: 'x' }] }),
    ).rejects.toThrow(/refuses these messages: Roles must alternate/);
    await expect(renderChat('{{ messages | no_filter }}', { messages: user })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringMatching(/cannot write these messages \(.+\); check their roles/) as string,
    });
  });

  it('says that a template is none', async () => {
    for (const template of ['{% for %}', '{{ a', '{% if x %}', '{% endfor %}', ' '.repeat(2 ** 20 + 1)])
      await expect(renderChat(template, { messages: user })).rejects.toMatchObject({
        code: 'FILE_INVALID',
        message: expect.stringMatching(/chat template/) as string,
      });
  });

  it('makes no endless lists', async () => {
    await expect(renderChat('{% for i in range(10 ** 12) %}x{% endfor %}', { messages: user })).rejects.toThrow(
      /cannot write these messages/,
    );
    expect(await renderChat('{% for i in range(2, 9, 3) %}{{ i }}{% endfor %}', { messages: user })).toBe('258');
  });

  it('prints dates', async () => {
    const date = new Date(2026, 6, 4, 5, 6, 7);
    const template = "{{ strftime_now('%d %b %Y, %A %B %H:%M:%S %% %q') }}";
    expect(await renderChat(template, { messages: user, date })).toBe('04 Jul 2026, Saturday July 05:06:07 % %q');
  });
});

it('begins and ends texts with the tokens of the model', async () => {
  const vocabulary = { tokens: ['x', '<s>', '</s>'], bos: 1, eos: 2 };
  const write = conversationWriter({
    chatTemplate: '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}',
    vocabulary,
  });
  expect(await write!({ messages: user })).toBe('<s>Hi</s>');
  expect(conversationWriter({ chatTemplate: undefined, vocabulary })).toBeUndefined();
});

describe('a model without a template', () => {
  it('gets the usual one when it knows its marks', async () => {
    expect(usualTemplate({ tokens: ['a', '<|im_start|>', '<|im_end|>'] })).toBe(CHATML);
    expect(usualTemplate({ tokens: ['a'] })).toBeUndefined();
    expect(await renderChat(CHATML, { messages: [{ role: 'system', content: 'S' }, ...user] })).toBe(
      '<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
  });
});
