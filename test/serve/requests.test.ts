/** Requests that make no sense, and what the server answers. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

let stories: StoriesServer;
beforeAll(async () => {
  stories = await storiesServer({ limits: { bodyBytes: 20_000 } });
});
afterAll(() => stories?.close());

interface Answered {
  readonly status: number;
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

async function post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered> {
  const response = await stories.post(path, body, headers);
  const { error } = (await response.json()) as { error: Answered['error'] };
  return { status: response.status, error };
}

const messages = [{ role: 'user', content: 'Once' }];
const chat = (rest: object): Promise<Answered> => post('/v1/chat/completions', { model: MODEL, messages, ...rest });

describe('a request is refused', () => {
  it('when it is no JSON, or no object', async () => {
    for (const body of ['', '{', '{"model": ', '{"a":1}}', '\u0000', '['.repeat(10_000)]) {
      const { status, error } = await post('/v1/chat/completions', body);
      expect([status, error.code, error.type]).toEqual([400, 'invalid_json', 'invalid_request_error']);
    }
    for (const body of ['null', '[]', '"x"', '1'])
      expect(await post('/v1/completions', body)).toMatchObject({ status: 400, error: { message: /object/ } });
    const text = await post('/v1/completions', '{}', { 'content-type': 'text/plain' });
    expect(text).toMatchObject({ status: 400, error: { code: 'invalid_content_type' } });
  });

  it('with the name of the field that is wrong', async () => {
    const wrong: [object, string][] = [
      [{ model: 5 }, 'model'],
      [{ messages: undefined }, 'messages'],
      [{ messages: [] }, 'messages'],
      [{ messages: 'hello' }, 'messages'],
      [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
      [{ messages: [{ role: 'king', content: '' }] }, 'messages[0].role'],
      [
        { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
        'messages[0].content[0].type',
      ],
      [{ messages: [{ role: 'tool', content: '' }] }, 'messages[0].tool_call_id'],
      [
        { messages: [{ role: 'assistant', tool_calls: [{ id: 'a', function: {} }] }] },
        'messages[0].tool_calls[0].function.name',
      ],
      [{ temperature: '1' }, 'temperature'],
      [{ temperature: -1 }, 'temperature'],
      [{ top_p: 2 }, 'top_p'],
      [{ n: 0 }, 'n'],
      [{ n: 1.5 }, 'n'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ max_completion_tokens: 'many' }, 'max_completion_tokens'],
      [{ stop: 5 }, 'stop'],
      [{ stop: [''] }, 'stop[0]'],
      [{ stream: 'yes' }, 'stream'],
      [{ seed: 1.5 }, 'seed'],
      [{ logprobs: 5 }, 'logprobs'],
      [{ top_logprobs: 3 }, 'top_logprobs'],
      [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
      [{ presence_penalty: 2.5 }, 'presence_penalty'],
      [{ frequency_penalty: 'much' }, 'frequency_penalty'],
      [{ logit_bias: { 5: 101 } }, 'logit_bias.5'],
      [{ logit_bias: { five: 1 } }, 'logit_bias.five'],
      [{ response_format: { type: 'xml' } }, 'response_format.type'],
      [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
      [{ tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
      [{ tools: [{ type: 'retrieval' }] }, 'tools[0].type'],
      [{ tool_choice: 'required' }, 'tool_choice'],
      [{ tool_choice: { type: 'function', function: { name: 'x' } } }, 'tool_choice'],
      [{ metadata: { a: 1 } }, 'metadata.a'],
    ];
    for (const [rest, param] of wrong) {
      const { status, error } = await chat(rest);
      expect([status, error.param], `${JSON.stringify(rest)}: ${error.message}`).toEqual([400, param]);
      expect(error.message).toContain(param);
    }
    const prompt = async (value: unknown): Promise<Answered> =>
      post('/v1/completions', { model: MODEL, prompt: value });
    expect(await prompt(undefined)).toMatchObject({
      status: 400,
      error: { param: 'prompt', message: 'prompt: is missing' },
    });
    for (const value of [5, [], [[]], {}, [1.5], [-1], ['a', 5]])
      expect((await prompt(value)).error.param, JSON.stringify(value)).toMatch(/^prompt/);
    expect(await prompt([1, 99_999])).toMatchObject({ status: 400, error: { param: 'prompt[1]' } });
    const input = { model: MODEL, input: ['a', ''] };
    expect(await post('/v1/embeddings', { ...input, encoding_format: 'hex' })).toMatchObject({
      error: { param: 'encoding_format' },
    });
    expect(await post('/v1/embeddings', { ...input, dimensions: 3 })).toMatchObject({
      status: 400,
      error: { param: 'dimensions', message: /64/ },
    });
  });

  it('when there is no such model or route', async () => {
    expect(await chat({ model: 'other' })).toMatchObject({ status: 404, error: { code: 'model_not_found' } });
    for (const model of ['__proto__', 'constructor', '']) expect((await chat({ model })).status).toBe(404);
    expect(await post('/v1/images', {})).toMatchObject({ status: 404, error: { code: 'unknown_url' } });
  });

  it('when its body is too large, said or not', async () => {
    const body = JSON.stringify({ model: MODEL, prompt: 'a'.repeat(30_000) });
    expect(await post('/v1/completions', body)).toMatchObject({ status: 413, error: { code: 'body_too_large' } });
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(body));
        controller.close();
      },
    });
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: stream, duplex: 'half' };
    expect((await fetch(`${stories.server.url}/v1/completions`, init as RequestInit)).status).toBe(413);
  });

  it('when it was meant for a host of another name', async () => {
    const { request } = await import('node:http');
    const status = await new Promise((resolve) => {
      const options = {
        port: stories.server.port,
        host: '127.0.0.1',
        path: '/v1/models',
        headers: { host: 'evil.example' },
      };
      request(options, (response) => resolve(response.resume().statusCode)).end();
    });
    expect(status).toBe(403);
  });

  it('whatever it is made of, never with a 500', async () => {
    const keys = [
      'model',
      'messages',
      'n',
      'stop',
      'temperature',
      'tools',
      'tool_choice',
      'response_format',
      'prompt',
      'max_tokens',
      'logprobs',
      'seed',
      'input',
      'metadata',
      'stream',
    ];
    const some = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 3 }), {
      maxKeys: 6,
      noNullPrototype: true,
    });
    const path = fc.constantFrom('/v1/chat/completions', '/v1/completions', '/v1/embeddings');
    await fc.assert(
      fc.asyncProperty(path, some, fc.boolean(), async (to, body, known) => {
        const response = await stories.post(to, { max_tokens: 3, ...body, ...(known && { model: MODEL }) });
        await response.text();
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 400, seed: 4 },
    );
    await until(() => stories.model.usage.running === 0);
    expect(stories.model.usage.usedBlocks).toBe(0);
  });
});

it('what a request says of itself reaches the engine as it is', async () => {
  const seen: unknown[] = [];
  const { serve } = await import('../../host/serve/index.js');
  const server = await serve({
    port: 0,
    models: {
      echo: {
        ...{ name: 'echo', context: undefined, chat: true, usage: { running: 0 } },
        async *generate({ metadata, priority }) {
          seen.push(metadata, priority);
          yield { text: 'hello', finish: 'stop' };
        },
        embed: () => Promise.reject(new Error('none')),
        close: () => Promise.resolve(),
      },
    },
  });
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tutti-workflow': 'w7', 'x-tutti-deadline': '1500' },
    body: JSON.stringify({ model: 'echo', messages, metadata: { role: 'judge' }, priority: 3 }),
  });
  const { choices, usage } = (await response.json()) as { choices: { message: { content: string } }[]; usage: object };
  expect(choices[0]!.message.content).toBe('hello');
  expect(usage).toMatchObject({ prompt_tokens: 0, completion_tokens: 1 });
  expect(seen).toEqual([{ role: 'judge', workflow: 'w7', deadline: '1500' }, 3]);
  await server.close();
});
