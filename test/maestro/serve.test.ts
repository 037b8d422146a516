/** The scheduler behind OpenAI's interface: what requests say of themselves, what they need not say, and what they may not. */
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createMaestro, type Maestro, type StageReport } from '../../host/maestro/index.js';
import { serve, type HttpServer } from '../../host/serve/index.js';
import { alone, source, textOf, wasm } from './fixture.js';

const MODEL = 'stories260k';
let devices: Device[];
let maestro: Maestro;
let server: HttpServer;
let client: OpenAI;
beforeAll(async () => {
  devices = [await wasm(), await wasm()];
  maestro = await createMaestro({ nodes: devices.map((device) => ({ device, models: { [MODEL]: { source } } })) });
  server = await serve({ models: { [MODEL]: maestro.engine(MODEL) }, port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await server.close({ drainMs: 0 });
  for (const node of maestro.report().nodes)
    expect(node).toMatchObject({ running: 0, usedBytes: 0, committedBytes: 0 });
  await maestro.close();
  for (const device of devices) await device.close();
});

const stagesOf = (workflow: string): StageReport[] =>
  maestro.report().stages.filter((stage) => stage.workflow === workflow);
const user = (content: string) => [{ role: 'user' as const, content }];

describe('requests with metadata', () => {
  it('are stages of one workflow, with the text of the engine alone', async () => {
    const asked = ['Once upon a time', 'The dog', 'Lily and Tom'];
    const expected = await alone(asked.map((prompt) => ({ prompt, maxTokens: 30 })));
    const metadata = { workflow: 'w1', application: 'tales', tenant: 'ann', deadline: '600', class: 'batch' };
    const answers = await Promise.all(
      asked.map((content, k) =>
        client.chat.completions.create({
          ...{ model: MODEL, messages: user(content), temperature: 0, max_tokens: 30 },
          metadata: { ...metadata, role: `writer ${k}`, fan_out: '0', tool: 'search' },
        }),
      ),
    );
    expect(answers.map(({ choices }) => choices[0]!.message.content)).toEqual(expected);
    const stages = stagesOf('ann/w1');
    expect(stages.map(({ role }) => role).sort()).toEqual(['writer 0', 'writer 1', 'writer 2']);
    for (const stage of stages) {
      expect(stage).toMatchObject({ application: 'tales', tenant: 'ann', outcome: 'ended', tokens: 30 });
      expect(stage.predictedMost).toBeGreaterThan(0);
    }
  });

  it('may say it in headers', async () => {
    const stream = await client.completions.create(
      { model: MODEL, prompt: 'Once', max_tokens: 10, stream: true },
      { headers: { 'x-tutti-workflow': 'w2', 'x-tutti-role': 'critic', 'x-tutti-fan-out': '3' } },
    );
    for await (const event of stream) expect(event.object).toBe('text_completion');
    expect(stagesOf('w2')).toMatchObject([{ role: 'critic', tokens: 10 }]);
  });

  it.each([
    ['deadline', '-1'],
    ['deadline', '0'],
    ['deadline', 'NaN'],
    ['deadline', ''],
    ['deadline', 'soon'],
    ['deadline', '1e99'],
    ['class', 'urgent'],
    ['fan_out', '1.5'],
    ['fan_out', '-2'],
    ['workflow', ''],
    ['role', 'x'.repeat(300)],
  ])('are refused by the name of the field: %s %j', async (field, value) => {
    const request = { model: MODEL, messages: user('Once'), max_tokens: 5, metadata: { [field]: value } };
    await expect(client.chat.completions.create(request)).rejects.toMatchObject({
      ...{ status: 400, param: `metadata.${field}`, type: 'invalid_request_error' },
      message: expect.stringContaining(`metadata.${field}`) as string,
    });
  });

  it('are told when their workflow is given up, and why', async () => {
    const request = {
      ...{ model: MODEL, messages: user('Once'), max_tokens: 400 },
      metadata: { workflow: 'late', deadline: '0.000001' },
    };
    const shed = { status: 503, code: 'workflow_shed', message: /late was given up: .*deadline/ };
    await expect(client.chat.completions.create(request)).rejects.toMatchObject(shed);
    // Asked again, it is still given up.
    await expect(client.chat.completions.create(request)).rejects.toMatchObject(shed);
  });
});

describe('requests without metadata', () => {
  it('are put together by conversation, and begin with what is cached', async () => {
    const before = maestro.report().stages.length;
    const first = [
      { role: 'system' as const, content: 'You tell stories to children, slowly and with care.' },
      ...user('Once upon a time there was a little girl who loved to play in the park with her dog.'),
    ];
    const asked = { model: MODEL, temperature: 0, max_tokens: 20 };
    const answer = await client.chat.completions.create({ ...asked, messages: first });
    const second = [...first, answer.choices[0]!.message, ...user('And then')];
    const next = await client.chat.completions.create({ ...asked, messages: second });
    await client.chat.completions.create({ ...asked, messages: [...second, next.choices[0]!.message, ...user('?')] });
    await client.chat.completions.create({ ...asked, messages: [first[0]!, ...user('A cat')] });
    const stages = maestro.report().stages.slice(before);
    expect(new Set(stages.slice(0, 3).map(({ workflow }) => workflow)).size).toBe(1);
    expect(stages[3]!.workflow).not.toBe(stages[0]!.workflow);
    // Whoever has the same system prompt plays the same role.
    expect(new Set(stages.map(({ role }) => role)).size).toBe(1);
    expect(stages[1]!.cachedTokens).toBeGreaterThanOrEqual(32);
    expect(stages[2]!.cachedTokens).toBeGreaterThan(stages[1]!.cachedTokens);
  });

  it('continue texts', async () => {
    const before = maestro.report().stages.length;
    const asked = { model: MODEL, temperature: 0, max_tokens: 12 };
    const { choices } = await client.completions.create({ ...asked, prompt: 'The bird' });
    await client.completions.create({ ...asked, prompt: `The bird${choices[0]!.text} and` });
    const [one, two] = maestro.report().stages.slice(before);
    expect(two!.workflow).toBe(one!.workflow);
  });

  it('are cut to the context when they ask for a million tokens, as they are without a scheduler', async () => {
    const answer = await client.completions.create({ model: MODEL, prompt: [1], max_tokens: 1e6, temperature: 0 });
    expect(answer.usage!.completion_tokens).toBeLessThan(512);
    const long = client.completions.create({ model: MODEL, prompt: 'a b '.repeat(400), max_tokens: 5 });
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});

it('workflows that nobody ends are over after a while, and the oldest make room for others', async () => {
  const device = await wasm();
  const models = { [MODEL]: { source } };
  const limits = { workflows: 3, stages: 2, idleSeconds: 3600 };
  const own = await createMaestro({ nodes: [{ device, models }], limits });
  const engine = own.engine(MODEL);
  const ask = async (prompt: string, workflow?: string): Promise<string> =>
    textOf(engine.generate({ prompt, maxTokens: 4, ...(workflow !== undefined && { metadata: { workflow } }) }));
  for (const name of ['a', 'b', 'c', 'd']) await ask('Once', name);
  expect(own.report().workflows).toMatchObject({ open: 3, ended: 1 });
  await ask('Once', 'd');
  await expect(ask('Once', 'd')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', message: /at most 2/ });
  // Who knows nothing of workflows is not bothered with that.
  let text = 'The dog';
  for (let k = 0; k < 4; k++) text += await ask(text);
  await own.close();
  const short = await createMaestro({ nodes: [{ device, models }], limits: { idleSeconds: 1e-9 } });
  for (const prompt of ['Once', 'The dog', 'Lily'])
    await textOf(short.engine(MODEL).generate({ prompt, maxTokens: 4 }));
  expect(short.report().workflows).toMatchObject({ open: 1, ended: 2 });
  await short.close();
  await device.close();
});

it('clients that leave take their stages along', async () => {
  const running = maestro.report().stages.filter(({ outcome }) => outcome === 'running').length;
  expect(running).toBe(0);
  await Promise.all(
    Array.from({ length: 12 }, async (_, k) => {
      const stream = await client.completions.create({
        ...{ model: MODEL, prompt: `Once ${k}`, max_tokens: 400, stream: true },
      });
      for await (const event of stream) {
        expect(event.choices).toHaveLength(1);
        break;
      }
    }),
  );
  while (server.running > 0 || maestro.report().nodes.some((node) => node.running > 0 || node.usedBytes > 0))
    await new Promise((resolve) => setTimeout(resolve, 2));
  const { stages } = maestro.report();
  expect(stages.slice(-12).map(({ outcome }) => outcome)).toEqual(Array.from({ length: 12 }, () => 'failed'));
});

it('has embeddings, metrics, and several answers to one request', async () => {
  const { data } = await client.embeddings.create({ model: MODEL, input: ['a cat', 'a dog'] });
  expect(data.map(({ embedding }) => embedding.length)).toEqual([64, 64]);
  const { choices } = await client.completions.create({ model: MODEL, prompt: 'Once', n: 3, max_tokens: 8, seed: 1 });
  expect(new Set(choices.map(({ text }) => text)).size).toBeGreaterThan(1);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/tutti_computed_tokens\{model="stories260k"\} [1-9]/);
});
