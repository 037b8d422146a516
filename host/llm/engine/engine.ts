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
import { textStream, type Tokenizer } from '../tokenizer/tokenizer.js';
import { planIteration } from './plan-iteration.js';
import { createSampler, type Sampler, type SamplingOptions } from './sampler.js';

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

export interface GenerateOptions extends SamplingOptions {
  /** Text, or tokens as they are. */
  readonly prompt: string | readonly number[];
  /** Default: until the context is full. */
  readonly maxTokens?: number;
  /** Text that ends the answer; it is not part of it. */
  readonly stop?: readonly string[];
  /** Higher first. Default 0. */
  readonly priority?: number;
  readonly signal?: AbortSignal;
}

export type FinishReason = 'stop' | 'length';

export interface GeneratedToken {
  readonly token: number;
  /** What it adds to the text; empty while a character is incomplete. */
  readonly text: string;
  /** With the last token. */
  readonly finish?: FinishReason;
}

export interface ModelUsage {
  readonly blocks: number;
  /** Blocks that requests hold now. */
  readonly usedBlocks: number;
  readonly running: number;
  /** Prompt tokens that were found in the pool instead of being computed, since the start. */
  readonly reusedTokens: number;
  readonly computedTokens: number;
  /** Sequences that had to give their blocks back. */
  readonly evictions: number;
}

export interface LanguageModel {
  readonly config: DecoderConfig;
  readonly tokenizer: Tokenizer;
  /** Most tokens of a sequence. */
  readonly context: number;
  readonly usage: ModelUsage;
  /**
   * Tokens as they come. Leaving the loop, or the signal, ends the request and frees its blocks.
   * @throws TuttiError INPUT_INVALID for a prompt that leaves no room in the context or holds unknown tokens; OPTION_INVALID; ABORTED; DeviceLostError
   */
  generate(options: GenerateOptions): AsyncGenerator<GeneratedToken, void, undefined>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

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
  readonly ready: number[];
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
      request.ready.push(token);
      if (tokenizer.ends.has(token)) request.finish = 'stop';
      else if (request.tokens.length >= request.last) request.finish = 'length';
      if (request.finish) retire(request);
      request.wake();
    });
  }

  function retire(request: Request): void {
    if (!requests.delete(request.id)) return;
    giveBack(request);
    request.wake();
  }

  /** Iterates while there is anything to do. */
  function run(): void {
    looping ??= (async () => {
      try {
        while (requests.size > 0) await iterate();
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(String(error));
        for (const request of [...requests.values()]) {
          request.failure = failure;
          retire(request);
        }
      } finally {
        looping = undefined;
      }
    })();
  }

  function start(options: GenerateOptions): Request {
    if (closed) throw new TuttiError('DEVICE_CLOSED', `${config.name} was closed`, { where: config.name });
    const { prompt, priority = 0, maxTokens = Infinity } = options;
    const tokens = typeof prompt === 'string' ? tokenizer.encode(prompt) : [...prompt];
    const unknown = tokens.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < config.vocabulary));
    if (unknown >= 0)
      throw new TuttiError('INPUT_INVALID', `prompt[${unknown}] is ${tokens[unknown]}, not a token of the vocabulary`, {
        where: `prompt[${unknown}]`,
      });
    if (tokens.length === 0 || tokens.length >= context) {
      throw new TuttiError(
        'INPUT_INVALID',
        `the prompt has ${tokens.length} tokens; this model takes 1 .. ${context - 1} and answers in what is left of ${context}`,
        { where: 'prompt', facts: { tokens: tokens.length, context } },
      );
    }
    if (!(maxTokens >= 1))
      throw new TuttiError('OPTION_INVALID', `maxTokens is ${maxTokens}; it must be at least 1`, {
        where: 'maxTokens',
      });
    const request: Request = {
      ...{ id: nextId++, priority, sampler: createSampler(options), tokens },
      last: Math.min(context, tokens.length + maxTokens),
      ...{ computed: 0, blocks: [], contents: [], ready: [], finish: undefined, failure: undefined, wake: () => {} },
    };
    reuse(request);
    requests.set(request.id, request);
    return request;
  }

  const model: LanguageModel = {
    config,
    tokenizer,
    context,
    get usage() {
      return {
        ...{ blocks, usedBlocks: pool.used, running: requests.size, reusedTokens: counts.reused },
        ...{ computedTokens: counts.computed, evictions: counts.evictions },
      };
    },
    async *generate(options) {
      const { signal, stop = [] } = options;
      if (signal?.aborted) throw abortedError(signal, 'generation');
      const request = start(options);
      const abort = (): void => {
        request.failure = abortedError(signal!, 'generation');
        retire(request);
      };
      signal?.addEventListener('abort', abort, { once: true });
      const stream = textStream(tokenizer);
      // Text that may be the beginning of a stop string is held back.
      let held = '';
      try {
        run();
        for (let taken = 0; ;) {
          if (request.failure) throw request.failure;
          if (taken === request.ready.length) {
            if (request.finish) return;
            await new Promise<void>((resolve) => (request.wake = resolve));
            continue;
          }
          const token = request.ready[taken++]!;
          const finish = taken === request.ready.length ? request.finish : undefined;
          held += stream.next(token) + (finish ? stream.end() : '');
          const cut = Math.min(...stop.map((text) => held.indexOf(text)).filter((at) => at >= 0));
          if (cut !== Infinity) {
            yield { token, text: held.slice(0, cut), finish: 'stop' };
            return;
          }
          const keep = finish ? 0 : Math.max(0, ...stop.map((text) => overlap(held, text)));
          const text = held.slice(0, held.length - keep);
          held = held.slice(held.length - keep);
          yield { token, text, ...(finish && { finish }) };
        }
      } finally {
        signal?.removeEventListener('abort', abort);
        retire(request);
      }
    },
    async close() {
      if (closed) return;
      closed = true;
      for (const request of [...requests.values()]) {
        request.failure = new TuttiError('DEVICE_CLOSED', `${config.name} was closed`, { where: config.name });
        retire(request);
      }
      await looping;
      decoder.release();
      weights.release();
    },
    [Symbol.asyncDispose]: () => model.close(),
  };
  return model;
}

/** Length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
