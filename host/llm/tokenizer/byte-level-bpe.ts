/**
 * Byte-level BPE (Radford and others 2019): text is cut into words by a pattern, then within each word's UTF-8 bytes the pair that was
 * merged first in training is merged, leftmost first. Tokens are written in an alphabet of 256 printable characters, one for each byte.
 */
import TinyQueue from 'tinyqueue';
import { preTokenizer, wordSplitter } from './pre-tokenizers.js';
import { TOKEN_KIND, type VocabularyBase } from './token-kind.js';
import { checkKinds, decodeAll, outOfVocabulary, specialSplitter, type Tokenizer } from './tokenizer.js';

export interface ByteLevelVocabulary extends VocabularyBase {
  /** GGUF's name for this algorithm. */
  readonly model: 'gpt2';
  /** Name of the pattern that cuts text into words, as in GGUF files. */
  readonly pre: string;
  /** Pairs with a space between, first ones first. */
  readonly merges: readonly string[];
  /** Where it differs from what goes with `pre`. */
  readonly ignoreMerges?: boolean;
  readonly normalise?: 'NFC' | 'none';
  /** A space in front of each stretch of text that has none. */
  readonly addSpacePrefix?: boolean;
}

/** The character that stands for each byte: itself where it is printable, else one from U+0100 on. */
const byteCharacters: readonly string[] = (() => {
  let next = 0x100;
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();
const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** Words whose tokens are remembered, and the longest of them: longer parts of a text would keep all of it in memory. */
const MOST_REMEMBERED = 2 ** 14;
const LONGEST_REMEMBERED = 12;

/** @throws TuttiError FILE_INVALID when its parts do not belong together or its pre-tokenizer is not known */
export function createByteLevelTokenizer(vocabulary: ByteLevelVocabulary): Tokenizer {
  const { tokens, kinds, bos, eos, ends, unknown } = vocabulary;
  checkKinds(vocabulary);
  const pre = preTokenizer(vocabulary.pre, 'the tokenizer');
  const ignoreMerges = vocabulary.ignoreMerges ?? pre.ignoreMerges ?? false;
  const normalise = (vocabulary.normalise ?? pre.normalise) === 'NFC';
  const words = wordSplitter(pre);
  const kind = (id: number): number => kinds?.[id] ?? TOKEN_KIND.normal;
  const ids = new Map<string, number>();
  const special = new Map<string, number>();
  const userDefined = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (kind(id) === TOKEN_KIND.control || kind(id) === TOKEN_KIND.unknown) special.set(token, id);
    else if (kind(id) === TOKEN_KIND.userDefined) userDefined.set(token, id);
    else if (kind(id) !== TOKEN_KIND.unused && !ids.has(token)) ids.set(token, id);
  });
  const longest = tokens.reduce((most, token) => Math.max(most, token.length), 0);
  const split = specialSplitter(userDefined, vocabulary);
  const splitAll = specialSplitter(new Map([...userDefined, ...special]), vocabulary);
  const byteIds = byteCharacters.map((character) => ids.get(character) ?? unknown ?? -1);

  // Pairs of ids as one number: rank and the token that they make.
  const size = tokens.length;
  const ranks = new Map<number, number>();
  const joined = new Int32Array(vocabulary.merges.length);
  vocabulary.merges.forEach((merge, rank) => {
    const gap = merge.indexOf(' ', 1);
    const [left, right] = [merge.slice(0, gap), merge.slice(gap + 1)];
    const [a, b, both] = [ids.get(left), ids.get(right), ids.get(left + right)];
    // A merge into what is no token is never made.
    if (gap < 0 || a === undefined || b === undefined || both === undefined) return;
    const key = a * size + b;
    if (ranks.has(key)) return;
    ranks.set(key, rank);
    joined[rank] = both;
  });

  /** Merges neighbours in place, in order of rank and place: a list of what is left, `next` pointing over what is gone. */
  function merge(symbols: number[]): number[] {
    const count = symbols.length;
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const next = Int32Array.from(symbols, (_, i) => i + 1);
    // Rank and place as one number.
    const queue = new TinyQueue<number>([], (a, b) => a - b);
    const look = (left: number): void => {
      if (left < 0 || next[left]! >= count) return;
      const rank = ranks.get(symbols[left]! * size + symbols[next[left]!]!);
      if (rank !== undefined) queue.push(rank * count + left);
    };
    for (let i = 0; i + 1 < count; i++) look(i);
    for (let found = queue.pop(); found !== undefined; found = queue.pop()) {
      const left = found % count;
      const right = next[left]!;
      // Void when either side has changed since.
      if (symbols[left] === -1 || right >= count) continue;
      const rank = ranks.get(symbols[left]! * size + symbols[right]!);
      if (rank === undefined || rank * count + left !== found) continue;
      symbols[left] = joined[rank]!;
      symbols[right] = -1;
      next[left] = next[right]!;
      if (next[left] < count) previous[next[left]] = left;
      look(previous[left]!);
      look(left);
    }
    return symbols.filter((symbol) => symbol !== -1);
  }

  const encoder = new TextEncoder();
  function encodeWord(word: string): number[] {
    const bytes = encoder.encode(word);
    if (ignoreMerges && bytes.length <= longest) {
      let text = '';
      for (const byte of bytes) text += byteCharacters[byte]!;
      const id = ids.get(text);
      if (id !== undefined) return [id];
    }
    const symbols: number[] = [];
    for (const byte of bytes) if (byteIds[byte]! >= 0) symbols.push(byteIds[byte]!);
    return symbols.length > 1 ? merge(symbols) : symbols;
  }

  const remembered = new Map<string, readonly number[]>();
  function encodePlain(text: string, out: number[]): void {
    const normal = normalise ? text.normalize('NFC') : text;
    for (const word of words(vocabulary.addSpacePrefix && !normal.startsWith(' ') ? ` ${normal}` : normal)) {
      let list = remembered.get(word);
      if (!list) {
        list = encodeWord(word);
        if (word.length <= LONGEST_REMEMBERED) {
          if (remembered.size >= MOST_REMEMBERED) remembered.clear();
          remembered.set(word, list);
        }
      }
      for (let k = 0; k < list.length; k++) out.push(list[k]!);
    }
  }

  const pieces: (Uint8Array | undefined)[] = [];
  const tokenizer: Tokenizer = {
    size,
    ...{ bos, eos, ends },
    encode(text, { addBos = vocabulary.addBos ?? pre.addBos ?? false, special: readSpecial = false } = {}) {
      const out: number[] = addBos && bos !== undefined ? [bos] : [];
      for (const part of (readSpecial ? splitAll : split)(text)) {
        if (typeof part === 'number') out.push(part);
        else encodePlain(part, out);
      }
      return out;
    },
    decode: (list, options) => decodeAll(tokenizer, list, options),
    bytes(id, options) {
      if (!(id >= 0 && id < size)) throw outOfVocabulary(id, size);
      const literal = kind(id) !== TOKEN_KIND.normal;
      if (literal && kind(id) !== TOKEN_KIND.userDefined && options?.special !== true) return new Uint8Array(0);
      return (pieces[id] ??= literal ? encoder.encode(tokens[id]) : bytesOf(tokens[id]!));
    },
  };
  return tokenizer;
}

function bytesOf(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = bytesByCharacter.get(character);
    if (byte !== undefined) bytes.push(byte);
    else bytes.push(...new TextEncoder().encode(character));
  }
  return Uint8Array.from(bytes);
}
