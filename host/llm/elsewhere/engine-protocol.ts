/**
 * What the two sides of an engine in a worker say to each other. Chunks go out only against credit that the reader gives, so that an answer
 * which nobody reads stops where it is. Names of messages differ from those of remote devices: both may use one port.
 */
import type { WireError } from '../../device/remote-protocol.js';
import type { Embeddings, EngineUsage, TextChunk, TextRequest } from '../engine/text-engine.js';

/** Chunks that may be on their way to the reader, and after how many it grants more. */
export const CREDIT = 32;
export const CREDIT_STEP = 16;

export type WireRequest = Omit<TextRequest, 'signal'>;

export type EngineClientMessage =
  /** Sent when the client starts and again when it hears `engine hello`: whichever side is up last, one of them arrives. */
  | { readonly kind: 'engine open' }
  | { readonly kind: 'engine generate'; readonly ask: number; readonly request: WireRequest }
  | { readonly kind: 'engine credit'; readonly ask: number; readonly chunks: number }
  | { readonly kind: 'engine embed'; readonly ask: number; readonly texts: readonly (string | readonly number[])[] }
  | { readonly kind: 'engine stop'; readonly ask: number }
  | { readonly kind: 'engine close' };

export type EngineServerMessage =
  | { readonly kind: 'engine hello' }
  | {
      readonly kind: 'engine ready';
      readonly name: string;
      readonly context: number | undefined;
      readonly chat: boolean;
      readonly usage: EngineUsage;
    }
  | { readonly kind: 'engine unavailable'; readonly error: WireError }
  | {
      readonly kind: 'engine chunks';
      readonly ask: number;
      readonly chunks: readonly TextChunk[];
      readonly usage: EngineUsage;
    }
  | { readonly kind: 'engine done'; readonly ask: number; readonly usage: EngineUsage }
  | { readonly kind: 'engine embedded'; readonly ask: number; readonly embeddings: Embeddings }
  | { readonly kind: 'engine failed'; readonly ask: number; readonly error: WireError; readonly usage: EngineUsage }
  | { readonly kind: 'engine closed' };
