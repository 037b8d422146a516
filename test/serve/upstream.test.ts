/** One server in front of another: what clients get is what they would get there. */
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesSource } from '../../host/llm/byte-source.js';
import { openLanguageModel } from '../../host/llm/engine/engine.js';
import { endpointModels, openAiEndpoint } from '../../host/llm/elsewhere/openai-endpoint.js';
import type { TextEngine } from '../../host/llm/engine/text-engine.js';
import { openGguf } from '../../host/llm/model/model-file.js';
import { serve, type HttpServer } from '../../host/serve/index.js';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

let stories: StoriesServer;
let engine: TextEngine;
let front: HttpServer;
let client: OpenAI;
beforeAll(async () => {
  stories = await storiesServer({ apiKeys: ['inner'] });
  expect(await endpointModels(stories.baseURL, 'inner')).toEqual([MODEL]);
  engine = openAiEndpoint({ url: stories.baseURL, model: MODEL, apiKey: 'inner', context: 512 });
  front = await serve({ models: { far: engine }, port: 0 });
  client = new OpenAI({ baseURL: `${front.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await front.close();
  await engine.close();
  await stories.close();
});

const direct = (): OpenAI => new OpenAI({ baseURL: stories.baseURL, apiKey: 'inner', maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'Once upon a time' }];

describe('a server in front of a server', () => {
  it('gives the same answers, whole and in streams', async () => {
    const asked = { messages, temperature: 0, max_tokens: 40, logprobs: true, top_logprobs: 2 };
    const near = await direct().chat.completions.create({ ...asked, model: MODEL });
    const far = await client.chat.completions.create({ ...asked, model: 'far' });
    expect(far.choices[0]!.message).toEqual(near.choices[0]!.message);
    expect(far.choices[0]!.logprobs!.content).toEqual(near.choices[0]!.logprobs!.content);
    expect(far.usage).toMatchObject({ prompt_tokens: near.usage!.prompt_tokens, completion_tokens: 40 });
    const stream = client.chat.completions.stream({ ...asked, model: 'far', stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe(near.choices[0]!.message.content);
    expect(final.usage!.completion_tokens).toBe(40);
    const completion = {
      ...{ prompt: [1], max_tokens: 30, temperature: 0, seed: 0 },
      ...{ frequency_penalty: 1, presence_penalty: 0.5, logit_bias: { 403: -100 } },
    };
    expect((await client.completions.create({ ...completion, model: 'far' })).choices[0]!.text).toBe(
      (await direct().completions.create({ ...completion, model: MODEL })).choices[0]!.text,
    );
  });

  it('calls tools and embeds', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'sleep' } }];
    const asked = { model: 'far', messages, tools, tool_choice: 'required' as const };
    const { choices } = await client.chat.completions.create(asked);
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ type: 'function', function: { name: 'sleep', arguments: '{}' } }] },
    });
    const far = await client.embeddings.create({ model: 'far', input: ['a cat'] });
    expect(far.data[0]!.embedding).toHaveLength(64);
  });

  it('tells what the other one refuses, and ends there what ends here', async () => {
    const long = client.completions.create({ model: 'far', prompt: 'a b '.repeat(400) });
    await expect(long).rejects.toMatchObject({ status: 400, message: /answered 400: the prompt has/ });
    const stream = await client.completions.create({ model: 'far', prompt: 'Once', max_tokens: 400, stream: true });
    for await (const event of stream) {
      expect(event.object).toBe('text_completion');
      break;
    }
    await until(() => stories.model.usage.running === 0 && stories.server.running === 0);
    expect(stories.model.usage.usedBlocks).toBe(0);
  });
});

it('a model with a chat template gets conversations and tools through it', async () => {
  const file = await openGguf(bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'))));
  const chatTemplate =
    '{{ bos_token }}{% for tool in tools or [] %}{{ tool.function.name }};{% endfor %}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}';
  const model = await openLanguageModel({ ...file, chatTemplate }, { device: stories.device });
  expect(model.chat).toBe(true);
  const texts: string[] = [];
  const ask = async (request: Parameters<typeof model.generate>[0]): Promise<void> => {
    let text = '';
    for await (const chunk of model.generate({ ...request, maxTokens: 20 })) text += chunk.text;
    texts.push(text);
  };
  await ask({ messages: [{ role: 'user', content: 'Hello' }], tools: [{ name: 'look' }] });
  const tokens = model.tokenizer.encode('<s>look;user: Hello\nassistant:', { special: true, addBos: false });
  expect(tokens[0]).toBe(1);
  await ask({ prompt: tokens });
  expect(texts[0]).toBe(texts[1]);
  await model.close();
});
