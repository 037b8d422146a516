/** The tokenizer of a Hugging Face folder: tokenizer.json, and tokenizer_config.json for what is special. */
import { TuttiError } from '../../errors.js';
import { isObject, type JsonObject } from '../json.js';
import { preTokenizerName } from './pre-tokenizers.js';
import { endMarks, TOKEN_KIND, type VocabularyBase } from './token-kind.js';
import type { Vocabulary } from './vocabulary.js';

export interface HuggingFaceTokenizer {
  /** tokenizer.json */
  readonly tokenizer: unknown;
  /** tokenizer_config.json */
  readonly tokenizerConfig?: unknown;
  /** What config.json and generation_config.json say. */
  readonly bos?: number | undefined;
  readonly ends?: readonly number[];
}

/** Ids may leave out so many; more would make large lists of small files. */
const MOST_HOLES = 2 ** 16;
const SPACE = '\u2581';
const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;

type Fail = (where: string, what: string) => never;

/** @throws TuttiError FILE_INVALID that says which part is not understood */
export function huggingFaceVocabulary(
  { tokenizer, tokenizerConfig = {}, bos: configBos, ends: configEnds = [] }: HuggingFaceTokenizer,
  file = 'tokenizer.json',
): Vocabulary {
  const fail: Fail = (where, what) => {
    throw new TuttiError('FILE_INVALID', `${file}: ${where} ${what}`, { where });
  };
  if (!isObject(tokenizer) || !isObject(tokenizer['model'])) return fail('model', 'is missing: no tokenizer.json');
  const { model } = tokenizer;
  const type = model['type'] ?? (Array.isArray(model['merges']) ? 'BPE' : undefined);
  if (type !== 'BPE') return fail('model.type', `is ${text(type)}; BPE is read`);
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if (typeof model[key] === 'string' && model[key] !== '')
      fail(`model.${key}`, `is ${text(model[key])}; it must be empty`);

  const { tokens, kinds, added, ...strips } = readTokens(model, tokenizer, fail);
  const merges = readMerges(model, fail);
  const config = isObject(tokenizerConfig) ? tokenizerConfig : {};
  const find = (key: string): number | undefined => {
    const entry = config[key];
    const content = isObject(entry) ? entry['content'] : entry;
    return typeof content === 'string' ? added.get(content) : undefined;
  };
  const within = (id: number | undefined): number | undefined =>
    id !== undefined && Number.isInteger(id) && id >= 0 && id < tokens.length ? id : undefined;
  const bos = find('bos_token') ?? within(configBos);
  const eos = find('eos_token') ?? configEnds.map(within).find((id) => id !== undefined);
  const unknownText = model['unk_token'];
  const unknown = typeof unknownText === 'string' ? tokens.indexOf(unknownText) : -1;
  const addBos = bosInFront(tokenizer['post_processor']) ?? config['add_bos_token'];
  const base: VocabularyBase = {
    ...{ tokens, kinds, ...strips },
    ...(bos !== undefined && { bos }),
    ...(eos !== undefined && { eos }),
    ...(unknown >= 0 && { unknown }),
    addBos: addBos === true,
    ends: new Set([eos, ...configEnds.map(within), ...endMarks(tokens, kinds)].filter((id) => id !== undefined)),
  };
  const steps = pretokenizers(tokenizer['pre_tokenizer'], fail);
  if (steps.some((step) => step['type'] === 'ByteLevel')) {
    const normaliser = tokenizer['normalizer'];
    if (normaliser !== null && normaliser !== undefined && !(isObject(normaliser) && normaliser['type'] === 'NFC'))
      fail('normalizer', 'is not NFC, which is what is read with byte-level tokens');
    return {
      ...{ model: 'gpt2', ...base, merges: merges.map(([a, b]) => `${a} ${b}`), pre: byteLevelPattern(steps, fail) },
      ...{ ignoreMerges: model['ignore_merges'] === true, normalise: normaliser ? 'NFC' : 'none' },
      addSpacePrefix: steps[0]!['type'] === 'ByteLevel' && steps[0]!['add_prefix_space'] === true,
    };
  }
  if (model['byte_fallback'] !== true) return fail('model.byte_fallback', 'is not set, and the tokens are not bytes');
  for (let id = 0; id < tokens.length; id++)
    if (kinds[id] === TOKEN_KIND.normal && BYTE.test(tokens[id]!)) kinds[id] = TOKEN_KIND.byte;
  return {
    ...{ model: 'llama', ...base, merges, scores: new Float32Array(tokens.length) },
    ...spaceHandling(tokenizer['normalizer'], steps, fail),
  };
}

