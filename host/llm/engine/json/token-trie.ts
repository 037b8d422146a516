/**
 * A vocabulary as a tree of bytes, written out depth first: whatever cannot follow is left out with all that begins with it, so that a mask costs
 * what is allowed and not what there is.
 */
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import type { Acceptor, State } from './acceptor.js';
import { nextInString, PLAIN } from './string-bytes.js';

export interface TokenTrie {
  /** One bit a token: those that may follow, each as a whole. Tokens without bytes never do. */
  maskOf(acceptor: Acceptor, state: State): Uint32Array;
}

export function createTokenTrie(tokenizer: Tokenizer): TokenTrie {
  const { size } = tokenizer;
  // As text of one character a byte, which sorts like its bytes, and fast.
  const spelled: { readonly token: number; readonly text: string }[] = [];
  for (let token = 0; token < size; token++) {
    const bytes = tokenizer.bytes(token);
    if (bytes.length > 0 && !tokenizer.ends.has(token)) spelled.push({ token, text: String.fromCharCode(...bytes) });
  }
  spelled.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.token - b.token));

  const bytes: number[] = [];
  const depths: number[] = [];
  /** Token that ends at a node, or -1; tokens with the same bytes are chained. */
  const tokens: number[] = [];
  const alike = new Map<number, number>();
  let before = '';
  for (const { token, text } of spelled) {
    if (text === before && tokens.length > 0) {
      alike.set(token, tokens.at(-1)!);
      tokens[tokens.length - 1] = token;
      continue;
    }
    let shared = 0;
    while (shared < before.length && shared < text.length && before[shared] === text[shared]) shared++;
    for (let depth = shared; depth < text.length; depth++) {
      bytes.push(text.charCodeAt(depth));
      depths.push(depth);
      tokens.push(depth === text.length - 1 ? token : -1);
    }
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

  const allow = (mask: Uint32Array, node: number): void => {
    for (let token: number | undefined = tokenAt[node]; token !== undefined && token >= 0; token = alike.get(token))
      mask[token >> 5]! |= 1 << (token & 31);
  };

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
      if (tokenAt[node]! >= 0) allow(mask, node);
      node++;
    }
  }

  // The commonest place is the middle of a string. What stays inside it is the same in all; what leaves it are the nodes of a quote.
  let inString: { readonly mask: Uint32Array; readonly quotes: readonly number[] } | undefined;
  function stringTokens(): NonNullable<typeof inString> {
    if (inString) return inString;
    const mask = new Uint32Array(words);
    const quotes: number[] = [];
    const places: number[] = [PLAIN];
    for (let node = 0; node < count;) {
      const depth = depthAt[node]!;
      const place = places[depth]!;
      const next = nextInString(place, byteAt[node]!);
      if (next === undefined) {
        if (place === PLAIN && byteAt[node] === 0x22) quotes.push(node);
        node = after[node]!;
        continue;
      }
      places[depth + 1] = next;
      if (tokenAt[node]! >= 0) allow(mask, node);
      node++;
    }
    return (inString = { mask, quotes });
  }

  return {
    maskOf(acceptor, state) {
      if (!state.inString) {
        const mask = new Uint32Array(words);
        walk(mask, acceptor, state, 0, count, 0);
        return mask;
      }
      const { mask: inside, quotes } = stringTokens();
      const mask = inside.slice();
      const closed = acceptor.step(state, 0x22);
      for (const node of closed ? quotes : []) {
        allow(mask, node);
        walk(mask, acceptor, closed!, node + 1, after[node]!, depthAt[node]! + 1);
      }
      return mask;
    },
  };
}
