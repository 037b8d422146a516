/**
 * A language model that serves many requests at once: iterations of a decoder over a paged pool of keys and values, shared prefixes computed once,
 * tokens handed out as they come.
 */
import type { Device, LongCallOptions } from '../../device/device.js';
import { abortedError, TuttiError } from '../../errors.js';
import type { ByteSource } from '../byte-source.js';
import { createBlockPool } from '../kv/block-pool.js';
import type { DecoderConfig } from '../model/decoder-config.js';
import { loadDecoderWeights } from '../model/decoder-weights.js';
import { createDecoder, type DecoderBatch } from '../model/decoder.js';
import { openGguf, type ModelFile } from '../model/model-file.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { answerText } from './answer-text.js';
import { chatRenderer, promptTokens } from './chat-prompt.js';
import { embedTokens } from './embedding.js';
import { checkRequest } from './check-request.js';
import { planIteration } from './plan-iteration.js';
import { createResponseMasks } from './response-mask.js';
import { createSampler, logprobsOf, type Sampler, type TokenMask } from './sampler.js';
import type { EngineUsage, FinishReason, TextChunk, TextEngine, TextRequest } from './text-engine.js';
import { nextTurn } from './turn.js';

export interface LanguageModelOptions extends LongCallOptions {
  readonly device: Device;
  /** Most tokens of a sequence. Default: what the model was trained for. */
  readonly context?: number;
  /** Tokens in a block of keys and values. Default 16. */
  readonly blockSize?: number;
  /** Blocks in the pool. Default: for four sequences of the whole context. */
  readonly blocks?: number;
  /** Most tokens in an iteration: prompts are computed in chunks of this size. Default 64. */
  readonly batchTokens?: number;
  /** Most sequences in an iteration. Default 16. */
  readonly batchSequences?: number;
}

export interface GenerateOptions extends TextRequest {
  /** Which tokens may come next, instead of `responseFormat`; for one request only. */
  readonly mask?: TokenMask;
}

/** A chunk that is always one token. */
export interface GeneratedToken extends TextChunk {
  readonly token: number;
}

export type ModelUsage = Required<Omit<EngineUsage, 'waiting'>>;

