import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice, createWasmDevice, createWebGpuDevice } from '../../host/index.js';
import { bytesSource } from '../../host/llm/byte-source.js';
import { memorySink } from '../../host/llm/byte-sink.js';
import { openLanguageModel } from '../../host/llm/engine/engine.js';
import { convertModel } from '../../host/llm/model/convert-model.js';
import { openGguf, type ModelFile } from '../../host/llm/model/model-file.js';
import { openHuggingFaceFolder } from '../../host/llm/model/open-hugging-face.js';
import { expectedLogits, FAMILIES, familyFolder, relativeError } from './families.js';
import { referenceLogits } from './reference-decoder.js';

describe.each(FAMILIES)('%s', (family) => {
  let model: ModelFile;
  beforeAll(async () => {
    model = await openHuggingFaceFolder(familyFolder(family));
  });
  afterAll(() => model?.close());

  it('gives the logits of the reference, read from its folder and from the GGUF file made of it', async () => {
    const sink = memorySink();
    await convertModel(model, sink, { type: 'F32' });
    const converted = await openGguf(bytesSource(sink.bytes()));
    for (const expected of expectedLogits(family)) {
      expect(relativeError(await referenceLogits(model, expected.tokens), expected)).toBeLessThan(1e-5);
      expect(relativeError(await referenceLogits(converted, expected.tokens), expected)).toBeLessThan(1e-5);
    }
  });

  it('reads its tokenizer', async () => {
    const sample = JSON.parse(readFileSync(`${familyFolder(family)}/sample.json`, 'utf8')) as {
      text: string;
      ids: number[];
    };
    expect(model.tokenizer.encode(sample.text)).toEqual(sample.ids);
    expect(model.tokenizer.size).toBe(model.config.vocabulary);
    expect(model.tokenizer.eos).toBeTypeOf('number');
  });
});

const backends: Readonly<Record<string, () => Promise<Device>>> = {
  oracle: () => Promise.resolve(createOracleDevice()),
  'Wasm, 2 threads': () => createWasmDevice({ threads: 2 }),
  WebGPU: () => createWebGpuDevice(),
};

describe.each(Object.entries(backends))('on %s', (_, open) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device?.close());

  it.each(FAMILIES)('%s gives the probabilities of the reference', async (family) => {
    const file = await openHuggingFaceFolder(familyFolder(family));
    const model = await openLanguageModel(file, { device, batchTokens: 8, blockSize: 4 });
    for (const { tokens, logits, positions } of expectedLogits(family)) {
      const { vocabulary } = model.config;
      // Of the last positions: the first that is stored and the last.
      for (const position of new Set([0, positions - 1])) {
        const row = logits.subarray(position * vocabulary, (position + 1) * vocabulary);
        const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
        const prompt = tokens.slice(0, tokens.length - positions + 1 + position);
        for await (const { topLogprobs } of model.generate({ prompt, maxTokens: 1, logprobs: true, topLogprobs: 20 })) {
          expect(topLogprobs).toHaveLength(20);
          for (const { token, logprob } of topLogprobs!)
            expect(Math.abs(logprob - (row[token!]! - total)), `token ${token}`).toBeLessThan(1e-4);
        }
      }
    }
    await model.close();
    await file.close();
  });
});
