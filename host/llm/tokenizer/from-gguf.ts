/** The tokenizer that a GGUF file carries. */
import { TuttiError } from '../../errors.js';
import type { GgufHeader, GgufValue } from '../gguf/types.js';
import { endMarks } from './token-kind.js';
import type { Tokenizer } from './tokenizer.js';
import { createTokenizer, type Vocabulary } from './vocabulary.js';

/** @throws TuttiError FILE_INVALID naming the entry that is missing or of the wrong kind */
export function tokenizerOf(header: GgufHeader, file: string): Tokenizer {
  return createTokenizer(vocabularyOf(header, file));
}

/** @throws TuttiError FILE_INVALID naming the entry that is missing or of the wrong kind */
export function vocabularyOf({ metadata }: GgufHeader, file: string): Vocabulary {
  const fail = (key: string, what: string): never => {
    throw new TuttiError('FILE_INVALID', `${file}: metadata tokenizer.ggml.${key} ${what}; convert the model again`, {
      where: `tokenizer.ggml.${key}`,
    });
  };
  const get = (key: string): GgufValue | undefined => metadata.get(`tokenizer.ggml.${key}`);
  const model = get('model');
  if (model !== 'llama' && model !== 'gpt2')
    return fail('model', model === undefined ? 'is missing' : `is ${String(model)}; "llama" and "gpt2" are read`);
  const tokens = get('tokens');
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === 'string'))
    return fail('tokens', 'is not a list of texts');
  const kinds = get('token_type');
  if (kinds !== undefined && !(kinds instanceof Int32Array || kinds instanceof Uint32Array))
    return fail('token_type', 'is not a list of i32');
  const id = (key: string): number | undefined => {
    const value = get(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= tokens.length)
      return fail(key, `is ${String(value)}, not a token`);
    return value;
  };
  const flag = (key: string): boolean | undefined => {
    const value = get(key);
    return typeof value === 'boolean' ? value : undefined;
  };
  const [bos, eos, unknown] = [id('bos_token_id'), id('eos_token_id'), id('unknown_token_id')];
  const [addBos, addSpacePrefix] = [flag('add_bos_token'), flag('add_space_prefix')];
  const base = {
    tokens,
    ...(kinds && { kinds }),
    ...(bos !== undefined && { bos }),
    ...(eos !== undefined && { eos }),
    ...(unknown !== undefined && { unknown }),
    ...(addBos !== undefined && { addBos }),
    ...(addSpacePrefix !== undefined && { addSpacePrefix }),
    ends: new Set(
      [eos, id('eot_token_id'), id('eom_token_id'), ...endMarks(tokens, kinds)].filter((token) => token !== undefined),
    ),
  };
  if (model === 'llama') {
    const scores = get('scores');
    return scores instanceof Float32Array ? { model, ...base, scores } : fail('scores', 'is not a list of f32');
  }
  const merges = get('merges');
  if (!Array.isArray(merges) || !merges.every((merge) => typeof merge === 'string'))
    return fail('merges', 'is not a list of texts');
  const pre = get('pre') ?? 'default';
  if (typeof pre !== 'string') return fail('pre', 'is not a text');
  return { model, ...base, merges, pre };
}
