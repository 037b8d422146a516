/** The engine over HTTP, against servers that behave badly in every way; test/serve has it against a good one. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { endpointModels, openAiEndpoint, type OpenAiEndpointOptions } from './openai-endpoint.js';
import type { TextChunk, TextEngine, TextRequest } from '../engine/text-engine.js';

type Handler = (
  request: { body: Record<string, unknown>; incoming: IncomingMessage },
  response: ServerResponse,
) => void;

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

/** @param handlers one for each request; the last for all after it */
async function against(handlers: readonly Handler[], options: Partial<OpenAiEndpointOptions> = {}) {
  let count = 0;
  const server = createServer((incoming, response) => {
    const handler = handlers[Math.min(count++, handlers.length - 1)]!;
    let text = '';
    incoming.on('data', (data: Buffer) => (text += data.toString()));
    incoming.on('end', () =>
      handler({ body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>), incoming }, response),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
  return { url, engine: openAiEndpoint({ url, model: 'm', ...options }), requests: () => count };
}

const events = (response: ServerResponse, list: readonly unknown[], end = true): void => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of list) response.write(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`);
  if (end) response.end();
};
const delta = (content: string, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta: { content }, finish_reason }],
});
const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
};
const messages = [{ role: 'user' as const, content: 'hi' }];
async function chunksOf(engine: TextEngine, request: TextRequest = { messages }): Promise<TextChunk[]> {
  const chunks: TextChunk[] = [];
  for await (const chunk of engine.generate(request)) chunks.push(chunk);
  return chunks;
}
const failureOf = (engine: TextEngine, request?: TextRequest): Promise<{ code: string; message: string }> =>
  chunksOf(engine, request).then(
    () => ({ code: 'none', message: '' }),
    (error: unknown) => error as { code: string; message: string },
  );

describe('an answer', () => {
  it('comes in chunks, with its end, its calls and its usage in the last', async () => {
    const call = (index: number, rest: object) => ({ choices: [{ delta: { tool_calls: [{ index, ...rest }] } }] });
    const { engine } = await against([
      (_, response) =>
        events(response, [
          { choices: [{ delta: { role: 'assistant', content: '' } }] },
          delta('Hel'),
          delta('lo'),
          call(1, { id: 'b', function: { name: 'add', arguments: '{}' } }),
          call(0, { id: 'a', function: { name: 'weather', arguments: '{"to' } }),
          call(0, { function: { arguments: 'wn":1}' } }),
          { choices: [{ delta: {}, finish_reason: 'tool_calls' }] },
          {
            choices: [],
            usage: { prompt_tokens: 3, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 2 } },
          },
          '[DONE]',
        ]),
    ]);
    expect(await chunksOf(engine)).toEqual([
      { text: 'Hel' },
      { text: 'lo' },
      {
        text: '',
        finish: 'tool_calls',
        usage: { promptTokens: 3, completionTokens: 4, cachedTokens: 2 },
        toolCalls: [
          { id: 'a', name: 'weather', arguments: '{"town":1}' },
          { id: 'b', name: 'add', arguments: '{}' },
        ],
      },
    ]);
    expect(engine.usage).toEqual({ running: 0 });
  });

  it('may be whole, of a server that does not stream', async () => {
    const { engine } = await against([
      (_, response) => json(response, 200, { choices: [{ index: 0, text: 'all', finish_reason: 'length' }] }),
    ]);
    expect(await chunksOf(engine, { prompt: 'a' })).toEqual([{ text: 'all' }, { text: '', finish: 'length' }]);
  });

  it('is asked for with what the request says, the key and the metadata', async () => {
    const seen: Record<string, unknown>[] = [];
    const { engine } = await against(
      [
        ({ body, incoming }, response) => {
          seen.push({
            ...body,
            url: incoming.url,
            key: incoming.headers.authorization,
            of: incoming.headers['x-tutti-workflow'],
          });
          events(response, [delta('x', 'stop'), '[DONE]']);
        },
      ],
      { apiKey: 'k' },
    );
    await chunksOf(engine, {
      messages,
      topP: 0.5,
      stop: ['a'],
      maxTokens: 3,
      metadata: { workflow: 'w' },
      toolChoice: { name: 'f' },
      tools: [{ name: 'f' }],
    });
    const biased = { frequencyPenalty: 0.5, presencePenalty: -1, logitBias: { 7: -100 } };
    await chunksOf(engine, { prompt: [1, 2], logprobs: true, seed: 4, ...biased });
    expect(seen).toMatchObject([
      {
        ...{
          url: '/v1/chat/completions',
          key: 'Bearer k',
          of: 'w',
          model: 'm',
          stream: true,
          top_p: 0.5,
          stop: ['a'],
          max_tokens: 3,
        },
        tools: [{ type: 'function', function: { name: 'f' } }],
        tool_choice: { type: 'function', function: { name: 'f' } },
      },
      {
        ...{ url: '/v1/completions', prompt: [1, 2], logprobs: 0, seed: 4, temperature: 0 },
        ...{ frequency_penalty: 0.5, presence_penalty: -1, logit_bias: { 7: -100 } },
      },
    ]);
  });

  it('carries log-probabilities, one token a chunk', async () => {
    const content = [
      { token: 'Hel', logprob: -0.5, top_logprobs: [{ token: 'Hal', logprob: -1 }] },
      { token: 'lo', logprob: -0.25, top_logprobs: [] },
    ];
    const { engine } = await against([
      (_, response) =>
        events(response, [
          { choices: [{ delta: { content: 'Hello' }, logprobs: { content }, finish_reason: 'stop' }] },
        ]),
    ]);
    expect(await chunksOf(engine)).toEqual([
      { text: 'Hel', logprob: -0.5, topLogprobs: [{ text: 'Hal', logprob: -1 }] },
      { text: 'lo', logprob: -0.25 },
      { text: '', finish: 'stop' },
    ]);
  });
});

describe('a failure', () => {
  const busy: Handler = (_, response) => json(response, 503, { error: { message: 'busy' } }, { 'retry-after': '0' });
  const good: Handler = (_, response) => events(response, [delta('ok', 'stop'), '[DONE]']);

  it('before the answer is tried again, so often and no oftener', async () => {
    const limited: Handler = (_, response) => json(response, 429, '{}', { 'retry-after': '0' });
    const reset: Handler = ({ incoming }) => incoming.socket.destroy();
    const recovering = await against([busy, limited, good]);
    expect((await chunksOf(recovering.engine))[0]).toEqual({ text: 'ok' });
    expect(recovering.requests()).toBe(3);
    const dropped = await against([reset, good]);
    expect((await chunksOf(dropped.engine))[0]).toEqual({ text: 'ok' });
    const down = await against([busy], { retries: 3 });
    expect(await failureOf(down.engine)).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: /503: busy; try again later/,
    });
    expect(down.requests()).toBe(4);
  });

  it('of the request is not', async () => {
    const cases: [number, unknown, string, RegExp][] = [
      [400, { error: { message: 'too long' } }, 'INPUT_INVALID', /400: too long/],
      [401, { error: 'no' }, 'OPTION_INVALID', /401: no; check apiKey/],
      [404, { detail: 'Not Found' }, 'OPTION_INVALID', /404: Not Found; check url and model/],
      [418, '<html>teapot</html>', 'INPUT_INVALID', /418: <html>teapot/],
    ];
    for (const [status, body, code, message] of cases) {
      const { engine, requests } = await against([(_, response) => json(response, status, body)]);
      expect(await failureOf(engine)).toMatchObject({ code, message });
      expect(requests()).toBe(1);
    }
  });

  it('in the middle of the answer is not tried again', async () => {
    const cut: Handler = (_, response) => {
      events(response, [delta('Hel')], false);
      setTimeout(() => response.destroy(), 5);
    };
    const { engine, requests } = await against([cut]);
    expect(await failureOf(engine)).toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: /cannot be reached/ });
    expect(requests()).toBe(1);
    const ended = await against([(_, response) => events(response, [delta('Hel')])]);
    expect(await failureOf(ended.engine)).toMatchObject({ code: 'DEVICE_FAILED', message: /cut off/ });
    const told = await against([
      (_, response) => events(response, [delta('Hel'), { error: { message: 'out of memory' } }]),
    ]);
    expect(await failureOf(told.engine)).toMatchObject({ code: 'DEVICE_FAILED', message: /gave up: out of memory/ });
  });

  it('to make sense is named', async () => {
    const garbage: [Handler, RegExp][] = [
      [(_, r) => events(r, ['{"choices": [']), /"\{"choices": \[" is no JSON/],
      [(_, r) => events(r, ['5']), /the answer is no object/],
      [(_, r) => events(r, [{ hello: 1 }]), /choices is no list/],
      [(_, r) => events(r, [{ choices: [5] }]), /a choice is no object/],
      [(_, r) => events(r, [{ choices: [{ delta: { content: {} } }] }]), /the text is no text/],
      [(_, r) => events(r, [{ choices: [{ delta: { tool_calls: 5 } }] }]), /tool_calls is no list/],
      [(_, r) => json(r, 200, 'not json'), /"not json" is no JSON/],
      [(_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), /text\/html, neither JSON nor/],
    ];
    for (const [handler, message] of garbage) {
      const { engine, requests } = await against([handler]);
      expect(await failureOf(engine)).toMatchObject({ code: 'DEVICE_FAILED', message });
      expect(requests()).toBe(1);
    }
  });

  it('to answer in time ends the request', async () => {
    const silent = await against([() => {}], { beginMs: 30, retries: 0 });
    expect(await failureOf(silent.engine)).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: /no answer within 30 ms/,
    });
    const stuck = await against([(_, response) => events(response, [delta('Hel')], false)], { silenceMs: 30 });
    expect(await failureOf(stuck.engine)).toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: /silent for 30 ms/ });
  });

  it('of the address is told before anything is asked', async () => {
    expect(() => openAiEndpoint({ url: 'localhost:80', model: 'm' })).toThrow(/no address of a server/);
    const nobody = openAiEndpoint({ url: 'http://127.0.0.1:1/v1', model: 'm', retries: 0 });
    expect(await failureOf(nobody)).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: /cannot be reached .*is it running/,
    });
  });
});

it('aborting, leaving and closing end the request at the server', async () => {
  let gone = 0;
  const endless: Handler = ({ incoming }, response) => {
    incoming.socket.on('close', () => gone++);
    events(
      response,
      Array.from({ length: 50 }, () => delta('x')),
      false,
    );
  };
  const until = async (count: number): Promise<void> => {
    while (gone < count) await new Promise((resolve) => setTimeout(resolve, 2));
  };
  const { engine } = await against([endless]);
  const stopping = new AbortController();
  const aborted = engine.generate({ messages, signal: stopping.signal });
  await aborted.next();
  stopping.abort();
  await expect(
    (async () => {
      for await (const chunk of aborted) expect(chunk.text).toBe('x');
    })(),
  ).rejects.toMatchObject({ code: 'ABORTED' });
  await until(1);
  for await (const chunk of engine.generate({ messages })) {
    expect(chunk.text).toBe('x');
    break;
  }
  await until(2);
  const open = engine.generate({ messages });
  await open.next();
  expect(engine.usage).toEqual({ running: 1 });
  await engine.close();
  await expect(
    (async () => {
      for await (const chunk of open) expect(chunk.text).toBe('x');
    })(),
  ).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
  await until(3);
  expect(engine.usage).toEqual({ running: 0 });
});

it('embeddings and lists of models are read with the same care', async () => {
  const { engine, url } = await against([
    ({ body }, response) =>
      json(response, 200, {
        data: (body['input'] as string[]).map((_, index) => ({ index, embedding: [index, 1] })).reverse(),
        usage: { prompt_tokens: 5 },
      }),
    (_, response) => json(response, 200, { data: [] }),
    (_, response) => json(response, 200, { data: [{ id: 'a' }, { id: 'b' }, {}] }),
    (_, response) => json(response, 500, 'no'),
  ]);
  const { vectors, promptTokens } = await engine.embed(['a', 'b']);
  expect([vectors.map((vector) => [...vector]), promptTokens]).toEqual([
    [
      [0, 1],
      [1, 1],
    ],
    5,
  ]);
  await expect(engine.embed(['a'])).rejects.toMatchObject({
    code: 'DEVICE_FAILED',
    message: /0 embeddings came for 1 texts/,
  });
  expect(await endpointModels(url)).toEqual(['a', 'b']);
  await expect(endpointModels(url)).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: /lists no models/ });
});
