/** What a tokenizer is made of, as model files carry it. */
import { createSentencePieceTokenizer, type SentencePieceVocabulary } from './sentence-piece.js';
import type { Tokenizer } from './tokenizer.js';

export type Vocabulary = SentencePieceVocabulary;

/** @throws TuttiError FILE_INVALID when its parts do not belong together */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  return createSentencePieceTokenizer(vocabulary);
}
