/** The server as OpenAI's own package sees it. */
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
