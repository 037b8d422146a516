/** The server as OpenAI's own package sees it. */
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAcceptor, type State } from '../../host/llm/sampling/json/acceptor.js';
import { ANY_OBJECT } from '../../host/llm/sampling/json/schema.js';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

const golden = readFileSync('models/stories260k/greedy.txt', 'utf8').trimEnd();
const KEY = 'a key of this test';

let stories: StoriesServer;
let client: OpenAI;
beforeAll(async () => {
  stories = await storiesServer({ apiKeys: [KEY] });
  client = new OpenAI({ baseURL: stories.baseURL, apiKey: KEY, maxRetries: 0 });
});
afterAll(() => stories?.close());

const greedy = { model: MODEL, temperature: 0 } as const;
const idle = (): Promise<void> =>
  until(
    () => stories.server.running === 0 && stories.model.usage.running === 0 && stories.model.usage.usedBlocks === 0,
  );

describe('completions', () => {
  it('are the text of the model, with usage', async () => {
    const answer = await client.completions.create({ ...greedy, prompt: [1], max_tokens: 200 });
    expect(answer.choices).toEqual([{ index: 0, text: golden, finish_reason: 'length', logprobs: null }]);
    expect(answer.usage).toMatchObject({ prompt_tokens: 1, completion_tokens: 200, total_tokens: 201 });
    expect(answer).toMatchObject({ object: 'text_completion', model: MODEL });
  });

  it('stream the same text', async () => {
    const stream = await client.completions.create({
      ...{ ...greedy, prompt: [1], max_tokens: 200, stream: true },
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage;
    for await (const event of stream) {
      text += event.choices[0]?.text ?? '';
      usage = event.usage ?? usage;
    }
    expect(text).toBe(golden);
    expect(usage).toMatchObject({ prompt_tokens: 1, completion_tokens: 200, total_tokens: 201 });
  });

  it('take several prompts, n, and log-probabilities', async () => {
    const answer = await client.completions.create({
      ...{ model: MODEL, prompt: ['Once upon', 'The dog'], n: 2, seed: 7, max_tokens: 12, logprobs: 2 },
    });
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    for (const { text, logprobs } of answer.choices) {
      expect(logprobs!.tokens!.join('')).toBe(text);
      expect(logprobs!.token_logprobs).toHaveLength(12);
      expect(Object.keys(logprobs!.top_logprobs![0]!)).toHaveLength(2);
      expect(logprobs!.text_offset![1]).toBe(logprobs!.tokens![0]!.length);
    }
    const again = await client.completions.create({ model: MODEL, prompt: 'Once upon', seed: 8, max_tokens: 12 });
    expect(again.choices[0]!.text).toBe(answer.choices[1]!.text);
  });
});

describe('chat', () => {
  const messages = [{ role: 'user' as const, content: 'Once upon a time' }];

  it('answers whole and in a stream alike, with logprobs', async () => {
    const asked = { ...greedy, messages, max_tokens: 40, logprobs: true, top_logprobs: 3 };
    const answer = await client.chat.completions.create(asked);
    const { message, finish_reason, logprobs } = answer.choices[0]!;
    expect(message.role).toBe('assistant');
    expect(message.content!.length).toBeGreaterThan(20);
    expect(finish_reason).toBe('length');
    expect(logprobs!.content!.map(({ token }) => token).join('')).toBe(message.content);
    for (const { logprob, top_logprobs } of logprobs!.content!) {
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]!.logprob).toBe(logprob);
      expect(logprob).toBeLessThanOrEqual(0);
    }
    const stream = client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe(message.content);
    expect(final.choices[0]!.logprobs!.content).toEqual(logprobs!.content);
    const { prompt_tokens, completion_tokens, prompt_tokens_details } = final.usage!;
    expect({ prompt_tokens, completion_tokens }).toEqual({
      prompt_tokens: answer.usage!.prompt_tokens,
      completion_tokens: 40,
    });
    expect(prompt_tokens_details!.cached_tokens).toBe(0);
  });

  it('holds to frequency_penalty and presence_penalty as OpenAI defines them', async () => {
    const asked = { ...greedy, messages, max_tokens: 60, logprobs: true, top_logprobs: 20 };
    const plain = await client.chat.completions.create(asked);
    for (const [frequency_penalty, presence_penalty] of [
      [0.7, 0],
      [0, 1.5],
      [0.4, 0.6],
    ] as const) {
      const answer = await client.chat.completions.create({ ...asked, frequency_penalty, presence_penalty });
      expect(answer.choices[0]!.message.content).not.toBe(plain.choices[0]!.message.content);
      const counts = new Map<string, number>();
      for (const { token, top_logprobs } of answer.choices[0]!.logprobs!.content!) {
        // Log-probabilities are those of the model, before penalties; the twentieth is lower than what is taken.
        const penalised = top_logprobs.map(({ token: each, logprob }) => {
          const count = counts.get(each) ?? 0;
          return logprob - count * frequency_penalty - (count > 0 ? presence_penalty : 0);
        });
        const best = Math.max(...penalised);
        expect(best).toBeGreaterThan(top_logprobs.at(-1)!.logprob);
        expect(top_logprobs[penalised.indexOf(best)]!.token).toBe(token);
        counts.set(token, (counts.get(token) ?? 0) + 1);
      }
    }
  });

  it('forces and bans tokens by logit_bias, at any temperature', async () => {
    const dog = stories.model.tokenizer.encode('dog', { addBos: false });
    const forced = { logit_bias: { [dog[0]!]: 100 }, max_tokens: 4 };
    const word = stories.model.tokenizer.decode([dog[0]!]);
    for (const temperature of [0, 1]) {
      const { choices } = await client.chat.completions.create({
        model: MODEL,
        messages,
        temperature,
        seed: 2,
        ...forced,
      });
      expect(choices[0]!.message.content!.trim()).toBe(word.repeat(4).trim());
    }
    const completion = await client.completions.create({ ...greedy, prompt: [1], ...forced, stream: false });
    expect(completion.choices[0]!.text.trim()).toBe(word.repeat(4).trim());
    // The five likeliest first tokens, banned one after the other.
    const first = { ...greedy, messages, max_tokens: 1, logprobs: true, top_logprobs: 5 };
    const ranked = (await client.chat.completions.create(first)).choices[0]!.logprobs!.content![0]!.top_logprobs;
    const model: number[] = [];
    for await (const { topLogprobs } of stories.model.generate({
      messages: [{ role: 'user', content: 'Once upon a time' }],
      ...{ maxTokens: 1, logprobs: true, topLogprobs: 5 },
    }))
      model.push(...topLogprobs!.map(({ token }) => token!));
    for (let k = 1; k < 5; k++) {
      const logit_bias = Object.fromEntries(model.slice(0, k).map((token) => [token, -100]));
      const { choices } = await client.chat.completions.create({ ...first, logit_bias });
      expect(choices[0]!.logprobs!.content![0]!.token).toBe(ranked[k]!.token);
    }
    await expect(client.chat.completions.create({ ...first, logit_bias: { 512: 1 } })).rejects.toMatchObject({
      status: 400,
      param: 'logit_bias.512',
    });
  });

  it('gives n different answers, and stops at stop', async () => {
    const answer = await client.chat.completions.create({ model: MODEL, messages, n: 3, seed: 1, max_tokens: 20 });
    expect(new Set(answer.choices.map(({ message }) => message.content)).size).toBe(3);
    expect(answer.usage!.completion_tokens).toBe(60);
    const stopped = await client.chat.completions.create({ ...greedy, messages, stop: ['.', '!'] });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(stopped.choices[0]!.message.content).not.toMatch(/[.!]/);
  });

  it('n answers stream side by side, each as it is alone', async () => {
    const asked = { model: MODEL, messages, n: 3, seed: 1, max_tokens: 20 };
    const whole = await client.chat.completions.create(asked);
    const final = await client.chat.completions.stream(asked).finalChatCompletion();
    expect(final.choices.map(({ message }) => message.content)).toEqual(
      whole.choices.map(({ message }) => message.content),
    );
  });

  it('ends when the client aborts, and leaves nothing', async () => {
    const stream = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 400, stream: true });
    let seen = 0;
    for await (const event of stream) {
      expect(event.object).toBe('chat.completion.chunk');
      if (++seen === 5) break;
    }
    await idle();
    const aborting = new AbortController();
    const whole = client.chat.completions.create({ ...greedy, messages }, { signal: aborting.signal });
    await until(() => stories.model.usage.running > 0);
    aborting.abort();
    await expect(whole).rejects.toThrow(OpenAI.APIUserAbortError);
    await idle();
  });
});

