/**
 * A language model that serves many requests at once: iterations of a decoder over a paged pool of keys and values, shared prefixes computed once,
 * tokens handed out as they come.
 */
import type { Device, LongCallOptions } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import type { ByteSource } from '../byte-source.js';
import { createBlockPool } from '../kv/block-pool.js';
import { createKvMemory, type KvPlan } from '../kv/kv-memory.js';
import { createKvStore, type KvStorage } from '../kv/kv-store.js';
import type { DecoderConfig } from '../model/decoder-config.js';
import { loadDecoderWeights, type WeightStash } from '../model/decoder-weights.js';
import { createDecoder } from '../model/decoder.js';
import { openGguf, type ModelFile } from '../model/model-file.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { createBatchLoop } from '../batching/batch-loop.js';
import type { LoopWatch } from '../batching/loop-watch.js';
import { chatRenderer, promptTokens } from './chat-prompt.js';
import { embedTokens } from './embedding.js';
import { checkRequest } from './check-request.js';
import { startGeneration, type Generation, type GenerationRoom } from './generation.js';
import { createResponseMasks } from '../sampling/response-mask.js';
import type { TokenMask } from '../sampling/sampler.js';
import { scoreTokens } from './score.js';
import { decodeSnapshot, encodeSnapshot, shapeOf } from './snapshot.js';
import type { EngineUsage, TextChunk, TextEngine, TextRequest } from './text-engine.js';

export interface LanguageModelOptions extends LongCallOptions {
  readonly device: Device;
  /** Most tokens of a sequence. Default: what the model was trained for. */
  readonly context?: number;
  /** Tokens in a block of keys and values. Default 16. */
  readonly blockSize?: number;
  /** Blocks in the pool at first. Default: for four sequences of the whole context. */
  readonly blocks?: number;
  /** To how many it may grow while requests run, as far as the device has room. Default: `blocks`. */
  readonly mostBlocks?: number;
  /** How keys and values are packed: 'f32' (default), 'f16', 'int8', 'int4', or one of them for each layer. */
  readonly kv?: KvPlan;
  /** Weights that `park` of the same model gave, which are then not read from the file. */
  readonly stash?: WeightStash;
  /** Bytes of host memory for keys and values of requests that had to make room. Default 256 MiB. */
  readonly hostBytes?: number;
  /** Where they go beyond that: `fileKvStorage` or `browserKvStorage`. */
  readonly storage?: KvStorage;
  /** Most tokens in an iteration: prompts are computed in chunks of this size. Default 64. */
  readonly batchTokens?: number;
  /** Most sequences in an iteration. Default 16. */
  readonly batchSequences?: number;
  /** Told of iterations, and asked who makes room, by whoever schedules several engines. */
  readonly watch?: LoopWatch;
}

export interface GenerateOptions extends TextRequest {
  /** Which tokens may come next, instead of `responseFormat`; for one request only. */
  readonly mask?: TokenMask;
  /** Blocks that have to be free before it begins, and are its own from then on. Default 0: it takes what it needs as it goes. */
  readonly reserveBlocks?: number;
  /** What is known of the answer already, from an engine that died: it goes on behind that, and its reader gets what follows. */
  readonly answered?: readonly Omit<GeneratedToken, 'text'>[];
}

/** A chunk that is always one token. */
export interface GeneratedToken extends TextChunk {
  readonly token: number;
}

export interface ModelUsage extends Required<Omit<EngineUsage, 'waiting'>> {
  /** Requests whose keys and values were kept elsewhere when they had to make room, and those that came back. */
  readonly keptSequences: number;
  readonly restoredSequences: number;
  /** Blocks set aside for requests that do not hold them yet, and blocks that are kept only for what they hold. */
  readonly reservedBlocks: number;
  readonly idleBlocks: number;
  /** Bytes of a block, all layers. */
  readonly blockBytes: number;
  /** Bytes a second between device and host, as measured. */
  readonly movingBytesPerSecond: number;
  /** Bytes of keys and values in host memory and in storage. */
  readonly hostBytes: number;
  readonly storedBytes: number;
}

