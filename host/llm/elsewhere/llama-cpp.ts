/** llama.cpp as a text engine, through the optional package node-llama-cpp: native speed in Node, for the same GGUF files. */
import { abortedError, throwIfAborted, TuttiError } from '../../errors.js';
import { importOptional } from '../../node-import.js';
import { renderChat } from '../tokenizer/chat-template.js';
import { stopWatch } from '../engine/answer-text.js';
import { conversationOf } from '../engine/chat-prompt.js';
import type { TextChunk, TextEngine, TextRequest } from '../engine/text-engine.js';

/** What is used of node-llama-cpp. */
export interface LlamaCppPackage {
  getLlama(options?: Readonly<Record<string, unknown>>): Promise<Llama>;
  readonly TokenBias: { for(model: LlamaModel): { set(token: number, bias: { logit: number }): unknown } };
  readonly LlamaGrammarEvaluationState: new (options: { model: LlamaModel; grammar: object }) => object;
}
interface Llama {
  loadModel(options: { modelPath: string; gpuLayers?: number }): Promise<LlamaModel>;
  createGrammarForJsonSchema(schema: object): Promise<object>;
  getGrammarFor(name: string): Promise<object>;
  dispose(): Promise<void>;
}
interface LlamaModel {
  readonly trainContextSize: number;
  readonly tokens: {
    readonly bosString: string | null;
    readonly eosString: string | null;
    readonly bos: number | null;
    readonly shouldPrependBosToken: boolean;
  };
  readonly fileInfo: { readonly metadata: { readonly tokenizer?: { readonly chat_template?: string } } };
  tokenize(text: string, special?: boolean): number[];
  detokenize(tokens: readonly number[], special?: boolean, last?: readonly number[]): string;
  isEogToken(token: number): boolean;
  createContext(options: {
    sequences: number;
    contextSize: number;
    threads?: number | undefined;
  }): Promise<LlamaContext>;
  createEmbeddingContext(): Promise<LlamaEmbeddings>;
  dispose(): Promise<void>;
}
interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}
interface LlamaSequence {
  readonly nextTokenIndex: number;
  adaptStateToTokens(tokens: readonly number[], allowShift: boolean): Promise<void>;
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number, void>;
}
interface LlamaEmbeddings {
  getEmbeddingFor(input: string | readonly number[]): Promise<{ readonly vector: readonly number[] }>;
  dispose(): Promise<void>;
}

export interface LlamaCppOptions {
  /** GGUF file. */
  readonly path: string;
  /** Default: what the file says last of its path. */
  readonly name?: string;
  /** Most tokens of a sequence. Default: what the model was trained for. */
  readonly context?: number;
  /** Sequences at once; more requests wait. Default 4. */
  readonly sequences?: number;
  readonly threads?: number;
  /** Handed to `getLlama`. Default: no GPU, and no compiling of llama.cpp where no binary fits. */
  readonly llama?: Readonly<Record<string, unknown>>;
  /** Default: the installed package. */
  readonly load?: () => Promise<LlamaCppPackage>;
}

