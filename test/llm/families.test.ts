import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesSource } from '../../host/llm/byte-source.js';
import { memorySink } from '../../host/llm/byte-sink.js';
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
