/** One request and its reader: tokens as they come, made text; paused, moved and ended by whoever holds it. */
import { abortedError } from '../../errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { answerText } from './answer-text.js';
import type { KvWire } from '../kv/kv-memory.js';
import type { BatchLoop } from '../batching/batch-loop.js';
import type { ShortageAnswer } from '../batching/loop-watch.js';
import type { Sequence, SequenceHoldings, SequenceInput } from '../batching/sequence.js';
import type { GeneratedToken, GenerateOptions } from './engine.js';
import {
  createSampler,
  logprobsOf,
  takesLikeliest,
  type SamplingOptions,
  type TokenMask,
} from '../sampling/sampler.js';
import type { Snapshot } from './snapshot.js';
import type { FinishReason } from './text-engine.js';

export interface Generation extends AsyncIterable<GeneratedToken> {
  /** What it holds on the device; undefined when it has ended. */
  readonly holds: SequenceHoldings | undefined;
  /**
   * Frees its blocks, packed away where there is room and `keep` (default) says so; resolves when they are free. Tokens that are there can still be taken.
   */
  pause(options?: { readonly keep?: boolean }): Promise<void>;
  /** The same from within `LoopWatch.short`, where nothing of this engine can be waited for: part of the answer there. */
  giveWay(options?: { readonly keep?: boolean }): ShortageAnswer['leave'][number];
  /** Goes on after `pause`. */
  resume(): void;
  /** Sets so many blocks more aside for it, or fewer (negative). False, and nothing changed, when there are not so many. */
  reserve(blocks: number): boolean;
  /**
   * Ends it here, for its reader too, and gives it away as bytes, which `adopt` of an engine of the same model, plan and block size continues, to the token.
   * @throws TuttiError INPUT_INVALID when it has ended
   */
  detach(): Promise<Uint8Array>;
  /**
   * A second answer that goes on from here with options of its own (a seed, most often): the prompt and what was answered so far, read or not, are not
   * computed again.
   * @throws TuttiError INPUT_INVALID when it has ended, OPTION_INVALID
   */
  fork(options?: SamplingOptions & { readonly signal?: AbortSignal }): Promise<Generation>;
  /** Ends it and frees what it holds. */
  end(): void;
}

/** Tokens that are computed before anyone takes them, and how few are left of them when computing goes on. */
const MOST_AHEAD = 32;
const FEW_AHEAD = 8;

export interface GenerationRoom {
  readonly loop: BatchLoop;
  readonly tokenizer: Tokenizer;
  readonly context: number;
  masks(options: GenerateOptions): TokenMask | undefined;
  /** Bytes of what `detach` gives. */
  encode(rest: Omit<Snapshot, 'shape'>): Uint8Array;
}

/** What there was of it elsewhere. */
export interface Origin extends Omit<Snapshot, 'shape' | 'options' | 'wire' | 'tokens'> {
  /** Missing where the sequence that it forks from is on the same device. */
  readonly wire?: KvWire;
}