export interface LanguageModel extends TextEngine {
  readonly config: DecoderConfig;
  readonly tokenizer: Tokenizer;
  readonly context: number;
  /** `running` are the requests under way, `reusedTokens` the prompt tokens that were found in the pool instead of being computed. */
  readonly usage: ModelUsage;
  /**
   * Tokens as they come. Leaving the loop, or the signal, ends the request and frees its blocks. Who takes no tokens gets no further ones computed.
   * @throws TuttiError INPUT_INVALID for a prompt that leaves no room in the context or holds unknown tokens; OPTION_INVALID; ABORTED; DeviceLostError
   */
  generate(options: GenerateOptions): AsyncGenerator<GeneratedToken, void, undefined>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Tokens that are computed before anyone takes them, and how few are left of them when computing goes on. */
const MOST_AHEAD = 32;
const FEW_AHEAD = 8;

interface Request {
  readonly id: number;
  readonly priority: number;
  readonly sampler: Sampler;
  readonly last: number;
  readonly tokens: number[];
  computed: number;
  blocks: number[];
  /** What the blocks that were cached so far hold, by the pool's numbers: each stands for all tokens up to its end. */
  contents: number[];
  /** Length of the prompt, and how much of it was found in the pool at first. */
  readonly prompt: number;
  reused: number;
  readonly top: number | undefined;
  readonly ready: Omit<GeneratedToken, 'text'>[];
  /** How many of `ready` were taken. */
  taken: number;
  finish: FinishReason | undefined;
  failure: Error | undefined;
  wake: () => void;
}

/**
 * Opens a model file on a device.
 * @throws TuttiError FILE_INVALID, OPTION_INVALID, ABORTED; MemoryRefusedError when weights and pool do not fit
 */
export async function openLanguageModel(
  source: ByteSource | ModelFile,
  options: LanguageModelOptions,
): Promise<LanguageModel> {
  const { device } = options;
  const file = 'tensors' in source ? source : await openGguf(source);
  const { config, tokenizer } = file;
  const whole = (name: keyof LanguageModelOptions, value: number, most = 2 ** 24): number => {
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw new TuttiError('OPTION_INVALID', `${name} is ${value}; it must be a whole number in 1 .. ${most}`, {
      where: name,
    });
  };
  const context = whole('context', options.context ?? config.context, config.context);
  const blockSize = whole('blockSize', options.blockSize ?? 16, 1024);
  const blocksPerSequence = Math.ceil(context / blockSize);
  const blocks = whole('blocks', options.blocks ?? 4 * blocksPerSequence);
  const limits = {
    rows: whole('batchTokens', options.batchTokens ?? 64, 65_535),
    sequences: whole('batchSequences', options.batchSequences ?? 16, 65_535),
    blockSize,
  };
  const render = chatRenderer(file);
  const masks = createResponseMasks(tokenizer);
  const weights = await loadDecoderWeights(device, file, options);
  let decoder: ReturnType<typeof createDecoder>;
  try {
    decoder = createDecoder(device, config, weights, { ...limits, blocks, context });
    await decoder.warmup();
  } catch (error) {
    weights.release();
    throw error;
  }

  const pool = createBlockPool(blocks);
  const requests = new Map<number, Request>();
  /** Requests whose tokens nobody takes: without blocks, out of the plan. */
  const stalled = new Set<Request>();
  let nextId = 0;
  let looping: Promise<void> | undefined;
  let closed = false;
  const counts = { reused: 0, computed: 0, evictions: 0 };

  const keyOf = (request: Request, block: number): string => {
    const before = block === 0 ? '' : request.contents[block - 1]!;
    return `${before}/${request.tokens.slice(block * blockSize, (block + 1) * blockSize).join(',')}`;
  };

  /** Takes whole blocks that another request has computed already; the last token is computed in any case. */
  function reuse(request: Request): void {
    for (let block = 0; (block + 1) * blockSize < request.tokens.length; block++) {
      const found = pool.lookUp(keyOf(request, block));
      if (found === undefined) break;
      request.blocks.push(found.block);
      request.contents.push(found.content);
      request.computed += blockSize;
      request.reused += blockSize;
      counts.reused += blockSize;
    }
  }

  function giveBack(request: Request): void {
    // From the end, so that beginnings, which others are likelier to share, are dropped last.
    for (const block of request.blocks.reverse()) pool.release(block);
    request.blocks = [];
    request.contents = [];
    request.computed = 0;
  }

  async function iterate(): Promise<void> {
    const states = [...requests.values()].map((r) => ({
      ...{ id: r.id, priority: r.priority, arrival: r.id },
      ...{ tokens: r.tokens.length, computed: r.computed, blocks: r.blocks.length },
    }));
    const { steps, evicted } = planIteration(states, { ...limits, freeBlocks: pool.free });
    for (const id of evicted) {
      giveBack(requests.get(id)!);
      counts.evictions++;
    }
    const batch = {
      tokens: [] as number[],
      positions: [] as number[],
      sequences: [] as number[],
      slots: [] as number[],
    };
    const tables: number[][] = [];
    const outputs: number[] = [];
    const sampled: Request[] = [];
    const stepped: Request[] = [];
    for (const { id, rows, newBlocks } of steps) {
      const request = requests.get(id)!;
      const more = pool.allocate(newBlocks);
      if (!more) continue; // an evicted sequence shared its blocks; they are not free after all
      request.blocks.push(...more);
      for (let k = 0; k < rows; k++) {
        const position = request.computed + k;
        batch.tokens.push(request.tokens[position]!);
        batch.positions.push(position);
        batch.sequences.push(tables.length);
        batch.slots.push(request.blocks[Math.floor(position / blockSize)]! * blockSize + (position % blockSize));
      }
      tables.push(request.blocks.slice());
      request.computed += rows;
      stepped.push(request);
      if (request.computed === request.tokens.length) {
        outputs.push(batch.tokens.length - 1);
        sampled.push(request);
      }
    }
    if (stepped.length === 0) {
      // What was evicted was shared, and freed less than was counted on: plan again with what there is.
      if (evicted.length > 0) return;
      // Nobody can go on: the pool is too small for the one that comes first.
      const first = [...requests.values()].sort((a, b) => b.priority - a.priority || a.id - b.id)[0]!;
      first.failure = new TuttiError(
        'LIMIT_EXCEEDED',
        `a sequence of ${first.tokens.length} tokens needs more than the pool's ${blocks} blocks of ${blockSize}; open the model with more blocks`,
        { where: 'blocks', facts: { blocks, blockSize, tokens: first.tokens.length } },
      );
      retire(first);
      return;
    }
    counts.computed += batch.tokens.length;
    const logits = await decoder.run({
      tokens: Uint32Array.from(batch.tokens),
      positions: Uint32Array.from(batch.positions),
      sequences: Uint32Array.from(batch.sequences),
      slots: Uint32Array.from(batch.slots),
      outputs: Uint32Array.from(outputs),
      tables,
    } satisfies DecoderBatch);
    for (const request of stepped) {
      if (!requests.has(request.id)) continue;
      while ((request.contents.length + 1) * blockSize <= request.computed) {
        const block = request.contents.length;
        request.contents.push(pool.cache(request.blocks[block]!, keyOf(request, block)));
      }
    }
    sampled.forEach((request, k) => {
      if (!requests.has(request.id)) return;
      const row = logits.subarray(k * config.vocabulary, (k + 1) * config.vocabulary);
      const token = request.sampler.next(row, request.tokens);
      request.tokens.push(token);
      request.ready.push({ token, ...(request.top !== undefined && logprobsOf(row, token, request.top)) });
      if (tokenizer.ends.has(token) || request.sampler.done) request.finish = 'stop';
      else if (request.tokens.length >= request.last) request.finish = 'length';
      if (request.finish) retire(request);
      request.wake();
    });
  }

  function retire(request: Request): void {
    if (!requests.delete(request.id) && !stalled.delete(request)) return;
    giveBack(request);
    request.wake();
  }

  /** Sets those aside whose tokens are not taken; their whole blocks stay in the pool until others need them. */
  function setAside(): void {
    for (const request of requests.values()) {
      if (request.ready.length - request.taken < MOST_AHEAD) continue;
      requests.delete(request.id);
      giveBack(request);
      stalled.add(request);
    }
  }

  function goOn(request: Request): void {
    if (request.ready.length - request.taken > FEW_AHEAD || !stalled.delete(request)) return;
    reuse(request);
    requests.set(request.id, request);
    run();
  }

  function fail(failure: Error): void {
    for (const request of [...requests.values(), ...stalled]) {
      request.failure = failure;
      retire(request);
    }
  }

  /** Iterates while there is anything to do. */
  function run(): void {
    looping ??= (async () => {
      try {
        while (requests.size > 0) {
          await iterate();
          setAside();
          await nextTurn();
        }
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(String(error));
        fail(failure);
      } finally {
        looping = undefined;
      }
    })();
  }

  const closedError = (): TuttiError =>
    new TuttiError('DEVICE_CLOSED', `${config.name} was closed`, { where: config.name });

  function start(options: GenerateOptions, tokens: number[]): Request {
    if (closed) throw closedError();
    const { priority = 0, maxTokens = Infinity, logprobs = false, topLogprobs = 0 } = options;
    checkRequest(options, tokens, config.vocabulary, context);
    const request: Request = {
      ...{ id: nextId++, priority, sampler: createSampler(options, options.mask ?? masks(options)), tokens },
      ...{ prompt: tokens.length, last: Math.min(context, tokens.length + maxTokens), reused: 0 },
      top: logprobs || topLogprobs > 0 ? topLogprobs : undefined,
      ...{ computed: 0, blocks: [], contents: [], ready: [], taken: 0 },
      ...{ finish: undefined, failure: undefined, wake: () => {} },
    };
    reuse(request);
    requests.set(request.id, request);
    return request;
  }

  const model: LanguageModel = {
    name: config.name,
    config,
    tokenizer,
    context,
    chat: render !== undefined,
    get usage() {
      return {
        ...{ blocks, usedBlocks: pool.used, running: requests.size + stalled.size, reusedTokens: counts.reused },
        ...{ computedTokens: counts.computed, evictions: counts.evictions },
      };
    },
    async *generate(options) {
      const { signal, stop = [] } = options;
      const tokens = await promptTokens(options, tokenizer, render);
      if (signal?.aborted) throw abortedError(signal, 'generation');
      const request = start(options, tokens);
      const abort = (): void => {
        request.failure = abortedError(signal!, 'generation');
        retire(request);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const answer = answerText(tokenizer, stop);
      const { prompt } = request;
      const cachedTokens = Math.min(request.reused, prompt);
      try {
        run();
        for (;;) {
          if (request.failure) throw request.failure;
          if (request.taken === request.ready.length) {
            if (request.finish) return;
            await new Promise<void>((resolve) => (request.wake = resolve));
            continue;
          }
          const next = request.ready[request.taken]!;
          request.taken++;
          goOn(request);
          const finish = request.taken === request.ready.length ? request.finish : undefined;
          const { text, stopped } = answer.next(next.token, finish !== undefined);
          if (stopped || finish) {
            const usage = { promptTokens: prompt, completionTokens: request.taken, cachedTokens };
            yield { ...next, text, finish: stopped ? 'stop' : finish!, usage };
            return;
          }
          yield { ...next, text };
        }
      } finally {
        signal?.removeEventListener('abort', abort);
        retire(request);
      }
    },
    async embed(texts, { signal } = {}) {
      if (closed) throw closedError();
      return embedTokens(
        { decoder, pool, config, limits, context, settled: () => new Promise((resolve) => setTimeout(resolve, 5)) },
        texts.map((text) => (typeof text === 'string' ? tokenizer.encode(text) : text)),
        signal,
      );
    },
    async close() {
      if (closed) return;
      closed = true;
      fail(closedError());
      await looping;
      decoder.release();
      weights.release();
    },
    [Symbol.asyncDispose]: () => model.close(),
  };
  return model;
}
