/** A vocabulary as the metadata of a GGUF file: what `vocabularyOf` reads. */
import { u32, type GgufEntry } from '../gguf/write-gguf.js';
import type { SentencePieceVocabulary } from './sentence-piece.js';
import { TOKEN_KIND } from './token-kind.js';
import type { Vocabulary } from './vocabulary.js';

export function vocabularyMetadata(vocabulary: Vocabulary): Map<string, GgufEntry> {
  const { tokens, kinds, bos, eos, unknown, ends, addBos } = vocabulary;
  const entries: [string, GgufEntry][] = [
    ['model', vocabulary.model],
    ['tokens', tokens],
    ['token_type', kinds ? Int32Array.from(kinds) : new Int32Array(tokens.length).fill(TOKEN_KIND.normal)],
  ];
  if (vocabulary.model === 'gpt2') entries.push(['pre', vocabulary.pre], ['merges', vocabulary.merges]);
  else {
    entries.push(['pre', 'default'], ['scores', scoresOf(vocabulary)]);
    entries.push(['add_space_prefix', vocabulary.addSpacePrefix !== false]);
  }
  if (vocabulary.model === 'gpt2' && vocabulary.addSpacePrefix) entries.push(['add_space_prefix', true]);
  if (bos !== undefined) entries.push(['bos_token_id', u32(bos)]);
  if (eos !== undefined) entries.push(['eos_token_id', u32(eos)]);
  const turnEnd = [...ends].find((id) => id !== eos);
  if (turnEnd !== undefined) entries.push(['eot_token_id', u32(turnEnd)]);
  if (unknown !== undefined) entries.push(['unknown_token_id', u32(unknown)]);
  if (addBos !== undefined) entries.push(['add_bos_token', addBos]);
  return new Map(entries.map(([key, entry]) => [`tokenizer.ggml.${key}`, entry]));
}

/** Tokens that come of early merges get high scores. */
function scoresOf({ tokens, scores, merges }: SentencePieceVocabulary): Float32Array {
  if (!merges) return Float32Array.from(scores);
  const ranks = new Map<string, number>();
  merges.forEach(([left, right], rank) => {
    if (!ranks.has(left + right)) ranks.set(left + right, rank);
  });
  return Float32Array.from(tokens, (token) => -(ranks.get(token) ?? merges.length));
}