/** The template for conversations, where there is one: a text, or one of several by name. */
export function chatTemplateOf(tokenizerConfig: unknown, jinjaFile?: string): string | undefined {
  if (jinjaFile !== undefined) return jinjaFile;
  const template = isObject(tokenizerConfig) ? tokenizerConfig['chat_template'] : undefined;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  const named = template.filter(isObject);
  const chosen = named.find(({ name }) => name === 'default') ?? named[0];
  return typeof chosen?.['template'] === 'string' ? chosen['template'] : undefined;
}

const text = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);

function readTokens(model: JsonObject, tokenizer: JsonObject, fail: Fail) {
  if (!isObject(model['vocab'])) return fail('model.vocab', 'is not an object');
  const entries = Object.entries(model['vocab']);
  const addedTokens = tokenizer['added_tokens'] ?? [];
  if (!Array.isArray(addedTokens)) return fail('added_tokens', 'is not a list');
  const most = entries.length + addedTokens.length + MOST_HOLES;
  const isId = (id: unknown): id is number => Number.isInteger(id) && (id as number) >= 0 && (id as number) < most;
  let size = 0;
  for (const [token, id] of entries) {
    if (!isId(id)) return fail(`model.vocab[${text(token)}]`, `is ${text(id)}, not an id below ${most}`);
    size = Math.max(size, id + 1);
  }
  for (const token of addedTokens) {
    if (!isObject(token) || !isId(token['id']) || typeof token['content'] !== 'string')
      return fail('added_tokens', `has the entry ${text(token)}, which is no token with an id below ${most}`);
    size = Math.max(size, token['id'] + 1);
  }
  const tokens = new Array<string>(size).fill('');
  const kinds = new Int32Array(size).fill(TOKEN_KIND.unused);
  for (const [token, id] of entries as [string, number][]) {
    tokens[id] = token;
    kinds[id] = TOKEN_KIND.normal;
  }
  const added = new Map<string, number>();
  const [stripsBefore, stripsAfter] = [new Set<number>(), new Set<number>()];
  for (const { id, content, special, lstrip, rstrip } of addedTokens as { id: number; content: string }[] &
    JsonObject[]) {
    tokens[id] = content;
    kinds[id] = special === true ? TOKEN_KIND.control : TOKEN_KIND.userDefined;
    added.set(content, id);
    if (lstrip === true) stripsBefore.add(id);
    if (rstrip === true) stripsAfter.add(id);
  }
  return { tokens, kinds, added, stripsBefore, stripsAfter };
}

