/** What bounds the server: places, queue, time, readers that stall, clients that leave, a shutdown. */
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { abortedError } from '../../host/errors.js';
import type { TextEngine } from '../../host/llm/engine/text-engine.js';
import type { ServeOptions } from '../../host/serve/index.js';
import { MODEL, storiesServer, until, type StoriesServer } from './fixture.js';

let stories: StoriesServer | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  sockets.splice(0).forEach((socket) => socket.destroy());
  await stories?.close();
  stories = undefined;
});

async function start(options: Partial<ServeOptions> = {}, model: Parameters<typeof storiesServer>[1] = {}) {
  return (stories = await storiesServer(options, model));
}

const long = { model: MODEL, prompt: [1], max_tokens: 400, temperature: 0 };
const path = '/v1/completions';
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string } }).error;

/** Nothing of any request is left. */
async function idle({ server, model }: StoriesServer): Promise<void> {
  await until(() => server.running === 0 && server.waiting === 0 && model.usage.running === 0);
  expect(model.usage.usedBlocks).toBe(0);
}

/** A client that reads only when told to. */
function rawRequest({ server }: StoriesServer, body: object): Socket {
  const text = JSON.stringify(body);
  const socket = connect(server.port, '127.0.0.1');
  sockets.push(socket);
  socket.on('error', () => {});
  socket.pause();
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
  return socket;
}

it('requests wait for a place, and are turned away when too many wait', async () => {
  const s = await start({ limits: { running: 1, queue: 1 } });
  const first = s.post(path, long);
  await until(() => s.server.running === 1);
  const second = s.post(path, { ...long, max_tokens: 5 });
  await until(() => s.server.waiting === 1);
  const third = await s.post(path, long);
  expect(third.status).toBe(429);
  expect(third.headers.get('retry-after')).toBe('1');
  expect((await errorOf(third)).code).toBe('queue_full');
  expect((await s.post(path, { ...long, n: 2 })).status).toBe(400);
  expect((await first).status).toBe(200);
  expect((await second).status).toBe(200);
  await idle(s);
});

it('one who leaves the queue makes room in it', async () => {
  const s = await start({ limits: { running: 1, queue: 1 } });
  const first = rawRequest(s, { ...long, stream: true });
  await until(() => s.server.running === 1);
  const waiting = rawRequest(s, long);
  await until(() => s.server.waiting === 1);
  waiting.destroy();
  await until(() => s.server.waiting === 0);
  const next = s.post(path, { ...long, max_tokens: 5 });
  await until(() => s.server.waiting === 1);
  first.destroy();
  expect((await next).status).toBe(200);
  await idle(s);
});

it('waiting has an end, and so has answering', async () => {
  const stuck: TextEngine = {
    ...{ name: 'stuck', context: undefined, chat: true, usage: { running: 0 } },

    async *generate({ signal }) {
      await new Promise((resolve) => signal!.addEventListener('abort', resolve));
      throw abortedError(signal!, 'generation');
    },
    embed: () => Promise.reject(new Error('none')),
    close: () => Promise.resolve(),
  };
  const s = await start({ models: { [MODEL]: stuck }, limits: { running: 1, queueMs: 20, requestMs: 400 } });
  const first = s.post(path, long);
  await until(() => s.server.running === 1);
  const waiting = await s.post(path, long);
  expect([waiting.status, (await errorOf(waiting)).code]).toEqual([503, 'queue_timeout']);
  const answered = await first;
  expect([answered.status, (await errorOf(answered)).code]).toEqual([503, 'timeout']);
  expect([s.server.running, s.server.waiting]).toEqual([0, 0]);
});

it('a client that does not read pauses its answer, and is cut off', async () => {
  // Answers that are larger than what the sockets hold: log-probabilities of twenty tokens each.
  const s = await start({ limits: { stallMs: 200 } });
  const body = { ...long, stream: true, logprobs: 20, n: 40, temperature: 1 };
  const socket = rawRequest(s, body);
  await until(() => s.server.running > 0);
  await until(() => s.server.running === 0);
  await idle(s);
  const metrics = await (await fetch(`${s.server.url}/metrics`)).text();
  expect(metrics).toContain('tutti_requests_cut_total{why="stalled"} 1');
  let received = 0;
  socket.on('data', (data) => (received += data.length));
  socket.resume();
  await until(() => socket.destroyed || socket.readableEnded);
  expect(received).toBeGreaterThan(0);
  expect(s.model.usage.computedTokens).toBeLessThan(40 * 400);
});

