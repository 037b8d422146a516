/** The engine over node-llama-cpp, with a package in its place that says letters: token n is the n-th byte, 0 ends. */
import { describe, expect, it } from 'vitest';
import { openLlamaCpp, type LlamaCppPackage } from './llama-cpp.js';
import type { TextChunk, TextEngine, TextRequest } from '../engine/text-engine.js';

interface Seen {
  sequences: number;
  disposed: string[];
  options: Record<string, unknown>[];
}

/** Repeats `answer` for ever, or ends it with a 0. */
function letters(answer: readonly number[], seen: Seen): LlamaCppPackage {
  const dispose = (what: string) => () => {
    seen.disposed.push(what);
    return Promise.resolve();
  };
  const model = {
    trainContextSize: 64,
    tokens: { bos: 1, bosString: '<s>', eosString: '</s>', shouldPrependBosToken: true },
    fileInfo: { metadata: { tokenizer: {} } },
    tokenize: (text: string) => [...new TextEncoder().encode(text)],
    detokenize: (tokens: readonly number[]) => new TextDecoder().decode(Uint8Array.from(tokens)),
    isEogToken: (token: number) => token === 0,
    createContext: async ({ sequences }: { sequences: number }) => {
      seen.sequences = sequences;
      return { dispose: dispose('context'), getSequence: sequence };
    },
    createEmbeddingContext: async () => ({
      dispose: dispose('embeddings'),
      getEmbeddingFor: async (input: string | readonly number[]) => ({ vector: [3, input.length, 0] }),
    }),
    dispose: dispose('model'),
  };
  const sequence = () => {
    const state = {
      nextTokenIndex: 0,
      async adaptStateToTokens(tokens: readonly number[]) {
        state.nextTokenIndex = Math.min(state.nextTokenIndex, tokens.length);
      },
      async *evaluate(tokens: readonly number[], options: object) {
        seen.options.push(options as Record<string, unknown>);
        state.nextTokenIndex += tokens.length;
        for (let k = 0; ; k++) {
          await new Promise((resolve) => setImmediate(resolve));
          yield answer[k % answer.length]!;
        }
      },
    };
    return state;
  };
  return {
    TokenBias: {
      for: () => {
        const set = new Map<number, object>();
        return { set: (token, bias) => set.set(token, bias) };
      },
    },
    LlamaGrammarEvaluationState: class {
      readonly of: object;
      constructor(of: object) {
        this.of = of;
      }
    },
    getLlama: async () => ({
      loadModel: async ({ modelPath }) => {
        if (modelPath.includes('broken')) throw new Error('magic');
        return model;
      },
      createGrammarForJsonSchema: async (schema) => ({ schema }),
      getGrammarFor: async (name) => ({ name }),
      dispose: dispose('llama'),
    }),
  };
}

const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];

async function open(answer: readonly number[]): Promise<{ engine: TextEngine; seen: Seen }> {
  const seen: Seen = { sequences: 0, disposed: [], options: [] };
  const engine = await openLlamaCpp({ path: 'dir/tiny.gguf', sequences: 2, load: async () => letters(answer, seen) });
  return { engine, seen };
}
async function chunksOf(engine: TextEngine, request: TextRequest): Promise<TextChunk[]> {
  const chunks: TextChunk[] = [];
  for await (const chunk of engine.generate(request)) chunks.push(chunk);
  return chunks;
}
const textOf = (chunks: readonly TextChunk[]): string => chunks.map(({ text }) => text).join('');

describe('llama.cpp as an engine', () => {
  it('gives whole characters, and the end and the counts with the last token', async () => {
    const { engine } = await open([...bytes('né€🙂'), 0]);
    expect(engine).toMatchObject({ name: 'tiny', context: 64, chat: false });
    const chunks = await chunksOf(engine, { prompt: 'ab' });
    expect(textOf(chunks)).toBe('né€🙂');
    expect(chunks.at(-1)).toMatchObject({ finish: 'stop', usage: { promptTokens: 3, completionTokens: 11 } });
    expect(textOf(await chunksOf(engine, { messages: [{ role: 'user', content: 'x' }], maxTokens: 4 }))).toBe(
      'né\ufffd',
    );
    expect(textOf(await chunksOf(engine, { prompt: 'ab', stop: ['€'] }))).toBe('né');
    await engine.close();
  });

  it('hands out its sequences in turn, and takes them back from those who leave', async () => {
    const { engine, seen } = await open(bytes('ab'));
    const stopping = new AbortController();
    const first = engine.generate({ prompt: 'a', signal: stopping.signal });
    const second = engine.generate({ prompt: 'a' });
    await first.next();
    await second.next();
    const waiting = [5, 6, 7].map((maxTokens) => chunksOf(engine, { prompt: 'a', maxTokens }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(engine.usage).toEqual({ running: 2, waiting: 3 });
    stopping.abort();
    await expect(first.next()).rejects.toMatchObject({ code: 'ABORTED' });
    await second.return();
    expect((await Promise.all(waiting)).map((chunks) => chunks.length)).toEqual([5, 6, 7]);
    expect(engine.usage).toEqual({ running: 0, waiting: 0 });
    expect(seen.sequences).toBe(2);
    await engine.close();
    expect(seen.disposed).toEqual(['context', 'model', 'llama']);
    await expect(chunksOf(engine, { prompt: 'a' })).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
  });

  it('asks for grammars, embeds, and says what it cannot do', async () => {
    const { engine, seen } = await open(bytes('{}'));
    await chunksOf(engine, { prompt: 'a', maxTokens: 2, topK: 5, responseFormat: { type: 'json_object' } });
    expect(seen.options[0]).toMatchObject({ topK: 5, grammarEvaluationState: { of: { grammar: { name: 'json' } } } });
    const penalties = { frequencyPenalty: 0.5, presencePenalty: 1, logitBias: { 97: -100 } };
    await chunksOf(engine, { prompt: 'a', maxTokens: 3, ...penalties });
    const { repeatPenalty, tokenBias } = seen.options[1] as {
      repeatPenalty: { punishTokens(): number[] };
      tokenBias: { set(token: number, bias: object): Map<number, object> };
    };
    expect(repeatPenalty).toMatchObject({ penalty: 1, frequencyPenalty: 0.5, presencePenalty: 1 });
    expect(repeatPenalty.punishTokens()).toEqual([...bytes('{}'), ...bytes('{')]);
    expect([...tokenBias.set(0, {})][0]).toEqual([97, { logit: -100 }]);
    await expect(chunksOf(engine, { prompt: 'a', repetitionPenalty: 1.1, ...penalties })).rejects.toMatchObject({
      where: 'repetitionPenalty',
    });
    const { vectors, promptTokens } = await engine.embed(['abc', 'a']);
    expect(vectors.map((vector) => [...vector])).toEqual([
      [expect.closeTo(0.6), expect.closeTo(0.8), 0],
      [expect.closeTo(0.832, 3), expect.closeTo(0.5547, 3), 0],
    ]);
    expect(promptTokens).toBe(6);
    await expect(chunksOf(engine, { prompt: 'a', logprobs: true })).rejects.toMatchObject({
      code: 'KERNEL_UNSUPPORTED',
    });
    await expect(chunksOf(engine, { prompt: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await expect(chunksOf(engine, {})).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await engine.close();
    const broken = openLlamaCpp({ path: 'broken', load: async () => letters([0], seen) });
    await expect(broken).rejects.toMatchObject({ code: 'FILE_INVALID', message: /not taken by llama\.cpp \(magic\)/ });
  });
});
