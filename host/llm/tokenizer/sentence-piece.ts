/**
 * SentencePiece's BPE as in Llama's files (Kudo and Richardson 2018): spaces become U+2581, then of all neighbours that together are a
 * token, the pair with the highest score is merged, leftmost first. What is in no token comes out as the tokens of its UTF-8 bytes.
 */
import TinyQueue from 'tinyqueue';
import { TuttiError } from '../../errors.js';
import { TOKEN_KIND, type VocabularyBase } from './token-kind.js';
import { checkKinds, decodeAll, outOfVocabulary, specialSplitter, type Tokenizer } from './tokenizer.js';

export interface SentencePieceVocabulary extends VocabularyBase {
  /** GGUF's name for this algorithm. */
  readonly model: 'llama';
  readonly scores: ArrayLike<number>;
  /** Which neighbours may be joined, first ones first (Hugging Face's files); by scores where there are none. */
  readonly merges?: readonly (readonly [string, string])[];
  /**
   * A space in front of the text and of what follows special tokens, so that its first word is a word. 'each': where there is none; 'first': where
   * there is none, and not after special tokens.
   */
  readonly addSpacePrefix?: boolean | 'each' | 'first';
  /** Nothing is merged over the beginning of a word. */
  readonly splitWords?: boolean;
}

const SPACE = '\u2581';
/** Every beginning of a word. */
const WORD = /(?=\u2581)/;
const BYTE = /^<0x([0-9A-Fa-f]{2})>$/;

interface Merge {
  readonly left: number;
  readonly right: number;
  readonly score: number;
  /** Length of both together when it was found: the merge is void when a symbol has grown since. */
  readonly length: number;
}

/** @throws TuttiError FILE_INVALID when tokens, scores and kinds do not belong together */
export function createSentencePieceTokenizer(vocabulary: SentencePieceVocabulary): Tokenizer {
  const { tokens, scores, kinds, bos, eos, ends, unknown = 0, addSpacePrefix = true } = vocabulary;
  checkKinds(vocabulary);
  if (scores.length !== tokens.length) {
    throw new TuttiError(
      'FILE_INVALID',
      `the tokenizer has ${tokens.length} tokens and ${scores.length} scores; convert the model again`,
      { where: 'tokenizer.ggml.scores' },
    );
  }
  const kind = (id: number): number => kinds?.[id] ?? TOKEN_KIND.normal;
  const ids = new Map<string, number>();
  const special = new Map<string, number>();
  const userDefined = new Map<string, number>();
  const byteIds = new Map<number, number>();
  const pieces: Uint8Array[] = [];
  const encoder = new TextEncoder();
  tokens.forEach((token, id) => {
    const byte = BYTE.exec(token);
    if (kind(id) === TOKEN_KIND.byte && byte) byteIds.set(parseInt(byte[1]!, 16), id);
    else if (kind(id) === TOKEN_KIND.control || kind(id) === TOKEN_KIND.unknown) special.set(token, id);
    else if (kind(id) === TOKEN_KIND.userDefined) userDefined.set(token, id);
    else if (kind(id) !== TOKEN_KIND.unused && !ids.has(token)) ids.set(token, id);
    pieces.push(
      kind(id) === TOKEN_KIND.byte && byte
        ? Uint8Array.of(parseInt(byte[1]!, 16))
        : encoder.encode(token.replaceAll(SPACE, ' ')),
    );
  });
  const split = specialSplitter(userDefined, vocabulary);
  const splitAll = specialSplitter(new Map([...userDefined, ...special]), vocabulary);
  const ranks = vocabulary.merges && new Map(vocabulary.merges.map(([a, b], rank) => [`${a}\0${b}`, rank]));
  /** The higher, the earlier; undefined where the two are no token together. */
  const scoreOf = (left: string, right: string): number | undefined => {
    if (ranks) {
      const rank = ranks.get(`${left}\0${right}`);
      return rank === undefined ? undefined : -rank;
    }
    const id = ids.get(left + right);
    return id === undefined ? undefined : scores[id]!;
  };

  function encodePlain(text: string, out: number[]): void {
    // A doubly linked list of symbols; `next` of the last is the length.
    const symbols = [...text];
    const count = symbols.length;
    const previous = Int32Array.from(symbols, (_, i) => i - 1);
    const next = Int32Array.from(symbols, (_, i) => i + 1);
    const merges = new TinyQueue<Merge>([], (a, b) => b.score - a.score || a.left - b.left);
    const look = (left: number, right: number): void => {
      if (left < 0 || right >= count) return;
      const score = scoreOf(symbols[left]!, symbols[right]!);
      if (score !== undefined)
        merges.push({ left, right, score, length: symbols[left]!.length + symbols[right]!.length });
    };
    for (let i = 0; i + 1 < count; i++) look(i, i + 1);
    for (let merge = merges.pop(); merge; merge = merges.pop()) {
      const { left, right, length } = merge;
      if (symbols[left] === '' || symbols[right] === '' || symbols[left]!.length + symbols[right]!.length !== length)
        continue;
      symbols[left] += symbols[right]!;
      symbols[right] = '';
      next[left] = next[right]!;
      if (next[right]! < count) previous[next[right]!] = left;
      look(previous[left]!, left);
      look(left, next[left]);
    }
    for (let i = 0; i < count; i = next[i]!) {
      const id = ids.get(symbols[i]!);
      if (id !== undefined) out.push(id);
      else for (const byte of encoder.encode(symbols[i])) out.push(byteIds.get(byte) ?? unknown);
    }
  }

  const tokenizer: Tokenizer = {
    size: tokens.length,
    ...{ bos, eos, ends },
    encode(text, { addBos = vocabulary.addBos ?? true, special: readSpecial = false } = {}) {
      const out: number[] = addBos && bos !== undefined ? [bos] : [];
      let prefix = addSpacePrefix !== false;
      for (const part of (readSpecial ? splitAll : split)(text)) {
        if (typeof part === 'number') {
          out.push(part);
          prefix = addSpacePrefix === true || addSpacePrefix === 'each';
        } else {
          const space = prefix && (addSpacePrefix === true || !part.startsWith(' ')) ? SPACE : '';
          const symbols = space + part.replaceAll(' ', SPACE);
          for (const words of vocabulary.splitWords ? symbols.split(WORD) : [symbols]) encodePlain(words, out);
          prefix = false;
        }
      }
      return out;
    },
    decode: (list, options) => decodeAll(tokenizer, list, options),
    bytes(id, options) {
      if (!(id >= 0 && id < tokens.length)) throw outOfVocabulary(id, tokens.length);
      const hidden = kind(id) === TOKEN_KIND.control || kind(id) === TOKEN_KIND.unknown;
      return hidden && options?.special !== true ? new Uint8Array(0) : pieces[id]!;
    },
  };
  return tokenizer;
}
