/**
 * A vocabulary as a tree of bytes, written out depth first: whatever cannot follow is left out with all that begins with it, so that a mask costs
 * what is allowed and not what there is.
 */
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import type { Acceptor, State } from './acceptor.js';
import { ESCAPE, nextInString, PLAIN, UNICODE } from './string-bytes.js';

export interface TokenTrie {
  /** One bit a token: those that may follow, each as a whole. Tokens without bytes never do. */
  maskOf(acceptor: Acceptor, state: State): Uint32Array;
}

const QUOTE = 0x22;

/** What may follow in the middle of a string, whichever it is. */
interface StringTokens {
  /** Tokens that stay inside it. */
  readonly mask: Uint32Array;
  /** The same, those with the fewest characters first, and how many characters each begins. */
  readonly tokens: readonly number[];
  readonly characters: readonly number[];
  /** Those of them with \u escapes. */
  readonly unicode: readonly number[];
  /** Nodes of the quotes that end it, and how many characters come before. */
  readonly quotes: readonly (readonly [node: number, characters: number, escapes: boolean])[];
}

export function createTokenTrie(tokenizer: Tokenizer): TokenTrie {
  const { size } = tokenizer;
  // As text of one character a byte, which sorts like its bytes, and fast. Tokens with the same bytes are chained.
  const tokenOf = new Map<string, number>();
  const alike = new Map<number, number>();
  for (let token = 0; token < size; token++) {
    const bytes = tokenizer.bytes(token);
    if (bytes.length === 0 || tokenizer.ends.has(token)) continue;
    const text = String.fromCharCode(...bytes);
    const other = tokenOf.get(text);
    if (other !== undefined) alike.set(token, other);
    tokenOf.set(text, token);
  }
  const bytes: number[] = [];
  const depths: number[] = [];
  /** Token that ends at a node, or -1. */
  const tokens: number[] = [];
  let before = '';
  for (const text of [...tokenOf.keys()].sort()) {
    let shared = 0;
    while (shared < before.length && before.charCodeAt(shared) === text.charCodeAt(shared)) shared++;
    for (let depth = shared; depth < text.length; depth++) {
      bytes.push(text.charCodeAt(depth));
      depths.push(depth);
      tokens.push(-1);
    }
    tokens[tokens.length - 1] = tokenOf.get(text)!;
    before = text;
  }
  const count = bytes.length;
  const byteAt = Uint8Array.from(bytes);
  const depthAt = Uint32Array.from(depths);
  const tokenAt = Int32Array.from(tokens);
  /** First node that is not below this one. */
  const after = new Uint32Array(count);
  const open: number[] = [];
  for (let node = 0; node <= count; node++) {
    const depth = node < count ? depthAt[node]! : 0;
    while (open.length > depth) after[open.pop()!] = node;
    open.push(node);
  }
  const words = (size + 31) >> 5;
  const deepest = depths.reduce((most, depth) => Math.max(most, depth + 1), 0);

  function* tokensOf(node: number): Generator<number> {
    for (let token: number | undefined = tokenAt[node]; token !== undefined && token >= 0; token = alike.get(token))
      yield token;
  }
  const allow = (mask: Uint32Array, token: number): void => void (mask[token >> 5]! |= 1 << (token & 31));

  const path: State[] = Array.from({ length: deepest + 1 });
  /** All below `from - 1` that may follow `state`, where `base` is the depth of the first. */
  function walk(mask: Uint32Array, acceptor: Acceptor, state: State, from: number, to: number, base: number): void {
    path[base] = state;
    for (let node = from; node < to;) {
      const depth = depthAt[node]!;
      const next = acceptor.step(path[depth]!, byteAt[node]!);
      if (!next) {
        node = after[node]!;
        continue;
      }
      path[depth + 1] = next;
      if (tokenAt[node]! >= 0) for (const token of tokensOf(node)) allow(mask, token);
      node++;
    }
  }

  // The commonest place is the middle of a string. What stays inside it is the same in all; what leaves it are the nodes of a quote.
  let inString: StringTokens | undefined;
  function stringTokens(): StringTokens {
    if (inString) return inString;
    const mask = new Uint32Array(words);
    const quotes: [node: number, characters: number, escapes: boolean][] = [];
    const tokensBy: [token: number, characters: number][] = [];
    const unicode: number[] = [];
    const places: number[] = [PLAIN];
    const characters: number[] = [0];
    const escapes: boolean[] = [false];
    for (let node = 0; node < count;) {
      const depth = depthAt[node]!;
      const [place, byte] = [places[depth]!, byteAt[node]!];
      const next = nextInString(place, byte);
      if (next === undefined) {
        if (place === PLAIN && byte === QUOTE) quotes.push([node, characters[depth]!, escapes[depth]!]);
        node = after[node]!;
        continue;
      }
      places[depth + 1] = next;
      characters[depth + 1] = characters[depth]! + Number(place === PLAIN);
      escapes[depth + 1] = escapes[depth]! || (place === ESCAPE && byte === UNICODE);
      for (const token of tokensOf(node)) {
        allow(mask, token);
        tokensBy.push([token, characters[depth + 1]!]);
        if (escapes[depth + 1]!) unicode.push(token);
      }
      node++;
    }
    tokensBy.sort(([, a], [, b]) => a - b);
    const order = { tokens: tokensBy.map(([token]) => token), characters: tokensBy.map(([, each]) => each) };
    return (inString = { mask, quotes, unicode, ...order });
  }

  function stringMask(
    acceptor: Acceptor,
    state: State,
    { length, least, most }: NonNullable<State['string']>,
  ): Uint32Array {
    const { mask: inside, quotes, unicode, tokens: ordered, characters } = stringTokens();
    let mask: Uint32Array;
    if (most - length >= deepest) mask = inside.slice();
    else {
      mask = new Uint32Array(words);
      for (let k = 0; k < ordered.length && length + characters[k]! <= most; k++) allow(mask, ordered[k]!);
    }
    // Few tokens have such escapes, and each is looked at where they may not stand.
    if (length < least)
      for (const token of unicode)
        if (!follows(acceptor, state, tokenizer.bytes(token))) mask[token >> 5]! &= ~(1 << (token & 31));
    const closed = acceptor.closed(state);
    for (const [node, more, escapes] of quotes) {
      if (length + more < least || length + more > most || (escapes && length < least)) continue;
      for (const token of tokensOf(node)) allow(mask, token);
      walk(mask, acceptor, closed, node + 1, after[node]!, depthAt[node]! + 1);
    }
    return mask;
  }

  return {
    maskOf(acceptor, state) {
      if (state.string) return stringMask(acceptor, state, state.string);
      const mask = new Uint32Array(words);
      walk(mask, acceptor, state, 0, count, 0);
      return mask;
    },
  };
}

function follows(acceptor: Acceptor, state: State, bytes: Iterable<number>): boolean {
  let at: State | undefined = state;
  for (const byte of bytes) at = at && acceptor.step(at, byte);
  return at !== undefined;
}
