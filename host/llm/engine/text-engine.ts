/**
 * What answers requests for text, whatever is behind it: a model on a device of ours, one in a worker, a server elsewhere. Everything that
 * crosses this interface is plain data, apart from signals.
 */
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { SamplingOptions } from '../sampling/sampler.js';

/** A call of a tool that an answer asks for. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text, as the model wrote it. */
  readonly arguments: string;
}

export interface ToolDefinition {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of the arguments. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  readonly name?: string;
  /** Of an assistant's message. */
  readonly toolCalls?: readonly ToolCall[];
  /** Of a tool's message: which call it answers. */
  readonly toolCallId?: string;
}

/** Holds an answer to JSON: any object, or what a schema describes (the subset is in docs/serving.md). */
export type ResponseFormat =
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | { readonly type: 'json_schema'; readonly schema: Readonly<Record<string, unknown>> };

/** How to answer, whatever to. */
export interface SamplingChoice extends SamplingOptions {
  /** Default: until the context is full. */
  readonly maxTokens?: number;
  /** Text that ends the answer; it is not part of it. */
  readonly stop?: readonly string[];
}

export interface TextRequest extends SamplingChoice {
  /** Text, or tokens as they are; either this or `messages`. */
  readonly prompt?: string | readonly number[];
  /** A conversation, made a prompt by the model's chat template; without a template, its contents one after the other. */
  readonly messages?: readonly ChatMessage[];
  /** Tools that the answer may call, shown to the model by its chat template. */
  readonly tools?: readonly ToolDefinition[];
  /** Whether a tool must be called. 'auto' (default): as the model sees fit. */
  readonly toolChoice?: 'auto' | 'required' | { readonly name: string };
  readonly responseFormat?: ResponseFormat;
  /** With each token, the logarithm of its probability before temperature, penalties and masks. */
  readonly logprobs?: boolean;
  /** With each token, so many of the likeliest at its place, 0 .. 20. Default 0. */
  readonly topLogprobs?: number;
  /** Higher first. Default 0. */
  readonly priority?: number;
  /** What the caller knows about the request (METADATA_FIELDS, and others of its own); an engine hands it on and reads nothing into it. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** What schedulers read of `metadata`; over HTTP also as headers, x-tutti-workflow to x-tutti-fan-out. */
export const METADATA_FIELDS = [
  ...['workflow', 'role', 'deadline', 'class', 'tenant', 'application', 'tool', 'fan_out'],
] as const;

export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface TokenLogprob {
  /** Missing where an engine says only the text. */
  readonly token?: number;
  readonly text?: string;
  readonly logprob: number;
}

export interface TokenUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that did not have to be computed. */
  readonly cachedTokens?: number;
}

export interface TextChunk {
  /** What it adds to the text; empty while a character is incomplete. */
  readonly text: string;
  /** The token, where the engine hands out each by itself. */
  readonly token?: number;
  readonly logprob?: number;
  readonly topLogprobs?: readonly TokenLogprob[];
  /** Whole calls, where the engine itself tells them from text. */
  readonly toolCalls?: readonly ToolCall[];
  /** With the last chunk. */
  readonly finish?: FinishReason;
  /** With the last chunk, where it is known. */
  readonly usage?: TokenUsage;
}

export interface EngineUsage {
  /** Requests under way. */
  readonly running: number;
  readonly waiting?: number;
  /** Blocks of keys and values: how many there are, and how many requests hold. */
  readonly blocks?: number;
  readonly usedBlocks?: number;
  readonly reusedTokens?: number;
  readonly computedTokens?: number;
  readonly evictions?: number;
}

export interface Embeddings {
  /** One for each text, of length 1. */
  readonly vectors: readonly Float32Array[];
  readonly promptTokens: number;
}

export interface TextEngine {
  readonly name: string;
  /** Most tokens of a prompt and its answer, where that is known. */
  readonly context: number | undefined;
  readonly tokenizer?: Tokenizer | undefined;
  /** Whether it knows how conversations are written; one that does not continues text. */
  readonly chat: boolean;
  readonly usage: EngineUsage;
  /**
   * The answer as it comes. Leaving the loop, or the signal, ends the request.
   * @throws TuttiError INPUT_INVALID, OPTION_INVALID; ABORTED; what the engine itself throws when it fails
   */
  generate(request: TextRequest): AsyncGenerator<TextChunk, void, undefined>;
  /** @throws TuttiError INPUT_INVALID; KERNEL_UNSUPPORTED where the engine has no embeddings; ABORTED */
  embed(
    texts: readonly (string | readonly number[])[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<Embeddings>;
  close(): Promise<void>;
}