/** As pairs; older files write them with a space between. */
function readMerges(model: JsonObject, fail: Fail): [string, string][] {
  if (!Array.isArray(model['merges'])) return fail('model.merges', 'is not a list');
  return model['merges'].map((merge: unknown, at): [string, string] => {
    if (Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string' && part !== ''))
      return merge as [string, string];
    const gap = typeof merge === 'string' ? merge.indexOf(' ', 1) : -1;
    if (gap < 0) return fail(`model.merges[${at}]`, `is ${text(merge)}, not a pair`);
    return [(merge as string).slice(0, gap), (merge as string).slice(gap + 1)];
  });
}

/** Whether a text is put behind a special token; undefined where no template says so. */
function bosInFront(processor: unknown, depth = 0): boolean | undefined {
  if (!isObject(processor) || depth > 8) return undefined;
  if (processor['type'] === 'Sequence' && Array.isArray(processor['processors'])) {
    for (const part of processor['processors']) {
      const found = bosInFront(part, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (processor['type'] !== 'TemplateProcessing' || !Array.isArray(processor['single'])) return undefined;
  const first: unknown = processor['single'][0];
  return isObject(first) && 'SpecialToken' in first;
}

/** The steps of a pre-tokenizer, sequences laid out flat. */
function pretokenizers(step: unknown, fail: Fail, depth = 0): JsonObject[] {
  if (step === null || step === undefined) return [];
  if (!isObject(step) || depth > 4) return fail('pre_tokenizer', `is ${text(step)}`);
  if (step['type'] !== 'Sequence') return [step];
  const parts = step['pretokenizers'];
  if (!Array.isArray(parts)) return fail('pre_tokenizer', 'is a sequence of nothing');
  return parts.flatMap((part) => pretokenizers(part, fail, depth + 1));
}

/** The name of the pre-tokenizer that does what the steps say. */
function byteLevelPattern(steps: readonly JsonObject[], fail: Fail): string {
  const patterns = steps.flatMap((step): string[] => {
    switch (step['type']) {
      case 'ByteLevel':
        // Its own pattern is GPT-2's.
        return step['use_regex'] === false
          ? []
          : [String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`];
      case 'Digits':
        return [step['individual_digits'] === true ? String.raw`\p{N}` : String.raw`\p{N}+`];
      case 'Split': {
        const pattern = isObject(step['pattern']) ? step['pattern']['Regex'] : undefined;
        // Patterns that match everything leave nothing between their matches: to isolate matches and to keep nothing else is the same.
        const isolates =
          (step['behavior'] === 'Isolated' && step['invert'] !== true) ||
          (step['behavior'] === 'Removed' && step['invert'] === true);
        if (typeof pattern === 'string' && isolates) return [pattern];
        return fail('pre_tokenizer', `has the step ${text(step)}, which is not read`);
      }
      default:
        return fail('pre_tokenizer', `has a step of type ${text(step['type'])}, which is not read`);
    }
  });
  return (
    preTokenizerName(patterns) ??
    fail('pre_tokenizer', `cuts text by ${text(patterns)}, which is no pattern that is known`)
  );
}

/** What stands for spaces, and where one is added. */
function spaceHandling(normaliser: unknown, steps: readonly JsonObject[], fail: Fail) {
  let addSpacePrefix: boolean | 'each' | 'first' = false;
  let splitWords = false;
  const normalisers =
    isObject(normaliser) && normaliser['type'] === 'Sequence' ? normaliser['normalizers'] : [normaliser];
  if (!Array.isArray(normalisers)) return fail('normalizer', 'is a sequence of nothing');
  for (const step of normalisers) {
    if (step === null || step === undefined) continue;
    const replaces =
      isObject(step) &&
      step['type'] === 'Replace' &&
      step['content'] === SPACE &&
      isObject(step['pattern']) &&
      step['pattern']['String'] === ' ';
    if (isObject(step) && step['type'] === 'Prepend' && step['prepend'] === SPACE) addSpacePrefix = true;
    else if (!replaces) fail('normalizer', `has the step ${text(step)}, which is not read`);
  }
  for (const step of steps) {
    // Gemma's cuts at spaces of which the normaliser has left none.
    if (step['type'] === 'Split' && isObject(step['pattern']) && step['pattern']['String'] === ' ') continue;
    if (step['type'] !== 'Metaspace' || (step['replacement'] ?? SPACE) !== SPACE)
      return fail('pre_tokenizer', `has the step ${text(step)}, which is not read`);
    const scheme = step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
    addSpacePrefix = scheme === 'first' ? 'first' : scheme === 'always' ? 'each' : false;
    splitWords = step['split'] !== false;
  }
  return { addSpacePrefix, splitWords };
}