describe('answers in a format', () => {
  const messages = [{ role: 'user' as const, content: 'Once upon a time' }];
  const schema = {
    type: 'object',
    properties: {
      mood: { enum: ['happy', 'sad'] },
      friends: { type: 'array', items: { type: 'string', maxLength: 12 }, minItems: 1, maxItems: 2 },
      age: { type: 'integer' },
    },
    required: ['mood', 'friends', 'age'],
    additionalProperties: false,
  };

  it('are JSON when JSON is asked for, or its beginning where they are cut', async () => {
    const acceptor = createAcceptor(ANY_OBJECT);
    for (let seed = 0; seed < 4; seed++) {
      const asked = { model: MODEL, messages, seed, temperature: 2, max_tokens: 150 };
      const answer = await client.chat.completions.create({ ...asked, response_format: { type: 'json_object' } });
      const { finish_reason, message } = answer.choices[0]!;
      let state: State | undefined = acceptor.start();
      for (const byte of new TextEncoder().encode(message.content!)) state = state && acceptor.step(state, byte);
      expect(state, message.content!).toBeDefined();
      expect(state!.complete).toBe(finish_reason === 'stop');
    }
  });

  it('hold to a schema, in a stream too', async () => {
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'story', strict: true, schema } };
    for (let seed = 0; seed < 4; seed++) {
      const stream = client.chat.completions.stream({ model: MODEL, messages, seed, response_format });
      const final = await stream.finalChatCompletion();
      expect(final.choices[0]!.finish_reason).toBe('stop');
      const value = JSON.parse(final.choices[0]!.message.content!) as Record<string, unknown>;
      expect(Object.keys(value)).toEqual(['mood', 'friends', 'age']);
      expect(['happy', 'sad']).toContain(value['mood']);
      expect(Number.isInteger(value['age'])).toBe(true);
    }
  });

  it('name what of a schema cannot be held to', async () => {
    const json_schema = { name: 's', schema: { type: 'object', properties: { a: { type: 'string', pattern: 'x' } } } };
    const asked = { model: MODEL, messages, response_format: { type: 'json_schema' as const, json_schema } };
    await expect(client.chat.completions.create(asked)).rejects.toMatchObject({
      status: 400,
      param: 'response_format.json_schema.schema.properties.a.pattern',
    });
  });

  it('call a tool that must be called', async () => {
    const tools = [
      { type: 'function' as const, function: { name: 'tell_mood', description: 'x', parameters: schema } },
      { type: 'function' as const, function: { name: 'sleep' } },
    ];
    const choose = { type: 'function' as const, function: { name: 'tell_mood' } };
    const answer = await client.chat.completions.create({
      model: MODEL,
      messages,
      tools,
      tool_choice: choose,
      seed: 1,
    });
    const { message, finish_reason } = answer.choices[0]!;
    expect(finish_reason).toBe('tool_calls');
    expect(message.content).toBe(null);
    const [call] = message.tool_calls!;
    if (call?.type !== 'function') throw new Error('no function was called');
    expect(call.function.name).toBe('tell_mood');
    expect(JSON.parse(call.function.arguments)).toHaveProperty('mood');
    const stream = client.chat.completions.stream({ model: MODEL, messages, tools, tool_choice: 'required', seed: 2 });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]!.finish_reason).toBe('tool_calls');
    expect(final.choices[0]!.message.tool_calls).toHaveLength(1);
  });
});

