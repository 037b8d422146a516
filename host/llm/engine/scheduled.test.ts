/** What an engine offers to whoever schedules it: shortages, drops, answers that are known in part, memory that is given back. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWasmDevice } from '../../device/wasm.js';
import type { Device } from '../../device/device.js';
import type { BlockShortage, MeasuredIteration } from '../batching/loop-watch.js';
import { bytesSource } from '../byte-source.js';
import { openLanguageModel, type GeneratedToken, type LanguageModel, type LanguageModelOptions } from './engine.js';
import type { Generation } from './generation.js';

const file = bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf')));
let device: Device;
beforeAll(async () => {
  device = await createWasmDevice({ threads: 1 });
});
afterAll(() => device.close());

const open = (options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  openLanguageModel(file, { device, ...options });

async function all(answer: AsyncIterable<GeneratedToken>): Promise<GeneratedToken[]> {
  const list: GeneratedToken[] = [];
  for await (const token of answer) list.push(token);
  return list;
}
const textOf = (tokens: readonly GeneratedToken[]): string => tokens.map(({ text }) => text).join('');

it('goes on behind what is known of an answer, drawn tokens and stop texts included', async () => {
  await using model = await open();
  for (const options of [{}, { temperature: 0.9, seed: 5 }, { stop: ['play'] }]) {
    const asked = { prompt: 'Once upon a time', maxTokens: 60, ...options };
    const whole = await all(model.generate(asked));
    const known = whole.slice(0, 9);
    const rest = await all(await model.open({ ...asked, answered: known }));
    expect(textOf(known) + textOf(rest)).toBe(textOf(whole));
    expect(rest.at(-1)).toMatchObject({ finish: whole.at(-1)!.finish, usage: { completionTokens: whole.length } });
  }
  expect(model.usage.usedBlocks).toBe(0);
});

it('says what a prompt would find, gives up what nobody holds, and drops what is not to be kept', async () => {
  await using model = await open({ blocks: 64 });
  const tokens = model.tokenizer.encode(
    'Once upon a time there was a little girl who liked to play in the park with her dog.',
  );
  const generation = await model.open({ prompt: tokens, maxTokens: 40, reserveBlocks: 6 });
  const { blocks, reserved } = generation.holds!;
  expect(blocks + reserved).toBe(6);
  const reader = generation[Symbol.asyncIterator]();
  await reader.next();
  const whole = 16 * Math.floor((tokens.length - 1) / 16);
  expect(model.cached(tokens)).toEqual({ tokens: whole, pinned: whole });
  expect(model.usage.usedBlocks + model.usage.reservedBlocks).toBe(6);
  await generation.pause({ keep: false });
  expect(model.usage).toMatchObject({ usedBlocks: 0, reservedBlocks: 0, keptSequences: 0 });
  expect(model.cached(tokens)).toEqual({ tokens: whole, pinned: 0 });
  expect(await model.trimKv(1000)).toBe(63);
  expect(model.usage.blocks).toBe(1);
  generation.end();
  expect(await all({ [Symbol.asyncIterator]: () => reader })).toBeInstanceOf(Array);
});

it('asks who makes room, and takes who is named out until it goes on', async () => {
  const alone = await open({ blocks: 64 });
  const asked = ['Once upon a time', 'The big dog', 'Lily and Tom'].map((prompt) => ({ prompt, maxTokens: 120 }));
  const expected = await Promise.all(asked.map(async (each) => textOf(await all(alone.generate(each)))));
  await alone.close();
  const shortages: BlockShortage[] = [];
  const iterations: MeasuredIteration[] = [];
  const generations: Generation[] = [];
  const left: Generation[] = [];
  await using model = await open({
    blocks: 14,
    watch: {
      async short(shortage) {
        shortages.push(shortage);
        const last = generations.filter((each) => !left.includes(each) && each.holds?.resident).at(-1);
        if (shortage.outgrown === 0 || !last) return { grow: false, leave: [] };
        left.push(last);
        return { grow: false, leave: [last.giveWay({ keep: left.length === 1 })] };
      },
      measured: (iteration) => void iterations.push(iteration),
    },
  });
  for (const each of asked) generations.push(await model.open(each));
  const texts = await Promise.all(
    generations.map(async (each) => {
      const tokens: GeneratedToken[] = [];
      for await (const token of each) {
        tokens.push(token);
        if (token.finish) for (const other of left) other.resume();
      }
      return textOf(tokens);
    }),
  );
  expect(texts).toEqual(expected);
  expect(shortages.some(({ outgrown }) => outgrown > 0)).toBe(true);
  expect(model.usage).toMatchObject({ evictions: 0, usedBlocks: 0 });
  expect(iterations.reduce((sum, { prompt }) => sum + prompt, 0)).toBeGreaterThan(12);
  expect(iterations.every(({ seconds, context }) => seconds > 0 && context > 0)).toBe(true);
});
