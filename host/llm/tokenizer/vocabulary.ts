/** What a tokenizer is made of, as model files carry it. */
import { createByteLevelTokenizer, type ByteLevelVocabulary } from './byte-level-bpe.js';
import { createSentencePieceTokenizer, type SentencePieceVocabulary } from './sentence-piece.js';
import type { Tokenizer } from './tokenizer.js';

export type Vocabulary = SentencePieceVocabulary | ByteLevelVocabulary;

/** @throws TuttiError FILE_INVALID when its parts do not belong together */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  return vocabulary.model === 'gpt2' ? createByteLevelTokenizer(vocabulary) : createSentencePieceTokenizer(vocabulary);
}
