import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { memorySink } from '../byte-sink.js';
import { readGgufBytes } from '../gguf/read-gguf.js';
import { writeGguf } from '../gguf/write-gguf.js';
import { tokenizerOf } from './from-gguf.js';
import { chatTemplateOf, huggingFaceVocabulary } from './from-hugging-face.js';
import { vocabularyMetadata } from './to-gguf.js';
import { textStream, type Tokenizer } from './tokenizer.js';
import { createTokenizer, type Vocabulary } from './vocabulary.js';

const read = (name: string): unknown => JSON.parse(readFileSync(`test/data/tokenizers/${name}.json`, 'utf8'));
const { strings, ids } = read('expected') as { strings: string[]; ids: Record<string, string[]> };
const names = Object.keys(ids);

const open = (name: string): Vocabulary =>
  huggingFaceVocabulary({
    tokenizer: read(name),
    tokenizerConfig: {
      bos_token: /llama-2|mistral|metaspace|gemma/.test(name) ? '<s>' : { content: '<|begin|>' },
      eos_token: { content: '<b>' },
    },
  });

/** As the reference does it: special tokens are read. */
const encode = (tokenizer: Tokenizer, text: string): string => tokenizer.encode(text, { special: true }).join(' ');

/** The strings of which something else is made than expected. */
const wrong = (tokenizer: Tokenizer, name: string): readonly { readonly text: string }[] =>
  strings
    .map((text, k) => ({ text, got: encode(tokenizer, text), expected: ids[name]![k] }))
    .filter(({ got, expected }) => got !== expected);

describe.each(names)('%s', (name) => {
  const vocabulary = open(name);
  const tokenizer = createTokenizer(vocabulary);

  it('gives the tokens that the reference gives', () => {
    expect(wrong(tokenizer, name)).toEqual([]);
  });

  it('writes every text as it was', () => {
    const changed = strings.filter((text) => {
      // Spaces are put in behind special tokens.
      if (/<\|eot_id\|>|<s>|<b>/.test(text)) return false;
      const normal = vocabulary.model === 'gpt2' && vocabulary.normalise === 'NFC' ? text.normalize('NFC') : text;
      const back = tokenizer.decode(tokenizer.encode(text));
      return back !== normal && back !== ` ${normal}`;
    });
    expect(changed).toEqual([]);
  });

  it('is the same by way of a GGUF file', async () => {
    const sink = memorySink();
    await writeGguf(sink, vocabularyMetadata(vocabulary), []);
    const again = tokenizerOf(readGgufBytes(sink.bytes()), 'file');
    expect([again.bos, again.eos, again.ends]).toEqual([tokenizer.bos, tokenizer.eos, tokenizer.ends]);
    // What GGUF has no words for: where else than in front a space is added, and special tokens that swallow spaces.
    if (!/mistral|metaspace/.test(name))
      expect(wrong(again, name).filter(({ text }) => !text.includes('<|eot_id|>'))).toEqual([]);
  });
});

it.each(['gpt-2', 'tekken', 'llama-2'])('%s takes long texts in its stride', (name) => {
  const tokenizer = createTokenizer(open(name));
  let state = 1;
  const letters = Array.from({ length: 300_000 }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 'abcdefghijklmnopqrstuvwxyz'[(state >>> 16) % 26]!;
  }).join('');
  for (const text of [letters, 'a'.repeat(300_000), ' '.repeat(300_000), '\n'.repeat(300_000), '!'.repeat(300_000)]) {
    const list = tokenizer.encode(text);
    expect(list.length).toBeGreaterThan(300);
    expect(tokenizer.decode(list).length - text.length).toBeOneOf([0, 1]);
  }
});

describe('special tokens', () => {
  const tokenizer = createTokenizer(open('llama-bpe'));

  it('are read out of text only when asked', () => {
    const text = 'a<|eot_id|>';
    expect(tokenizer.encode(text, { special: true, addBos: false })).toHaveLength(2);
    const plain = tokenizer.encode(text, { addBos: false });
    expect(plain.length).toBeGreaterThan(4);
    expect(tokenizer.decode(plain)).toBe(text);
    expect(tokenizer.decode(tokenizer.encode(text, { special: true }))).toBe('a');
    expect(tokenizer.decode(tokenizer.encode(text, { special: true }), { special: true })).toBe(`<|begin|>${text}`);
  });

  it('end a text when they are known to', () => {
    expect([...tokenizer.ends].map((id) => tokenizer.decode([id], { special: true }))).toEqual(['<b>', '<|eot_id|>']);
  });

  it('come in streams of whole characters', () => {
    const stream = textStream(tokenizer);
    const text = '🦙🇩🇪 Ünï 你好';
    const parts = tokenizer.encode(text).map((id) => stream.next(id));
    expect(parts.join('') + stream.end()).toBe(text);
    expect(parts).toContain('🦙');
  });
});

describe('huggingFaceVocabulary', () => {
  const changed = (name: string, ...edits: [path: string, value: unknown][]): unknown => {
    const file = read(name) as Record<string, unknown>;
    for (const [path, value] of edits) {
      const keys = path.split('.');
      const last = keys.pop()!;
      keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, file)[last] = value;
    }
    return file;
  };

  it.each([
    [{}, /model is missing: no tokenizer.json/],
    [null, /model is missing/],
    [changed('gpt-2', ['model.type', 'Unigram']), /model.type is "Unigram"; BPE is read/],
    [changed('gpt-2', ['model.vocab.a', 4e9]), /model.vocab\["a"\] is 4000000000, not an id below/],
    [changed('gpt-2', ['model.vocab.a', -1]), /is -1, not an id/],
    [changed('gpt-2', ['model.merges.3', 'ab']), /model.merges\[3\] is "ab", not a pair/],
    [changed('gpt-2', ['added_tokens.0', { id: 1e9, content: 'x' }]), /added_tokens has the entry/],
    [changed('llama-2', ['model.byte_fallback', false]), /byte_fallback is not set/],
    [changed('llama-2', ['normalizer', { type: 'NFKC' }]), /normalizer has the step \{"type":"NFKC"\}/],
    [changed('qwen2', ['normalizer', { type: 'Lowercase' }]), /normalizer is not NFC/],
    [
      changed('qwen2', ['pre_tokenizer.pretokenizers.0.pattern.Regex', '(a+)+$']),
      /pre_tokenizer cuts text by \["\(a\+\)\+\$"\], which is no pattern that is known/,
    ],
    [changed('qwen2', ['pre_tokenizer.pretokenizers.0.type', 'BertPreTokenizer']), /a step of type "BertPre/],
  ])('says what it does not read (%#)', (tokenizer, message) => {
    expect(() => huggingFaceVocabulary({ tokenizer })).toThrow(message);
  });

  it('finds chat templates', () => {
    expect(chatTemplateOf({})).toBeUndefined();
    expect(chatTemplateOf({ chat_template: 'x' })).toBe('x');
    expect(chatTemplateOf({ chat_template: 'x' }, 'from a file of its own')).toBe('from a file of its own');
    const several = [
      { name: 'tool_use', template: 't' },
      { name: 'default', template: 'd' },
    ];
    expect(chatTemplateOf({ chat_template: several })).toBe('d');
  });
});