it('clients that leave at any point leave nothing behind', async () => {
  const s = await start();
  for (const stream of [true, false]) {
    for (let bytes = 0; bytes < 6000; bytes += 600) {
      const socket = rawRequest(s, { ...long, stream });
      let seen = 0;
      if (bytes === 0) await until(() => s.server.running > 0);
      else if (stream) {
        socket.on('data', (data) => (seen += data.length));
        socket.resume();
        await until(() => seen >= bytes);
      }
      socket.destroy();
    }
  }
  await idle(s);
});

it('a shutdown lets what runs finish, takes nothing more, and ends what takes too long', async () => {
  const s = await start({ limits: { running: 1 } });
  const first = s.post(path, { ...long, stream: true });
  await until(() => s.server.running === 1);
  const waiting = s.post(path, long);
  await until(() => s.server.waiting === 1);
  const closing = s.server.close();
  expect((await errorOf(await waiting)).code).toBe('draining');
  const refused = await s.post(path, long);
  expect([refused.status, (await errorOf(refused)).code]).toEqual([503, 'draining']);
  const health = await fetch(`${s.server.url}/health`);
  expect([health.status, await health.json()]).toEqual([503, { status: 'draining', models: [MODEL] }]);
  const text = await (await first).text();
  expect(text).toMatch(/data: \[DONE\]\n\n$/);
  expect(text).toContain('"finish_reason":"length"');
  await closing;
  await expect(fetch(`${s.server.url}/health`)).rejects.toThrow();

  await s.close();
  const other = await start();
  const cut = other.post(path, { ...long, stream: true });
  await until(() => other.server.running === 1);
  const response = await cut;
  await other.server.close({ drainMs: 0 });
  expect(await response.text()).toMatch(/"code":"draining"/);
  await idle(other);
});

it('metrics count what happened', async () => {
  const s = await start();
  await (await s.post(path, { ...long, max_tokens: 10 })).text();
  await (await s.post(path, { ...long, max_tokens: 10, stream: true })).text();
  await s.post(path, { model: 'other', prompt: 'a' });
  const text = await (await fetch(`${s.server.url}/metrics`)).text();
  const value = (name: string): number => {
    const line = text.split('\n').find((each) => each.startsWith(name));
    return Number(line?.split(' ').at(-1));
  };
  const model = `{model="${MODEL}"}`;
  expect(value(`tutti_generated_tokens_total${model}`)).toBe(20);
  expect(value(`tutti_prompt_tokens_total${model}`)).toBe(2);
  expect(value(`tutti_time_to_first_token_seconds_count${model}`)).toBe(2);
  expect(value(`tutti_inter_token_seconds_count${model}`)).toBe(18);
  expect(value(`tutti_kv_blocks_used${model}`)).toBe(0);
  expect(value(`tutti_kv_blocks${model}`)).toBe(s.model.usage.blocks);
  expect(value(`tutti_http_requests_total{route="${path}",status="200"}`)).toBe(2);
  expect(value(`tutti_http_requests_total{route="${path}",status="404"}`)).toBe(1);
});

it('pages of origins that are named may call', async () => {
  const s = await start({ cors: ['https://page.example'] });
  const asked = {
    method: 'OPTIONS',
    headers: { origin: 'https://page.example', 'access-control-request-method': 'POST' },
  };
  const answer = await fetch(`${s.server.url}${path}`, asked);
  expect(answer.headers.get('access-control-allow-origin')).toBe('https://page.example');
  const other = await fetch(`${s.server.url}${path}`, {
    ...asked,
    headers: { ...asked.headers, origin: 'https://x.example' },
  });
  expect(other.headers.get('access-control-allow-origin')).toBe(null);
});
