/** Text to token ids and back, whatever the algorithm behind it. */

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

/** Cuts text at the longest of `tokens` that matches at each place: parts of plain text, and ids. */
export function splitSpecial(text: string, tokens: ReadonlyMap<string, number>): (string | number)[] {
  if (tokens.size === 0) return [text];
  const longestFirst = [...tokens.keys()].filter((token) => token !== '').sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'), 'g');
  const parts: (string | number)[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    parts.push(tokens.get(match[0])!);
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}
