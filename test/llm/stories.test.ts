import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice, createWasmDevice, createWebGpuDevice } from '../../host/index.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import { openLanguageModel, type GenerateOptions, type LanguageModel } from '../../host/llm/engine/engine.js';

const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
const golden = readFileSync('models/stories260k/greedy.txt', 'utf8').trimEnd();

async function textOf(model: LanguageModel, options: GenerateOptions): Promise<string> {
  let text = '';
  for await (const token of model.generate(options)) text += token.text;
  return text;
}

const backends: Readonly<Record<string, () => Promise<Device>>> = {
  oracle: () => Promise.resolve(createOracleDevice()),
  'Wasm, 1 thread': () => createWasmDevice({ threads: 1 }),
  'Wasm, 2 threads': () => createWasmDevice({ threads: 2 }),
  WebGPU: () => createWebGpuDevice(),
};

describe.each(Object.entries(backends))('stories on %s', (_, open) => {
  let device: Device;
  let model: LanguageModel;
  beforeAll(async () => {
    device = await open();
    model = await openLanguageModel(bytesSource(file), { device });
  });
  afterAll(async () => {
    await model?.close();
    expect(device.memory.inUse).toBe(0);
    await device?.close();
  });

  it('continues with the text of llama2.c', async () => {
    expect(await textOf(model, { prompt: [1], maxTokens: 200 })).toBe(golden);
    expect(model.usage).toMatchObject({ usedBlocks: 0, running: 0, evictions: 0 });
  });
});

