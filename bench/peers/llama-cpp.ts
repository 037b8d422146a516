/**
 * Files that our writer makes, in llama.cpp: `npm install --no-save node-llama-cpp`, then `node bench/run.mjs bench/peers/llama-cpp.ts [--from FOLDER]`.
 * FOLDER is where `node_modules/node-llama-cpp` lies, the repository unless it is named. With its binaries for all GPUs the package takes
 * 700 MB, so it is no dependency; it builds nothing and fetches nothing here.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fileSource } from '../../host/llm/byte-source.js';
import { fileSink } from '../../host/llm/byte-sink.js';
import { convertModel } from '../../host/llm/model/convert-model.js';
import { openGguf, type ModelFile } from '../../host/llm/model/model-file.js';
import { openHuggingFaceFolder } from '../../host/llm/model/open-hugging-face.js';
import { expectedLogits, FAMILIES, familyFolder } from '../../test/llm/families.js';

interface LlamaSequence {
  evaluate(tokens: readonly number[], options: { temperature: number }): AsyncIterable<number>;
  controlledEvaluate(
    tokens: readonly (number | [number, object])[],
  ): Promise<readonly ({ next: { probabilities: ReadonlyMap<number, number> } } | undefined)[]>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): LlamaSequence; dispose(): Promise<void> }>;
  tokenize(text: string): number[];
  detokenize(tokens: readonly number[]): string;
  dispose(): Promise<void>;
}
interface LlamaPackage {
  getLlama(options: object): Promise<{ loadModel(options: { modelPath: string }): Promise<LlamaModel> }>;
}

const from = process.argv.indexOf('--from');
const require = createRequire(join(resolve(from > 0 ? process.argv[from + 1]! : '.'), 'package.json'));
let entry: string;
try {
  entry = require.resolve('node-llama-cpp');
} catch {
  console.error(
    'node-llama-cpp is not installed there; npm install --no-save node-llama-cpp, or name its folder: --from FOLDER',
  );
  process.exit(1);
}
const { getLlama } = (await import(pathToFileURL(entry).href)) as LlamaPackage;
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const folder = mkdtempSync(join(tmpdir(), 'tutti-llama-cpp-'));
let failures = 0;
const say = (right: boolean, what: string): void => {
  if (!right) failures++;
  console.log(`${right ? 'ok  ' : 'FAIL'}  ${what}`);
};

async function written(model: ModelFile, type: 'F32' | 'F16' | 'Q8_0' | 'Q4_0'): Promise<string> {
  const path = join(folder, `${model.config.name}-${type}.gguf`);
  const sink = await fileSink(path);
  await convertModel(model, sink, { type });
  await sink.close(true);
  return path;
}

try {
  const stories = await openGguf(await fileSource('models/stories260k/stories260k-f32.gguf'));
  const greedy = readFileSync('models/stories260k/greedy.txt', 'utf8').trim();
  for (const type of ['F32', 'F16', 'Q8_0', 'Q4_0'] as const) {
    const model = await llama.loadModel({ modelPath: await written(stories, type) });
    const context = await model.createContext({ contextSize: 512, threads: 1 });
    const tokens: number[] = [];
    for await (const token of context.getSequence().evaluate([1], { temperature: 0 }))
      if (tokens.push(token) >= 200) break;
    const text = model.detokenize(tokens).trim();
    let same = 0;
    while (same < greedy.length && text[same] === greedy[same]) same++;
    say(
      type === 'F32' ? text === greedy : tokens.length === 200,
      `stories ${type}: ${same} of ${greedy.length} characters as expected`,
    );
    await context.dispose();
    await model.dispose();
  }

  for (const family of FAMILIES) {
    const file = await openHuggingFaceFolder(familyFolder(family));
    const model = await llama.loadModel({ modelPath: await written(file, 'F32') });
    const sample = JSON.parse(readFileSync(`${familyFolder(family)}/sample.json`, 'utf8')) as { text: string };
    const ours = file.tokenizer.encode(sample.text, { addBos: false });
    say(model.tokenize(sample.text).join() === ours.join(), `${family}: same tokens`);
    // It has no window for Llama's architecture, which Mistral's files are of, and knows one pattern of windows for Gemma 3.
    const comparable = family === 'mistral' || family === 'gemma3' ? 1 : 3;
    for (const { tokens, logits, positions } of expectedLogits(family).slice(0, comparable)) {
      const context = await model.createContext({ contextSize: 64, threads: 1, flashAttention: false });
      const last = tokens.length - 1;
      const found = await context
        .getSequence()
        .controlledEvaluate(
          tokens.map((token, k) => (k === last ? [token, { generateNext: { probabilities: true } }] : token)),
        );
      const row = logits.subarray((positions - 1) * file.config.vocabulary);
      const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
      let worst = 0;
      for (const [token, probability] of found.at(-1)!.next.probabilities)
        worst = Math.max(worst, Math.abs(probability - Math.exp(row[token]!) / total));
      // Its keys and values are halves.
      say(worst < 5e-4, `${family}: probabilities behind ${tokens.length} tokens within ${worst.toExponential(1)}`);
      await context.dispose();
    }
    await model.dispose();
    await file.close();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failures > 0 ? 1 : 0);
