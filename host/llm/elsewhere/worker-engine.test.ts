/** Engines in worker threads. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import * as esbuild from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createWasmDevice } from '../../device/wasm.js';
import { bytesSource } from '../byte-source.js';
import { CREDIT } from './engine-protocol.js';
import { openLanguageModel } from '../engine/engine.js';
import type { TextChunk, TextEngine, TextRequest } from '../engine/text-engine.js';
import { createWorkerEngine } from './worker-engine.js';

const root = resolve(import.meta.dirname, '../../..');
const model = new Uint8Array(readFileSync(join(root, 'models/stories260k/stories260k-f32.gguf')));
let folder: string;
const workers: Worker[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tutti-engine-'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  await esbuild.build({
    entryPoints: [join(import.meta.dirname, 'fixtures/engine-worker.ts')],
    outfile: join(folder, 'engine-worker.mjs'),
    ...{ bundle: true, format: 'esm', platform: 'node', target: 'es2022', packages: 'external' },
    loader: { '.wgsl': 'text', '.wasm': 'binary' },
  });
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(kind: string): Worker {
  const worker = new Worker(join(folder, 'engine-worker.mjs'), { workerData: { kind, model } });
  workers.push(worker);
  return worker;
}

async function chunksOf(engine: TextEngine, request: TextRequest): Promise<TextChunk[]> {
  const chunks: TextChunk[] = [];
  for await (const chunk of engine.generate(request)) chunks.push(chunk);
  return chunks;
}
const pause = (ms = 30): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('a model in a worker answers as it does in place, many at once', async () => {
  const device = await createWasmDevice({ threads: 1 });
  const here = await openLanguageModel(bytesSource(model, 'stories'), { device });
  const there = await createWorkerEngine(start('model'));
  expect(there).toMatchObject({ name: here.name, context: here.context, chat: here.chat });
  const asked: TextRequest[] = [
    { prompt: [1], maxTokens: 200 },
    { prompt: 'Once upon', maxTokens: 50, temperature: 1, seed: 3, stop: ['. '] },
    { prompt: 'Once upon', maxTokens: 50, frequencyPenalty: 1, presencePenalty: 0.5, logitBias: { 45: -100 } },
    { messages: [{ role: 'user', content: 'The dog' }], maxTokens: 20, logprobs: true, topLogprobs: 2 },
    { prompt: 'Once', maxTokens: 60, responseFormat: { type: 'json_schema', schema: { enum: ['yes', 'no'] } } },
  ];
  const answers = await Promise.all(asked.map((request) => chunksOf(there, request)));
  for (const [k, request] of asked.entries()) {
    const expected = await chunksOf(here, request);
    expect(answers[k]!.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
    expect(answers[k]!.at(-1)).toMatchObject({ finish: expected.at(-1)!.finish });
    const figures = ({ token, logprob }: TextChunk): unknown => [token, logprob];
    expect(answers[k]!.map(figures)).toEqual(expected.map(figures));
  }
  const top = answers[3]![0]!.topLogprobs![0]!;
  expect(top.text).toBe(here.tokenizer.decode([top.token!]));
  expect(await there.embed(['a cat'])).toEqual(await here.embed(['a cat']));
  await expect(chunksOf(there, { prompt: 'a b '.repeat(400) })).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    where: 'prompt',
    facts: { context: 512 },
  });
  await there.close();
  await expect(chunksOf(there, { prompt: 'a' })).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
  await here.close();
  await device.close();
});

describe('an engine in a worker', () => {
  it('goes no further than its reader lets it', async () => {
    const engine = await createWorkerEngine(start('counter'));
    const slow = engine.generate({ prompt: 'a' });
    await slow.next();
    await pause();
    // Another answer brings news of how far the first has come.
    await chunksOf(engine, { prompt: 'b', maxTokens: 1 });
    expect(engine.usage.computedTokens).toBeLessThanOrEqual(CREDIT + 3);
    for (let k = 1; k < 100; k++) expect((await slow.next()).value).toMatchObject({ text: `${k} ` });
    await slow.return();
    await engine.close();
  });

  it('is told of readers that leave or abort', async () => {
    const engine = await createWorkerEngine(start('counter'));
    const left = engine.generate({ prompt: 'a' });
    await left.next();
    await left.return();
    const stopping = new AbortController();
    const aborted = chunksOf(engine, { prompt: 'a', signal: stopping.signal });
    await pause(5);
    stopping.abort(new Error('enough'));
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    await expect(chunksOf(engine, { prompt: 'a', signal: stopping.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    for (;;) {
      await chunksOf(engine, { prompt: 'b', maxTokens: 1 });
      if (engine.usage.running === 0) break;
    }
    expect(engine.usage.evictions).toBeGreaterThanOrEqual(3);
    await expect(chunksOf(engine, { prompt: 'fail' })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      where: 'prompt',
    });
    await engine.close();
  });

  it('that cannot be opened says why; one whose worker ends fails what is under way', async () => {
    await expect(createWorkerEngine(start('nothing'))).rejects.toMatchObject({
      code: 'FILE_INVALID',
      message: 'nothing cannot be opened',
      facts: { why: 'a test' },
    });
    const worker = start('counter');
    const engine = await createWorkerEngine(worker);
    const answer = chunksOf(engine, { prompt: 'a' });
    const other = engine.embed(['a']);
    worker.postMessage('exit');
    await expect(answer).rejects.toMatchObject({ code: 'DEVICE_LOST', message: /exited with code 3/ });
    await other;
    await expect(engine.embed(['a'])).rejects.toMatchObject({ code: 'DEVICE_LOST' });
    await engine.close();
    const stopping = new AbortController();
    stopping.abort();
    await expect(createWorkerEngine(start('counter'), { signal: stopping.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  it('lets its worker end when it is closed', async () => {
    for (const terminate of [false, true]) {
      const worker = start('counter');
      const exit = once(worker, 'exit');
      const engine = await createWorkerEngine(worker, { terminate });
      const open = chunksOf(engine, { prompt: 'a' });
      const failing = expect(open).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
      await pause(5);
      await engine.close();
      await failing;
      await exit;
    }
  });
});
