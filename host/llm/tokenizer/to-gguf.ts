/** A vocabulary as the metadata of a GGUF file: what `vocabularyOf` reads. */
import { u32, type GgufEntry } from '../gguf/write-gguf.js';
import type { Vocabulary } from './vocabulary.js';

export function vocabularyMetadata(vocabulary: Vocabulary): Map<string, GgufEntry> {
  const { tokens, kinds, bos, eos, unknown, ends } = vocabulary;
  const entries: [string, GgufEntry][] = [
    ['model', vocabulary.model],
    ['pre', 'default'],
    ['tokens', tokens],
    ['scores', Float32Array.from(vocabulary.scores)],
    ['token_type', kinds ? Int32Array.from(kinds) : new Int32Array(tokens.length).fill(1)],
  ];
  if (bos !== undefined) entries.push(['bos_token_id', u32(bos)]);
  if (eos !== undefined) entries.push(['eos_token_id', u32(eos)]);
  const turnEnd = [...ends].find((id) => id !== eos);
  if (turnEnd !== undefined) entries.push(['eot_token_id', u32(turnEnd)]);
  if (unknown !== undefined) entries.push(['unknown_token_id', u32(unknown)]);
  entries.push(['add_bos_token', vocabulary.addBos ?? true], ['add_eos_token', false]);
  entries.push(['add_space_prefix', vocabulary.addSpacePrefix !== false]);
  return new Map(entries.map(([key, entry]) => [`tokenizer.ggml.${key}`, entry]));
}
