/** Keys and values that are packed, packed away, moved and grown under requests that must not notice. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice, createWasmDevice, createWebGpuDevice } from '../../host/index.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import {
  openLanguageModel,
  type GenerateOptions,
  type LanguageModel,
  type LanguageModelOptions,
} from '../../host/llm/engine/engine.js';
import { fileKvStorage } from '../../host/llm/kv/kv-store.js';
import type { KvPlan } from '../../host/llm/kv/kv-memory.js';

const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
const golden = readFileSync('models/stories260k/greedy.txt', 'utf8').trimEnd();
const mixed: KvPlan = ['f16', 'int8', 'int4', 'int8', 'f32'];
const plans: readonly (readonly [string, KvPlan])[] = [
  ...(['f32', 'f16', 'int8', 'int4'] as const).map((plan) => [plan, plan] as const),
  ['mixed', mixed],
];

async function textOf(model: LanguageModel, options: GenerateOptions): Promise<string> {
  let text = '';
  for await (const token of model.generate(options)) text += token.text;
  return text;
}

let device: Device;
beforeAll(async () => {
  device = await createWasmDevice({ threads: 1 });
});
afterAll(async () => {
  expect(device.memory.inUse).toBe(0);
  await device.close();
});

const opened = (options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  openLanguageModel(bytesSource(file), { device, ...options });

describe.each(plans)('keys and values as %s', (name, kv) => {
  it('give the oracle and Wasm the same text, however prompts are cut and whoever is beside', async () => {
    const prompt = 'Once upon a time, there was a little girl named Lily. She loved to play outside.';
    const ask = (k: number): GenerateOptions => ({ prompt, maxTokens: 24 + 5 * k, temperature: k % 2, seed: k });
    const oracle = createOracleDevice();
    const reference = await openLanguageModel(bytesSource(file), { device: oracle, kv });
    const expected = [await textOf(reference, ask(0)), await textOf(reference, ask(1))];
    await reference.close();
    await oracle.close();
    for (const options of [{}, { batchTokens: 5 }, { batchSequences: 1 }]) {
      const model = await opened({ kv, ...options });
      const texts = await Promise.all([0, 1, 2, 3].map((k) => textOf(model, ask(k))));
      expect(texts.slice(0, 2), JSON.stringify(options)).toEqual(expected);
      expect(model.usage.usedBlocks).toBe(0);
      await model.close();
    }
  });

  it('give nearly the same text on WebGPU', async () => {
    const gpu = await createWebGpuDevice();
    const model = await openLanguageModel(bytesSource(file), { device: gpu, kv });
    const wasm = await opened({ kv });
    const tokens = wasm.tokenizer.encode(golden).slice(0, 60);
    const [a, b] = [await model.score(tokens), await wasm.score(tokens)];
    a.forEach((score, k) => expect(Math.abs(score - b[k]!), `${name}, token ${k}`).toBeLessThan(0.02));
    await Promise.all([model.close(), wasm.close()]);
    await gpu.close();
  });

  it('survive being packed away and brought back, in a pool that is too small for all', async () => {
    const ask = (k: number): GenerateOptions => ({
      prompt: `Tom ${'and Sue '.repeat(k)}`,
      maxTokens: 70,
      seed: k,
      temperature: 1,
    });
    const wide = await opened({ kv });
    const alone: string[] = [];
    for (let k = 0; k < 5; k++) alone.push(await textOf(wide, ask(k)));
    await wide.close();
    for (const hostBytes of [2 ** 28, 0]) {
      const model = await opened({ kv, blocks: 9, hostBytes });
      expect(await Promise.all([0, 1, 2, 3, 4].map((k) => textOf(model, ask(k))))).toEqual(alone);
      expect(model.usage.evictions).toBeGreaterThan(0);
      if (hostBytes === 0) expect(model.usage.keptSequences).toBe(0);
      expect(model.usage).toMatchObject({ usedBlocks: 0, hostBytes: 0, storedBytes: 0 });
      await model.close();
    }
  });

  it('move to another engine as bytes, which continues to the token', async () => {
    const options: GenerateOptions = {
      prompt: [1],
      maxTokens: 90,
      temperature: 0.9,
      topP: 0.95,
      seed: 5,
      logprobs: true,
      frequencyPenalty: 0.4,
      logitBias: { 403: -100 },
    };
    const [here, there] = [await opened({ kv }), await opened({ kv, batchTokens: 7 })];
    const whole = await textOf(here, options);
    for (const leave of [1, 16, 33]) {
      const generation = await here.open(options);
      let text = '';
      let seen = 0;
      let bytes = new Uint8Array(0);
      for await (const token of generation) {
        text += token.text;
        if (++seen === leave) bytes = new Uint8Array(await generation.detach());
      }
      expect(seen).toBe(leave);
      expect(here.usage).toMatchObject({ running: 0, usedBlocks: 0 });
      for await (const token of there.adopt(bytes)) {
        text += token.text;
        expect(token.logprob).toBeLessThanOrEqual(0);
      }
      expect(text).toBe(whole);
    }
    expect(there.usage.computedTokens).toBeLessThan(3 * 90);
    await Promise.all([here.close(), there.close()]);
  });
});

describe('a pool', () => {
  const ask = (k: number): GenerateOptions => ({
    prompt: `One day ${'a bird '.repeat(k)}`,
    maxTokens: 90,
    seed: k,
    temperature: 1,
  });
  let alone: string[];
  beforeAll(async () => {
    const wide = await opened({ kv: 'int8' });
    alone = [];
    for (let k = 0; k < 6; k++) alone.push(await textOf(wide, ask(k)));
    await wide.close();
  });

  it('grows while requests run, as far as it may', async () => {
    const model = await opened({ kv: 'int8', blocks: 4, mostBlocks: 200 });
    expect(await Promise.all([0, 1, 2, 3, 4, 5].map((k) => textOf(model, ask(k))))).toEqual(alone);
    expect(model.usage.blocks).toBeGreaterThan(20);
    expect(model.usage.blocks).toBeLessThanOrEqual(200);
    expect(model.usage.evictions).toBe(0);
    await model.close();
  });

  it('gives way to what the device has, and goes on with less', async () => {
    const small = await createWasmDevice({ threads: 1, memoryBudget: 6 * 2 ** 20 });
    const model = await openLanguageModel(bytesSource(file), {
      device: small,
      kv: 'f32',
      blocks: 20,
      mostBlocks: 10_000,
    });
    const wide = await opened();
    const texts: string[] = [];
    for (let k = 0; k < 6; k++) texts.push(await textOf(wide, ask(k)));
    await wide.close();
    expect(await Promise.all([0, 1, 2, 3, 4, 5].map((k) => textOf(model, ask(k))))).toEqual(texts);
    expect(model.usage.blocks).toBeLessThan(10_000);
    await model.close();
    expect(small.memory.inUse).toBe(0);
    await small.close();
  });

  it('is made smaller and larger at any time', async () => {
    const model = await opened({ kv: 'int8', blocks: 64 });
    const texts = Promise.all([0, 1, 2, 3, 4, 5].map((k) => textOf(model, ask(k))));
    for (const blocks of [20, 80, 9, 40]) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      await model.resizeKv(blocks);
      expect(model.usage.blocks).toBe(blocks);
    }
    expect(await texts).toEqual(alone);
    expect(model.usage.usedBlocks).toBe(0);
    await model.close();
  });

  it('keeps to storage what host memory does not take', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kv-'));
    const model = await opened({ kv: 'int8', hostBytes: 1, storage: await fileKvStorage(folder) });
    const generation = await model.open({ ...ask(0), prompt: 'One day ' });
    let text = '';
    let seen = 0;
    for await (const token of generation) {
      text += token.text;
      if (++seen !== 20) continue;
      await generation.pause();
      expect(model.usage.usedBlocks).toBe(0);
      expect(model.usage.storedBytes).toBeGreaterThan(0);
      expect(readdirSync(join(folder, readdirSync(folder)[0]!))).toHaveLength(1);
      generation.resume();
    }
    expect(text).toBe(alone[0]);
    expect(model.usage).toMatchObject({ keptSequences: 1, restoredSequences: 1, storedBytes: 0 });
    await model.close();
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  it('keeps what is reserved for its owner', async () => {
    const model = await opened({ kv: 'int8', blocks: 10 });
    const first = await model.open({ prompt: 'Tom', maxTokens: 100, reserveBlocks: 7 });
    const reading = first[Symbol.asyncIterator]();
    await reading.next();
    expect(first.reserve(4)).toBe(false);
    expect(first.reserve(2)).toBe(true);
    // One block is left for others.
    const text = textOf(model, { prompt: 'The dog was', maxTokens: 20 });
    expect(await text).not.toBe('');
    expect(first.reserve(-5)).toBe(true);
    first.end();
    expect(model.usage).toMatchObject({ usedBlocks: 0, running: 0 });
    await expect(textOf(model, { prompt: 'Tom', reserveBlocks: 11 })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await model.close();
  });
});

describe('an answer', () => {
  const ask: GenerateOptions = { prompt: 'Once upon a time there was', maxTokens: 70, temperature: 1, seed: 3 };

  it('forks: what there is of it is shared, and each goes its own way', async () => {
    const model = await opened({ kv: 'int8' });
    const expected = await textOf(model, ask);
    const { computedTokens } = model.usage;
    const first = await model.open(ask);
    let text = '';
    let seen = 0;
    const forks: Promise<string>[] = [];
    for await (const token of first) {
      text += token.text;
      if (++seen !== 30) continue;
      for (const seed of [3, 4, 5]) {
        const fork = await first.fork({ seed });
        const before = text;
        forks.push(
          (async () => {
            let rest = before;
            for await (const next of fork) rest += next.text;
            return rest;
          })(),
        );
      }
    }
    expect(text).toBe(expected);
    const texts = await Promise.all(forks);
    // The same seed draws the same; others differ, from a common beginning.
    expect(texts[0]).toBe(expected);
    expect(new Set(texts).size).toBe(3);
    // Nobody computed the beginning again: 30 tokens and the prompt, at least.
    expect(model.usage.computedTokens - computedTokens).toBeLessThan(4 * 70 - 2 * 30);
    expect(model.usage).toMatchObject({ usedBlocks: 0, running: 0 });
    await model.close();
  });

  it('goes on where keys and values are packed in another way, nearly the same', async () => {
    const [here, there] = [await opened({ kv: 'f32' }), await opened({ kv: mixed })];
    const generation = await here.open({ prompt: [1], maxTokens: 60 });
    let text = '';
    let seen = 0;
    let bytes = new Uint8Array(0);
    for await (const token of generation) {
      text += token.text;
      if (++seen === 40) bytes = new Uint8Array(await generation.detach());
    }
    expect(() => there.adopt(bytes)).toThrow(/plan/);
    for await (const token of there.adopt(bytes, { repack: true })) text += token.text;
    expect(golden.startsWith(text)).toBe(true);
    expect(there.usage.computedTokens).toBeLessThan(30);
    await Promise.all([here.close(), there.close()]);
  });
});

describe('a snapshot', () => {
  it('is refused when it is damaged or of another engine', async () => {
    const [model, other] = [await opened({ kv: 'int8' }), await opened({ kv: 'int4' })];
    const generation = await model.open({ prompt: 'Tom and', maxTokens: 50 });
    const reading = generation[Symbol.asyncIterator]();
    for (let k = 0; k < 5; k++) await reading.next();
    const bytes = await generation.detach();
    expect(await reading.next()).toMatchObject({ done: true });
    expect(() => other.adopt(bytes)).toThrow(/whose plan is \["int8".*here it is \["int4"/);
    expect(() => model.adopt(new Uint8Array(0))).toThrow(/is none/);
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(bytes.length),
        (at, change, cut) => {
          const damaged = bytes.slice();
          damaged[at]! ^= change;
          expect(() => model.adopt(damaged)).toThrow(/the snapshot/);
          if (cut < bytes.length) expect(() => model.adopt(bytes.slice(0, cut))).toThrow(/the snapshot/);
        },
      ),
      { numRuns: 300, seed: 4 },
    );
    expect(model.usage).toMatchObject({ running: 0, usedBlocks: 0 });
    await Promise.all([model.close(), other.close()]);
  });
});
