/** Text to token ids and back, whatever the algorithm behind it. */
import { TuttiError } from '../../errors.js';
import type { VocabularyBase } from './token-kind.js';

export interface EncodeOptions {
  /** Puts the begin-of-sequence token in front where the model wants one. Default true. */
  readonly addBos?: boolean;
  /** Reads control tokens that are written out in the text ("<s>") as such; off for text of users. Default false. */
  readonly special?: boolean;
}

export interface DecodeOptions {
  /** Writes control tokens out. Default false. */
  readonly special?: boolean;
}

export interface Tokenizer {
  readonly size: number;
  readonly bos: number | undefined;
  /** The token that ends a text; one of `ends`. */
  readonly eos: number | undefined;
  /** Tokens that end a text. */
  readonly ends: ReadonlySet<number>;
  encode(text: string, options?: EncodeOptions): number[];
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** The bytes that a token stands for; none for control tokens unless `special`. */
  bytes(id: number, options?: DecodeOptions): Uint8Array;
}

/** Text of a stream of tokens: characters whose bytes are still under way are held back. */
export interface TextStream {
  /** The text that token `id` completes. */
  next(id: number): string;
  /** What was held back: broken characters come out as U+FFFD. */
  end(): string;
}

export function textStream(tokenizer: Tokenizer, options?: DecodeOptions): TextStream {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    next: (id) => decoder.decode(tokenizer.bytes(id, options), { stream: true }),
    end: () => decoder.decode(),
  };
}

export function decodeAll(tokenizer: Tokenizer, ids: Iterable<number>, options?: DecodeOptions): string {
  const stream = textStream(tokenizer, options);
  let text = '';
  for (const id of ids) text += stream.next(id);
  return text + stream.end();
}

export function outOfVocabulary(id: number, size: number): TuttiError {
  return new TuttiError('INPUT_INVALID', `token ${id} is not in the vocabulary of ${size}`, { where: 'ids' });
}

/** @throws TuttiError FILE_INVALID when there are not as many kinds as tokens */
export function checkKinds({ tokens, kinds }: VocabularyBase): void {
  if (kinds && kinds.length !== tokens.length) {
    throw new TuttiError(
      'FILE_INVALID',
      `the tokenizer has ${tokens.length} tokens and ${kinds.length} kinds; convert the model again`,
      { where: 'tokenizer.ggml.token_type' },
    );
  }
}

const SPACE = /^\p{White_Space}$/u;

/** Where the text in `from` .. `to` ends without the white space behind it. */
function lastOfText(text: string, from: number, to: number): number {
  let end = to;
  while (end > from && SPACE.test(text[end - 1]!)) end--;
  return end;
}

interface Branch {
  id?: number;
  readonly next: Map<number, Branch>;
}

/** A function that cuts text at the longest of `tokens` that matches at each place: parts of plain text, and ids. */
export function specialSplitter(
  tokens: ReadonlyMap<string, number>,
  { stripsBefore, stripsAfter }: Pick<VocabularyBase, 'stripsBefore' | 'stripsAfter'> = {},
): (text: string) => (string | number)[] {
  // A tree of characters, not a pattern: a file may name any number of tokens.
  const root: Branch = { next: new Map() };
  for (const [token, id] of tokens) {
    let at = root;
    for (let k = 0; k < token.length; k++) {
      const unit = token.charCodeAt(k);
      let branch = at.next.get(unit);
      if (!branch) at.next.set(unit, (branch = { next: new Map() }));
      at = branch;
    }
    if (token !== '') at.id = id;
  }
  return (text) => {
    const parts: (string | number)[] = [];
    let from = 0;
    for (let at = 0; at < text.length;) {
      let found: number | undefined;
      let end = at + 1;
      let branch = root.next.get(text.charCodeAt(at));
      for (let k = at + 1; branch; branch = branch.next.get(text.charCodeAt(k++))) {
        if (branch.id !== undefined) [found, end] = [branch.id, k];
      }
      if (found !== undefined) {
        const before = stripsBefore?.has(found) ? lastOfText(text, from, at) : at;
        if (before > from) parts.push(text.slice(from, before));
        parts.push(found);
        if (stripsAfter?.has(found)) while (end < text.length && SPACE.test(text[end]!)) end++;
        from = end;
      }
      at = end;
    }
    if (from < text.length) parts.push(text.slice(from));
    return parts;
  };
}