/** Starts it; `from` is what another engine had of it. @throws TuttiError OPTION_INVALID, ABORTED */
export function startGeneration(
  room: GenerationRoom,
  options: GenerateOptions,
  given: readonly number[],
  from?: Origin,
): Generation {
  const { loop, tokenizer, context } = room;
  const { signal, stop = [], priority = 0, maxTokens = Infinity, logprobs = false, topLogprobs = 0 } = options;
  if (signal?.aborted) throw abortedError(signal, 'generation');
  const tokens = [...given];
  const prompt = from?.prompt ?? tokens.length;
  const last = Math.min(context, prompt + maxTokens);
  const top = logprobs || topLogprobs > 0 ? topLogprobs : undefined;
  const mask = options.mask ?? room.masks(options);
  const sampler = createSampler(options, mask);
  const greedy = takesLikeliest(options) && !mask && top === undefined;
  const answer = answerText(tokenizer, stop);
  const ready: Omit<GeneratedToken, 'text'>[] = [];
  let taken = 0;
  let finish: FinishReason | undefined;
  let failure: Error | undefined;
  let wake = (): void => {};
  if (from) {
    sampler.replay(tokens.slice(prompt));
    ready.push(...(from.ready as unknown as typeof ready));
    for (; taken < from.taken; taken++) answer.next(ready[taken]!.token, false);
  }
  const input: SequenceInput = {
    ...{ tokens, priority, reserve: options.reserveBlocks ?? 0 },
    ...(from?.wire && { adopted: { computed: from.computed, wire: from.wire } }),
    greedy,
    output(after) {
      let token: number;
      try {
        token = 'best' in after ? after.best : sampler.next(after.logits, tokens);
      } catch (error) {
        // A mask that lets nothing follow ends its own request and no other.
        failure = error instanceof Error ? error : new Error(String(error));
        wake();
        return 'end';
      }
      tokens.push(token);
      ready.push({
        token,
        ...(top !== undefined && 'logits' in after && logprobsOf(after.logits, token, top)),
      });
      if (tokenizer.ends.has(token) || sampler.done) finish = 'stop';
      else if (tokens.length >= last) finish = 'length';
      wake();
      if (finish) return 'end';
      return ready.length - taken < MOST_AHEAD ? 'next' : 'wait';
    },
    failed(error) {
      failure = error;
      wake();
    },
  };
  const sequence: Sequence = loop.add(input);
  let paused = false;
  let gone = false;
  const abort = (): void => {
    failure = abortedError(signal!, 'generation');
    end();
  };
  signal?.addEventListener('abort', abort, { once: true });
  function end(): void {
    signal?.removeEventListener('abort', abort);
    loop.remove(sequence);
    wake();
  }

  async function* read(): AsyncGenerator<GeneratedToken, void, undefined> {
    try {
      for (;;) {
        if (failure) throw failure;
        if (gone) return;
        if (taken === ready.length) {
          if (finish) return;
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        const next = ready[taken]!;
        taken++;
        if (!paused && ready.length - taken <= FEW_AHEAD) loop.goOn(sequence);
        const finished = taken === ready.length ? finish : undefined;
        const { text, stopped } = answer.next(next.token, finished !== undefined);
        if (stopped || finished) {
          const cachedTokens = Math.min(sequence.reused, prompt);
          const usage = { promptTokens: prompt, completionTokens: taken, cachedTokens };
          yield { ...next, text, finish: stopped ? 'stop' : finished!, usage };
          return;
        }
        yield { ...next, text };
      }
    } finally {
      end();
    }
  }

  return {
    [Symbol.asyncIterator]: read,
    get holds() {
      return loop.holds(sequence);
    },
    async pause({ keep = true } = {}) {
      paused = true;
      await loop.pause(sequence, keep);
    },
    giveWay({ keep = true } = {}) {
      paused = true;
      return { sequence, keep };
    },
    resume() {
      paused = false;
      loop.goOn(sequence);
    },
    reserve: (blocks) => loop.reserve(sequence, blocks),
    async detach() {
      paused = true;
      const { computed, wire } = await loop.detach(sequence);
      gone = true;
      wake();
      // What cannot be sent is left out, and so is the prompt, which is in the tokens.
      const plain = { ...options, signal: undefined, mask: undefined, prompt: undefined, messages: undefined };
      return room.encode({ options: plain, tokens, prompt, taken, ready, computed, wire });
    },
    fork(changes = {}) {
      // A mask of the caller's and a signal are for one request.
      const own: Record<string, unknown> = { ...options };
      delete own['mask'];
      delete own['signal'];
      return loop.fork(sequence, (attach) =>
        startGeneration({ ...room, loop: { ...loop, add: attach } }, { ...own, ...changes }, tokens, {
          ...{ prompt, taken, ready: ready.slice(), computed: 0 },
        }),
      );
    },
    end() {
      // Its reader, if it waits, comes to an end as well.
      gone = true;
      end();
    },
  };
}
