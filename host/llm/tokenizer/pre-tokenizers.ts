/**
 * How byte-level tokenizers cut text into words before they merge within each. Only patterns that are known here are used, never one that
 * a file brings: a pattern can be written so that matching takes for ever.
 */
import { TuttiError } from '../../errors.js';

export interface PreTokenizer {
  /** One after the other: each cuts what the one before left whole. What a pattern leaves out stays a piece, too. */
  readonly patterns: readonly string[];
  /** A word that is a token is that token, however its merges would have it. */
  readonly ignoreMerges?: boolean;
  /** Whether the begin-of-sequence token is put in front where a file does not say. */
  readonly addBos?: boolean;
  readonly normalise?: 'NFC';
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const ENDING = String.raw`|\s*[\r\n]+|\s+(?!\S)|\s+`;
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const LLAMA3 = String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*${ENDING}`;
const QWEN2 = LLAMA3.replace('{1,3}', '');
const [UPPER, LOWER] = [String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`];
/** Words that change from capitals to small letters at most once. */
const cased = (after: string, digits: string): string =>
  String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${after}|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${after}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*${ENDING}`;

const gpt2: PreTokenizer = { patterns: [GPT2] };
const llama3: PreTokenizer = { patterns: [LLAMA3], ignoreMerges: true, addBos: true };
const qwen2: PreTokenizer = { patterns: [QWEN2], normalise: 'NFC' };
const digitsThenGpt2: PreTokenizer = { patterns: [String.raw`\p{N}`, GPT2] };
const deepseekV3: PreTokenizer = {
  patterns: [
    String.raw`\p{N}{1,3}`,
    '[一-龥぀-ゟ゠-ヿ]+',
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*' +
      ENDING,
  ],
  addBos: true,
};
const deepseekCoder: PreTokenizer = {
  patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, '[一-龥ࠀ-一가-퟿]+', String.raw`\p{N}`],
  addBos: true,
};

/** By the names that GGUF files use. */
const byName: Readonly<Record<string, PreTokenizer>> = {
  default: gpt2,
  'gpt-2': gpt2,
  'phi-2': gpt2,
  olmo: gpt2,
  gigachat: gpt2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  'smaug-bpe': llama3,
  falcon3: llama3,
  pixtral: llama3,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  stablelm2: { patterns: [QWEN2] },
  tekken: { patterns: [cased('', String.raw`\p{N}`)], ignoreMerges: true, addBos: true },
  'gpt-4o': { patterns: [cased(`${CONTRACTIONS}?`, String.raw`\p{N}{1,3}`)] },
  llama4: { patterns: [cased(`${CONTRACTIONS}?`, String.raw`\p{N}{1,3}`)], addBos: true },
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  'command-r': digitsThenGpt2,
  'deepseek-v3': deepseekV3,
  'deepseek-coder': deepseekCoder,
};

/** @throws TuttiError FILE_INVALID naming what is not known */
export function preTokenizer(name: string, file: string): PreTokenizer {
  if (Object.hasOwn(byName, name)) return byName[name]!;
  throw new TuttiError(
    'FILE_INVALID',
    `${file}: the pre-tokenizer ${JSON.stringify(name.slice(0, 100))} is not known; ${Object.keys(byName).join(', ')} are`,
    { where: 'tokenizer.ggml.pre', facts: { pre: name } },
  );
}

/** The name of the pre-tokenizer that cuts by these patterns, as other files write them; undefined where there is none. */
export function preTokenizerName(patterns: readonly string[]): string | undefined {
  const text = patterns.join('\n');
  return Object.keys(byName).find((name) => name !== 'default' && byName[name]!.patterns.join('\n') === text);
}

/** Patterns are written as the reference implementations have them, where \s is Unicode's white space, and case can be left aside in part. */
function compile(pattern: string): RegExp {
  const either = (letters: string): string =>
    [...letters].map((c) => `[${c}${c.toUpperCase()}${c === 's' ? '\u017f' : ''}]`).join('');
  const contractions = ['s', 't', 're', 've', 'm', 'll', 'd'].map((ending) => `'${either(ending)}`).join('|');
  return new RegExp(
    pattern
      .replaceAll(CONTRACTIONS, `(?:${contractions})`)
      .replaceAll('\\s', '\\p{White_Space}')
      .replaceAll('\\S', '\\P{White_Space}'),
    'gu',
  );
}

/** A function that cuts text into words. */
export function wordSplitter({ patterns }: PreTokenizer): (text: string) => string[] {
  const compiled = patterns.map(compile);
  return (text) => {
    let pieces = [text];
    for (const pattern of compiled) {
      const cut: string[] = [];
      for (const piece of pieces) {
        let at = 0;
        for (const { 0: word, index } of piece.matchAll(pattern)) {
          if (index > at) cut.push(piece.slice(at, index));
          cut.push(word);
          at = index + word.length;
        }
        if (at < piece.length) cut.push(piece.slice(at));
      }
      pieces = cut;
    }
    return pieces;
  };
}