/** @throws TuttiError DEVICE_UNAVAILABLE when the package is not installed or has no binary; FILE_INVALID */
export async function openLlamaCpp(options: LlamaCppOptions): Promise<TextEngine> {
  const { path, threads, sequences = 4, llama: given = { gpu: false, build: 'never' } } = options;
  const name = options.name ?? path.replace(/^.*[/\\]/, '').replace(/\.gguf$/, '');
  const load = options.load ?? (() => importOptional<LlamaCppPackage>('node-llama-cpp', 'llama.cpp'));
  const pack = await load();
  const llama = await pack.getLlama(given).catch((cause: unknown) => {
    throw new TuttiError('DEVICE_UNAVAILABLE', 'node-llama-cpp has no binary for this machine; see its guide', {
      cause,
    });
  });
  let model: LlamaModel;
  try {
    model = await llama.loadModel({ modelPath: path });
  } catch (cause) {
    await llama.dispose();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError('FILE_INVALID', `${path} is not taken by llama.cpp (${why}); convert the model again`, {
      where: path,
      cause,
    });
  }
  const contextSize = options.context ?? model.trainContextSize;
  const context = await model.createContext({ sequences, contextSize, ...(threads !== undefined && { threads }) });
  const idle = Array.from({ length: sequences }, () => context.getSequence());
  const waiting: (() => void)[] = [];
  const template = model.fileInfo.metadata.tokenizer?.chat_template;
  let embeddings: Promise<LlamaEmbeddings> | undefined;
  let running = 0;
  let closed = false;

  async function tokensOf({ prompt, messages, tools }: TextRequest): Promise<number[]> {
    if ((prompt === undefined) === (messages === undefined))
      throw new TuttiError('INPUT_INVALID', 'a request has either a prompt or messages', { where: 'prompt' });
    if (prompt !== undefined && typeof prompt !== 'string') return [...prompt];
    const { bos, bosString, eosString, shouldPrependBosToken } = model.tokens;
    const conversation = messages && template !== undefined;
    const text = !messages
      ? (prompt as string)
      : template === undefined
        ? messages.map(({ content }) => content).join('\n')
        : await renderChat(template, {
            ...conversationOf(messages, tools),
            bos: bosString ?? '',
            eos: eosString ?? '',
          });
    const tokens = model.tokenize(text, conversation);
    if (shouldPrependBosToken && bos !== null && tokens[0] !== bos) tokens.unshift(bos);
    return tokens;
  }

  async function grammarOf({ responseFormat }: TextRequest): Promise<object | undefined> {
    if (!responseFormat || responseFormat.type === 'text') return undefined;
    if (responseFormat.type === 'json_object') return llama.getGrammarFor('json');
    try {
      return await llama.createGrammarForJsonSchema(responseFormat.schema);
    } catch (cause) {
      throw new TuttiError('OPTION_INVALID', 'llama.cpp does not take this schema; see its guide on JSON schemas', {
        where: 'responseFormat.schema',
        cause,
      });
    }
  }

  async function sequence(signal: AbortSignal | undefined): Promise<LlamaSequence> {
    while (idle.length === 0) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
      throwIfAborted(signal, 'generation');
      if (closed) throw closedError();
    }
    return idle.pop()!;
  }
  const closedError = (): TuttiError => new TuttiError('DEVICE_CLOSED', `${name} was closed`, { where: name });

  return {
    name,
    context: contextSize,
    chat: template !== undefined,
    get usage() {
      return { running, waiting: waiting.length };
    },
    async *generate(request): AsyncGenerator<TextChunk, void, undefined> {
      const { signal, stop = [], maxTokens = Infinity, temperature = 0, seed = 0, topLogprobs = 0 } = request;
      if (request.logprobs || topLogprobs > 0)
        throw new TuttiError('KERNEL_UNSUPPORTED', 'llama.cpp gives no log-probabilities here', { where: 'logprobs' });
      if (request.toolChoice !== undefined && request.toolChoice !== 'auto')
        throw new TuttiError('KERNEL_UNSUPPORTED', 'llama.cpp cannot be made to call a tool here', {
          where: 'toolChoice',
        });
      const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, logitBias = {} } = request;
      const penalised = frequencyPenalty !== 0 || presencePenalty !== 0;
      // It has one list of tokens for all: those seen, which one penalty is for, or those of the answer, which the others are for.
      if (penalised && repetitionPenalty !== 1)
        throw new TuttiError('KERNEL_UNSUPPORTED', 'llama.cpp takes repetitionPenalty or the other two, not both', {
          where: 'repetitionPenalty',
        });
      throwIfAborted(signal, 'generation');
      if (closed) throw closedError();
      const [tokens, grammar] = await Promise.all([tokensOf(request), grammarOf(request)]);
      if (tokens.length === 0 || tokens.length >= contextSize) {
        throw new TuttiError(
          'INPUT_INVALID',
          `the prompt has ${tokens.length} tokens; this model takes 1 .. ${contextSize - 1}`,
          {
            where: 'prompt',
            facts: { tokens: tokens.length, context: contextSize },
          },
        );
      }
      const own = await sequence(signal);
      running++;
      const watch = stopWatch(stop);
      const most = Math.min(maxTokens, contextSize - tokens.length);
      let count = 0;
      let pending: number[] = [];
      const said = [...tokens];
      const answered: number[] = [];
      const biases = Object.entries(logitBias);
      const tokenBias = biases.length > 0 ? pack.TokenBias.for(model) : undefined;
      for (const [token, logit] of biases) tokenBias!.set(Number(token), { logit });
      try {
        await own.adaptStateToTokens(tokens.slice(0, -1), false);
        const cachedTokens = own.nextTokenIndex;
        const answer = own.evaluate(tokens.slice(cachedTokens), {
          ...{ temperature, seed, topK: request.topK ?? 0, topP: request.topP ?? 1, minP: request.minP ?? 0 },
          ...(repetitionPenalty !== 1 && {
            repeatPenalty: { penalty: repetitionPenalty, punishTokens: () => said },
          }),
          ...(penalised && {
            repeatPenalty: {
              ...{ penalty: 1, frequencyPenalty, presencePenalty },
              ...{ punishTokens: () => answered, maxPunishTokens: contextSize },
            },
          }),
          ...(tokenBias && { tokenBias }),
          ...(grammar && { grammarEvaluationState: new pack.LlamaGrammarEvaluationState({ model, grammar }) }),
          yieldEogToken: true,
        });
        const usage = (): TextChunk['usage'] => ({
          promptTokens: tokens.length,
          completionTokens: count,
          cachedTokens,
        });
        for await (const token of answer) {
          if (signal?.aborted) throw abortedError(signal, 'generation');
          if (closed) throw closedError();
          count++;
          answered.push(token);
          const ends = model.isEogToken(token);
          const done = ends || count >= most;
          if (!ends) pending.push(token);
          let more = model.detokenize(pending, false, said.slice(-8));
          // A character whose bytes are still under way.
          if (!done && more.endsWith('\ufffd') && pending.length < 4) more = '';
          else {
            said.push(...pending);
            pending = [];
          }
          const { text, stopped } = watch(more, done);
          if (stopped || done) {
            yield { text, token, finish: stopped || ends ? 'stop' : 'length', usage: usage()! };
            return;
          }
          yield { text, token };
        }
        yield { text: watch('', true).text, finish: 'stop', usage: usage()! };
      } finally {
        running--;
        idle.push(own);
        waiting.shift()?.();
      }
    },
    async embed(texts, { signal } = {}) {
      if (closed) throw closedError();
      const room = await (embeddings ??= model.createEmbeddingContext());
      const vectors: Float32Array[] = [];
      let promptTokens = 0;
      for (const text of texts) {
        throwIfAborted(signal, 'embedding');
        const tokens = typeof text === 'string' ? await tokensOf({ prompt: text }) : text;
        promptTokens += tokens.length;
        const { vector } = await room.getEmbeddingFor(tokens);
        const length = Math.hypot(...vector) || 1;
        vectors.push(Float32Array.from(vector, (value) => value / length));
      }
      return { vectors, promptTokens };
    },
    async close() {
      if (closed) return;
      closed = true;
      for (const wake of waiting.splice(0)) wake();
      await (await embeddings)?.dispose();
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