export interface LanguageModel extends TextEngine {
  readonly config: DecoderConfig;
  readonly tokenizer: Tokenizer;
  readonly context: number;
  /** `running` are the requests under way, `reusedTokens` the prompt tokens that were found in the pool instead of being computed. */
  readonly usage: ModelUsage;
  /** Bytes of weights on the device. */
  readonly weightBytes: number;
  /**
   * Tokens as they come. Leaving the loop, or the signal, ends the request and frees its blocks. Who takes no tokens gets no further ones computed, and is the first to give blocks back.
   * @throws TuttiError INPUT_INVALID for a prompt that leaves no room in the context or holds unknown tokens; OPTION_INVALID; ABORTED; DeviceLostError
   */
  generate(options: GenerateOptions): AsyncGenerator<GeneratedToken, void, undefined>;
  /** The same, with a handle to pause it or to move it to another engine. Whoever takes it reads it or ends it. */
  open(options: GenerateOptions): Promise<Generation>;
  /**
   * Continues what `detach` of another engine gave away; `options` says what cannot be sent, as a signal. With `repack`, keys and values that are packed
   * in another way are packed again; without, the answer is the one that the other engine would have given, to the token.
   * @throws TuttiError INPUT_INVALID for damaged bytes, or when model, block size or (without `repack`) plan differ
   */
  adopt(
    snapshot: Uint8Array,
    options?: Pick<GenerateOptions, 'signal' | 'priority' | 'mask'> & { readonly repack?: boolean },
  ): Generation;
  /** How much of a prompt is in the pool: tokens, and those of them that requests run on. */
  cached(tokens: readonly number[]): { readonly tokens: number; readonly pinned: number };
  /** Natural logarithms of the probabilities of a text's tokens but the first. @throws TuttiError INPUT_INVALID, ABORTED */
  score(text: string | readonly number[], options?: { readonly signal?: AbortSignal }): Promise<Float64Array>;
  /**
   * Makes the pool larger or smaller while requests run; those that have to make room come back later.
   * @throws MemoryRefusedError when the device has no room for more; TuttiError LIMIT_EXCEEDED when more are set aside than there are to be
   */
  resizeKv(blocks: number): Promise<void>;
  /** Gives up to so many blocks that nobody holds back to the device, cached beginnings with them. Resolves with how many went. */
  trimKv(blocks: number): Promise<number>;
  /** Closes it, its weights kept in host memory: `stash` of `openLanguageModel` loads them again faster than the file. */
  park(): Promise<WeightStash>;
  [Symbol.asyncDispose](): Promise<void>;
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
  const mostBlocks = Math.max(blocks, whole('mostBlocks', options.mostBlocks ?? blocks));
  const limits = {
    rows: whole('batchTokens', options.batchTokens ?? 64, 65_535),
    sequences: whole('batchSequences', options.batchSequences ?? 16, 65_535),
    blockSize,
  };
  // One for each that runs, for each that waits, and what an iteration fills.
  const tailBlocks = 3 * limits.sequences + 2 * Math.ceil(limits.rows / blockSize) + 1;
  const render = chatRenderer(file);
  const masks = createResponseMasks(tokenizer);
  const weights = await loadDecoderWeights(device, file, options);
  let kv: ReturnType<typeof createKvMemory> | undefined;
  let decoder: ReturnType<typeof createDecoder>;
  try {
    kv = createKvMemory(device, config, { plan: options.kv ?? 'f32', blockSize, blocks, tailBlocks });
    decoder = createDecoder(device, config, weights, kv, { ...limits, context });
    await decoder.warmup();
  } catch (error) {
    kv?.release();
    weights.release();
    throw error;
  }

  const memory = kv;
  const pool = createBlockPool(blocks);
  const tails = createBlockPool(tailBlocks);
  const store = createKvStore({ hostBytes: options.hostBytes ?? 2 ** 28, storage: options.storage });
  const loop = createBatchLoop({ decoder, kv: memory, pool, tails, store, mostBlocks, limits, watch: options.watch });
  let closed = false;

  const closedError = (): TuttiError =>
    new TuttiError('DEVICE_CLOSED', `${config.name} was closed`, { where: config.name });

  const shape = shapeOf(config, memory.plan, blockSize);
  const generations: GenerationRoom = {
    ...{ loop, tokenizer, context, masks },
    encode: (rest) => encodeSnapshot({ shape, ...rest }),
  };
  const { between, freeIdle } = loop;
  const passes = { decoder, pool, tails, config, limits, context, between, freeIdle };

  function free(): void {
    decoder.release();
    memory.release();
    weights.release();
  }

  const model: LanguageModel = {
    name: config.name,
    config,
    tokenizer,
    context,
    chat: render !== undefined,
    weightBytes: weights.bytes,
    get usage() {
      const { reused, computed, evictions, kept, restored } = loop.counts;
      return {
        ...{ blocks: pool.blocks, usedBlocks: pool.used, running: loop.active, reusedTokens: reused },
        ...{ computedTokens: computed, evictions, keptSequences: kept, restoredSequences: restored },
        ...{ reservedBlocks: pool.reserved, idleBlocks: pool.idle, movingBytesPerSecond: loop.movingBytesPerSecond },
        ...{ blockBytes: memory.blockBytes, hostBytes: store.hostBytes, storedBytes: store.storedBytes },
      };
    },
    async open(options) {
      const tokens = await promptTokens(options, tokenizer, render);
      if (closed) throw closedError();
      checkRequest(options, tokens, config.vocabulary, context);
      const { answered, ...rest } = options;
      if (!answered || answered.length === 0) return startGeneration(generations, rest, tokens);
      const all = [...tokens, ...answered.map(({ token }) => token)];
      const origin = { prompt: tokens.length, taken: answered.length, ready: [...answered], computed: 0 };
      return startGeneration(generations, rest, all, origin);
    },
    cached: (tokens) => loop.cached(tokens),
    async *generate(options) {
      yield* await model.open(options);
    },
    adopt(bytes, { repack = false, ...options } = {}) {
      if (closed) throw closedError();
      const snapshot = decodeSnapshot(bytes, shape, repack);
      const all = { ...(snapshot.options as GenerateOptions), ...options };
      return startGeneration(generations, all, snapshot.tokens, snapshot);
    },
    async score(text, { signal } = {}) {
      if (closed) throw closedError();
      return scoreTokens(passes, typeof text === 'string' ? tokenizer.encode(text) : text, signal);
    },
    resizeKv: (blocks) => loop.resize(whole('blocks', blocks)),
    trimKv: (blocks) => loop.trim(whole('blocks', blocks)),
    async embed(texts, { signal } = {}) {
      if (closed) throw closedError();
      return embedTokens(
        passes,
        texts.map((text) => (typeof text === 'string' ? tokenizer.encode(text) : text)),
        signal,
      );
    },
    async park() {
      if (closed) throw closedError();
      closed = true;
      await loop.close(closedError());
      const stash = await weights.stash();
      free();
      return stash;
    },
    async close() {
      if (closed) return;
      closed = true;
      await loop.close(closedError());
      free();
    },
    [Symbol.asyncDispose]: () => model.close(),
  };
  return model;
}