describe('requests side by side', () => {
  let device: Device;
  beforeAll(async () => {
    device = await createWasmDevice({ threads: 1 });
  });
  afterAll(() => device?.close());

  const prompts = [
    'Once upon a time',
    'Lily had a red ball',
    'The dog was',
    'One day, a bird',
    'Tom and his mom went to',
  ];
  const asked = (k: number): GenerateOptions => ({
    prompt: prompts[k % prompts.length]!,
    maxTokens: 20 + 7 * k,
    temperature: k % 2,
    seed: k,
    topP: 0.9,
  });

  async function each(options: { blocks?: number; batchTokens?: number; batchSequences?: number }, together: boolean) {
    const model = await openLanguageModel(bytesSource(file), { device, ...options });
    const texts: string[] = [];
    if (together) texts.push(...(await Promise.all(Array.from({ length: 9 }, (_, k) => textOf(model, asked(k))))));
    else for (let k = 0; k < 9; k++) texts.push(await textOf(model, asked(k)));
    const usage = model.usage;
    await model.close();
    expect(device.memory.inUse).toBe(0);
    return { texts, usage };
  }

  it('get the text that they get alone, whatever is beside them and however their prompts are cut', async () => {
    const alone = await each({}, false);
    for (const options of [{}, { batchTokens: 3 }, { batchSequences: 2 }, { blocks: 40, batchTokens: 11 }])
      expect((await each(options, true)).texts, JSON.stringify(options)).toEqual(alone.texts);
  });

  it('give way in a small pool, and still get it', async () => {
    const alone = await each({}, false);
    const crowded = await each({ blocks: 10 }, true);
    expect(crowded.texts).toEqual(alone.texts);
    expect(crowded.usage.evictions).toBeGreaterThan(0);
    expect(crowded.usage.usedBlocks).toBe(0);
  });

  it('give way in a small pool where they share a beginning, which frees less than it seems', async () => {
    const prompt = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. ';
    const ask = (k: number): GenerateOptions => ({ prompt, maxTokens: 60 + k, temperature: 1, seed: k });
    const wide = await openLanguageModel(bytesSource(file), { device });
    const alone: string[] = [];
    for (let k = 0; k < 6; k++) alone.push(await textOf(wide, ask(k)));
    await wide.close();
    const model = await openLanguageModel(bytesSource(file), { device, blocks: 9 });
    await textOf(model, { prompt, maxTokens: 1 });
    expect(await Promise.all(Array.from({ length: 6 }, (_, k) => textOf(model, ask(k))))).toEqual(alone);
    expect(model.usage.evictions).toBeGreaterThan(0);
    expect(model.usage.reusedTokens).toBeGreaterThan(0);
    expect(model.usage.usedBlocks).toBe(0);
    await model.close();
  });

  it('compute a common beginning once', async () => {
    const model = await openLanguageModel(bytesSource(file), { device });
    const prompt = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. ';
    const first = await textOf(model, { prompt, maxTokens: 10 });
    const computed = model.usage.computedTokens;
    expect(await textOf(model, { prompt, maxTokens: 10 })).toBe(first);
    const length = model.tokenizer.encode(prompt).length;
    expect(model.usage.reusedTokens).toBe(16 * Math.floor((length - 1) / 16));
    expect(model.usage.computedTokens - computed).toBe(length - model.usage.reusedTokens + 9);
    await model.close();
  });

  it('compute a common beginning once, even when they come at the same time', async () => {
    const model = await openLanguageModel(bytesSource(file), { device, batchTokens: 32 });
    const prompt = 'Once upon a time, there was a little girl named Lily. She loved to play outside in the park. ';
    const asked = (k: number): GenerateOptions => ({ prompt: prompt + ['', 'The dog', 'Tom'][k % 3]!, maxTokens: 10 });
    const texts = await Promise.all(Array.from({ length: 9 }, (_, k) => textOf(model, asked(k))));
    const { tokenizer, usage } = model;
    for (let k = 0; k < 9; k++) expect(await textOf(model, asked(k))).toBe(texts[k]);
    const whole = 16 * Math.floor(tokenizer.encode(prompt).length / 16);
    expect(usage.reusedTokens).toBeGreaterThanOrEqual(8 * (whole - 16));
    expect(usage.usedBlocks).toBe(0);
    await model.close();
  });

  it('end at a stop text, which they do not give away even in part', async () => {
    const model = await openLanguageModel(bytesSource(file), { device });
    for (const stop of ['Lily', ' little girl', '. She', 'l']) {
      const text = await textOf(model, { prompt: [1], maxTokens: 60, stop: ['nothing of the kind', stop] });
      expect(text).toBe(golden.slice(0, golden.indexOf(stop)));
    }
    await model.close();
  });

  it('can be left, aborted and closed at any token; no block stays behind', async () => {
    const model = await openLanguageModel(bytesSource(file), { device });
    for (let leave = 1; leave < 6; leave++) {
      let seen = 0;
      for await (const token of model.generate({ prompt: 'Once upon', maxTokens: 50 })) {
        expect(token.token).toBeGreaterThan(0);
        if (++seen === leave) break;
      }
      const stopping = new AbortController();
      const aborted = (async () => {
        for await (const token of model.generate({ prompt: 'The', maxTokens: 50, signal: stopping.signal }))
          if (token.token > 0 && ++seen === 2 * leave) stopping.abort(new Error('enough'));
      })();
      await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
      expect(model.usage).toMatchObject({ running: 0, usedBlocks: 0 });
    }
    const open = textOf(model, { prompt: 'The', maxTokens: 100 });
    const closing = expect(open).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await model.close();
    await closing;
    expect(device.memory.inUse).toBe(0);
  });

  it('wait for whoever takes no tokens, give way to all others, and go on as if nothing had been', async () => {
    const model = await openLanguageModel(bytesSource(file), { device, blocks: 12 });
    const alone = await textOf(model, { prompt: [1], maxTokens: 150 });
    const other = await textOf(model, { prompt: 'Once', maxTokens: 190 });
    const before = model.usage.computedTokens;
    const slow = model.generate({ prompt: [1], maxTokens: 150 });
    let text = (await slow.next()).value!.text;
    // Needs every block; is later, and waits for nobody.
    expect(await textOf(model, { prompt: 'Once', maxTokens: 190 })).toBe(other);
    expect(model.usage).toMatchObject({ running: 1, usedBlocks: 0, evictions: 0 });
    expect(model.usage.computedTokens - before).toBeLessThan(250);
    for await (const token of slow) text += token.text;
    expect(text).toBe(alone);
    const idle = model.generate({ prompt: [1], maxTokens: 150 });
    await idle.next();
    while (model.usage.usedBlocks < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    // So does a text that is scored.
    expect(await model.score(model.tokenizer.encode(golden).slice(0, 190))).toHaveLength(189);
    await idle.return(undefined);
    expect(model.usage).toMatchObject({ running: 0, usedBlocks: 0 });
    await model.close();
  });

  it('carry log-probabilities and usage when asked', async () => {
    const model = await openLanguageModel(bytesSource(file), { device });
    const tokens = [];
    for await (const token of model.generate({ prompt: [1], maxTokens: 20, logprobs: true, topLogprobs: 3 }))
      tokens.push(token);
    for (const { token, logprob, topLogprobs } of tokens) {
      expect(topLogprobs).toHaveLength(3);
      expect(topLogprobs![0]).toEqual({ token, logprob });
    }
    expect(tokens.at(-1)).toMatchObject({ finish: 'length', usage: { promptTokens: 1, completionTokens: 20 } });
    await expect(textOf(model, { prompt: 'a', topLogprobs: 21 })).rejects.toThrow(/topLogprobs is 21/);
    await expect(textOf(model, {})).rejects.toThrow(/either a prompt or messages/);
    expect(await textOf(model, { messages: [{ role: 'user', content: 'Once upon' }], maxTokens: 9 })).toBe(
      await textOf(model, { prompt: 'Once upon', maxTokens: 9 }),
    );
    await model.close();
  });

  it('are refused when they make no sense', async () => {
    const model = await openLanguageModel(bytesSource(file), { device, context: 64, blocks: 2 });
    const message = (options: GenerateOptions): Promise<unknown> => textOf(model, options).then(String, String);
    expect(await message({ prompt: [] })).toMatch(/prompt has 0 tokens; this model takes 1 \.\. 63/);
    expect(await message({ prompt: 'a b '.repeat(60) })).toMatch(/prompt has \d+ tokens/);
    expect(await message({ prompt: [1, 512] })).toMatch(/prompt\[1\] is 512, not a token/);
    expect(await message({ prompt: 'a', temperature: -1 })).toMatch(/temperature is -1; it must be in 0 \.\. 100/);
    expect(await message({ prompt: 'a', maxTokens: 0 })).toMatch(/maxTokens is 0/);
    expect(await message({ prompt: 'a', maxTokens: 60 })).toMatch(/needs more than the pool's 2 blocks of 16/);
    expect(model.usage).toMatchObject({ running: 0, usedBlocks: 0 });
    await model.close();
  });
});