describe('embeddings', () => {
  it('are of length 1, the same for the same text, and alike in both encodings', async () => {
    const asked = { model: MODEL, input: ['Once upon a time', 'The dog ran', 'Once upon a time'] };
    const packed = await client.embeddings.create(asked);
    const plain = await client.embeddings.create({ ...asked, encoding_format: 'float' });
    expect(packed.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    const [a, b, c] = packed.data.map(({ embedding }) => embedding);
    expect(a).toHaveLength(64);
    expect(a).toEqual(c);
    expect(a).not.toEqual(b);
    expect(Math.hypot(...a!)).toBeCloseTo(1, 5);
    plain.data.forEach(({ embedding }, k) => {
      embedding.forEach((value, at) => expect(value).toBeCloseTo(packed.data[k]!.embedding[at]!, 6));
    });
    expect(packed.usage.prompt_tokens).toBeGreaterThan(10);
    await idle();
  });
});

describe('errors', () => {
  const messages = [{ role: 'user' as const, content: 'Once' }];
  const failure = async (call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> => {
    const error: unknown = await call.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(OpenAI.APIError);
    return error as InstanceType<typeof OpenAI.APIError>;
  };

  it('have the classes, codes and params that the package expects', async () => {
    const wrongKey = new OpenAI({ baseURL: stories.baseURL, apiKey: 'wrong', maxRetries: 0 });
    expect(await failure(wrongKey.models.list())).toBeInstanceOf(OpenAI.AuthenticationError);
    const unknown = await failure(client.chat.completions.create({ model: 'gpt', messages }));
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
    expect(unknown).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    expect(unknown.message).toContain(`there are ${MODEL}`);
    const hot = await failure(client.chat.completions.create({ model: MODEL, messages, temperature: 3 }));
    expect(hot).toBeInstanceOf(OpenAI.BadRequestError);
    expect(hot).toMatchObject({ param: 'temperature', type: 'invalid_request_error' });
    const long = await failure(client.completions.create({ model: MODEL, prompt: 'a b '.repeat(400) }));
    expect(long).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'prompt' });
    const streamed = client.completions.create({ model: MODEL, prompt: 'a b '.repeat(400), stream: true });
    expect(await failure(streamed)).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it('models are listed and retrieved', async () => {
    const list = await client.models.list();
    expect(list.data).toMatchObject([{ id: MODEL, object: 'model', context_length: 512 }]);
    expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL });
    expect((await failure(client.models.retrieve('other'))).status).toBe(404);
  });
});
