/** Engines in Web Workers. */
import { afterEach, expect, it } from 'vitest';
import { CREDIT } from './engine-protocol.js';
import type { TextEngine, TextRequest } from '../engine/text-engine.js';
import { createWorkerEngine } from './worker-engine.js';

const modelUrl = new URL('../../../models/stories260k/stories260k-f32.gguf', import.meta.url);
const goldenUrl = new URL('../../../models/stories260k/greedy.txt', import.meta.url);
const workers: Worker[] = [];
afterEach(() => workers.splice(0).forEach((worker) => worker.terminate()));

async function start(kind: string): Promise<Worker> {
  const worker = new Worker(new URL('./fixtures/engine-web-worker.ts', import.meta.url), { type: 'module' });
  workers.push(worker);
  const model = new Uint8Array(await (await fetch(modelUrl)).arrayBuffer());
  worker.postMessage({ start: kind, model });
  return worker;
}

async function textOf(engine: TextEngine, request: TextRequest): Promise<string> {
  let text = '';
  for await (const chunk of engine.generate(request)) text += chunk.text;
  return text;
}

it('a model in a Web Worker answers, and ends with its engine', async () => {
  const engine = await createWorkerEngine(await start('model'), { terminate: true });
  expect(engine.context).toBe(512);
  const [text] = await Promise.all([
    textOf(engine, { prompt: [1], maxTokens: 200 }),
    textOf(engine, { prompt: 'Once', maxTokens: 30, temperature: 1 }),
  ]);
  expect(text).toBe((await (await fetch(goldenUrl)).text()).trimEnd());
  expect((await engine.embed(['a cat'])).vectors[0]).toHaveLength(64);
  await engine.close();
  await expect(textOf(engine, { prompt: 'a' })).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
});

it('a reader that stops holds its answer back; one that aborts ends it', async () => {
  const engine = await createWorkerEngine(await start('counter'), { terminate: true });
  const slow = engine.generate({ prompt: 'a' });
  await slow.next();
  await new Promise((resolve) => setTimeout(resolve, 300));
  await textOf(engine, { prompt: 'b', maxTokens: 1 });
  expect(engine.usage.computedTokens).toBeLessThanOrEqual(CREDIT + 3);
  const stopping = new AbortController();
  const aborted = textOf(engine, { prompt: 'a', signal: stopping.signal });
  stopping.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
  await slow.return();
  for (;;) {
    await textOf(engine, { prompt: 'b', maxTokens: 1 });
    if (engine.usage.running === 0) break;
  }
  await engine.close();
});

it('what cannot be opened says why', async () => {
  await expect(createWorkerEngine(await start('nothing'))).rejects.toMatchObject({ code: 'FILE_INVALID' });
});
