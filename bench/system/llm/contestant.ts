/** What is timed: a prompt of 64 tokens, then so many tokens after it, by ours and by llama.cpp, on files of the same weights. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createWasmDevice } from '../../../host/index.js';
import {
  convertModel,
  fileSink,
  fileSource,
  openGguf,
  openLanguageModel,
  randomModel,
  bytesSource,
  type LanguageModelOptions,
} from '../../../host/llm/index.js';

export const PROMPT = 64;

/** Tokens of a prompt, different ones for each `seed`, so that nothing is found in a cache. */
export const promptOf = (seed: number, vocabulary: number): number[] =>
  Array.from({ length: PROMPT }, (_, i) => 260 + ((i * 37 + seed * 101) % (vocabulary - 260)));

export interface Rates {
  /** Tokens per second: of the prompt, and of what follows. */
  readonly prefill: number;
  readonly decode: number;
  /** Milliseconds to the first token. */
  readonly first: number;
}

export interface Contestant {
  /** One request. */
  once(tokens: number): Promise<Rates>;
  /** Tokens per second of all together while so many requests decode at a time. */
  together(requests: number, tokens: number): Promise<number>;
  close(): Promise<void>;
}

export type Shape = '260k' | '15m' | '110m';

const folder = (): string => mkdtempSync(join(tmpdir(), 'tutti-bench-'));
const made = new Map<string, string>();

/** A GGUF v3 file of a shape, made once a run. */
export async function fileOf(shape: Shape, type: 'Q8_0' | 'Q4_0' | 'F32'): Promise<string> {
  const key = `${shape}-${type}`;
  const found = made.get(key);
  if (found) return found;
  const path = join(folder(), `${key}.gguf`);
  const model =
    shape === '260k'
      ? await openGguf(bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'))))
      : randomModel(shape, { seed: 1 });
  const sink = await fileSink(path);
  await convertModel(model, sink, { type });
  await sink.close(true);
  made.set(key, path);
  return path;
}

/** Runs requests one after the other, or at once, and times their tokens. */
export function timed(start: (seed: number, tokens: number) => AsyncIterable<unknown>): Omit<Contestant, 'close'> {
  let seed = 0;
  return {
    async once(tokens) {
      const begun = performance.now();
      let first = 0;
      let count = 0;
      const reading = start(seed++, tokens)[Symbol.asyncIterator]();
      while (!(await reading.next()).done) if (count++ === 0) first = performance.now();
      const end = performance.now();
      return {
        prefill: (1000 * PROMPT) / (first - begun),
        decode: (1000 * (count - 1)) / (end - first),
        first: first - begun,
      };
    },
    async together(requests, tokens) {
      const times = await Promise.all(
        Array.from({ length: requests }, async () => {
          const own: number[] = [];
          const reading = start(seed++, tokens)[Symbol.asyncIterator]();
          while (!(await reading.next()).done) own.push(performance.now());
          return own;
        }),
      );
      // From when all prompts are through until the first answer ends: as long as all of them decode together.
      const from = Math.max(...times.map((own) => own[0]!));
      const to = Math.min(...times.map((own) => own.at(-1)!));
      if (to <= from) throw new Error(`${tokens} tokens are too few for ${requests} requests to decode together`);
      const count = times.flat().filter((at) => at > from && at <= to).length;
      return (1000 * count) / (to - from);
    },
  };
}

export interface Ours extends Contestant {
  readonly bytes: number;
  readonly loadSeconds: number;
  /** The likeliest tokens behind a prompt. */
  greedy(prompt: readonly number[], tokens: number): Promise<number[]>;
}

export async function ours(file: string, threads: number, options: Partial<LanguageModelOptions> = {}): Promise<Ours> {
  const device = await createWasmDevice({ threads, memoryBudget: 2 ** 31 });
  const begun = performance.now();
  const source = await fileSource(file);
  const model = await openLanguageModel(source, {
    ...{ device, context: 256, batchTokens: 64, batchSequences: 32, blocks: 600 },
    ...options,
  });
  const loadSeconds = (performance.now() - begun) / 1000;
  const start = (seed: number, maxTokens: number): AsyncIterable<unknown> =>
    model.generate({ prompt: promptOf(seed, model.config.vocabulary), maxTokens, stop: [] });
  return {
    ...timed(start),
    ...{ bytes: device.memory.inUse, loadSeconds },
    async greedy(prompt, maxTokens) {
      const found: number[] = [];
      for await (const { token } of model.generate({ prompt, maxTokens, stop: [] })) found.push(token);
      return found;
    },
    async close() {
      await model.close();
      await source.close();
      await device.close();
    },
  };
}

interface LlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          evaluate(tokens: number[], options: object): AsyncGenerator<unknown>;
          dispose(): void;
        };
        dispose(): Promise<void>;
      }>;
      dispose(): Promise<void>;
    }>;
    dispose(): Promise<void>;
  }>;
}

/** A module of a peer: from the folder that TUTTI_PEERS names, or of this project. Undefined where it is not installed. */
export function peerPath(name: string): string | undefined {
  const from = resolve(process.env['TUTTI_PEERS'] ?? '.', 'package.json');
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** llama.cpp as node-llama-cpp brings it, on the processor alone. */
export async function llamaCpp(file: string, threads: number, vocabulary: number): Promise<Contestant | undefined> {
  const path = peerPath('node-llama-cpp');
  if (!path) return undefined;
  const { getLlama } = (await import(pathToFileURL(path).href)) as LlamaCpp;
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: 256, batchSize: 512, threads, sequences: 32 });
  async function* start(seed: number, tokens: number): AsyncGenerator<unknown> {
    const sequence = context.getSequence();
    try {
      let count = 0;
      for await (const token of sequence.evaluate(promptOf(seed, vocabulary), { temperature: 0 })) {
        yield token;
        if (++count === tokens) return;
      }
    } finally {
      sequence.dispose();
    }
  }
  return {
    ...timed(start),
    async close() {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
