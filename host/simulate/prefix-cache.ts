/**
 * Which beginnings of prompts a node has cached, span by span: a span is what one segment or one stage added to what came before it. Spans that something
 * runs on, or that others go on from, stay; the rest goes longest unused first. As in the live pool, only whole blocks are reused.
 */

/** A span of the prompts' content: where it begins after its parent, and what it is. Known to all nodes alike. */
export interface Content {
  readonly key: number;
  readonly below: Content | undefined;
  /** Tokens before it, of those that `below` ends with or passes. */
  readonly from: number;
  /** Tokens up to its end; for an answer, as soon as it is known. */
  end: number;
}

interface Span {
  readonly content: Content;
  /** Tokens up to where it is cached, and the span that it goes on from. */
  readonly from: number;
  end: number;
  readonly below: Span | undefined;
  users: number;
  /** Users of it, and spans that go on from it and are active themselves. */
  active: number;
  dependents: number;
  blocks: number;
}

export type PinnedSpan = Span;

export interface PrefixCache {
  /** Blocks of spans that are in use, and of those that are not. */
  readonly pinnedBlocks: number;
  readonly idleBlocks: number;
  /** Tokens of a content's beginning that are there, at most `most`. */
  lookUp(content: Content | undefined, most: number): number;
  /** Of those, tokens that something runs on already: sharing them takes no further memory. */
  lookUpPinned(content: Content | undefined, most: number): number;
  /** Keeps what is there of it from being dropped; `computed` says that it is computed now as far as its end. */
  pin(
    content: Content | undefined,
    most: number,
    computed: boolean,
  ): { readonly span: Span | undefined; readonly tokens: number };
  /** Blocks that the same would take which nothing holds now, and the tokens up to which it would be kept. */
  pinCost(
    content: Content | undefined,
    most: number,
    computed: boolean,
  ): { readonly blocks: number; readonly end: number };
  unpin(span: Span | undefined): void;
  /** Caches what a stage has left behind, on top of what it had pinned; unpins that. */
  add(content: Content, from: number, end: number, below: Span | undefined): void;
  /** Drops idle spans until at most so many blocks are idle. Returns how many went. */
  shrinkTo(blocks: number): number;
  clear(): void;
}

export function createPrefixCache(blockSize: number): PrefixCache {
  const spans = new Map<number, Span>();
  /** Without users, and nothing goes on from them; longest unused first. */
  const ends = new Set<Span>();
  let pinned = 0;
  let idleBlocks = 0;

  const whole = (tokens: number): number => tokens - (tokens % blockSize);

  /** The deepest span that is there, and tokens up to where it serves. */
  function find(content: Content | undefined, most: number): { span: Span | undefined; tokens: number } {
    let reach = most;
    for (let at = content; at; at = at.below) {
      const span = spans.get(at.key);
      if (span && span.from < reach) return { span, tokens: whole(Math.min(span.end, reach)) };
      reach = Math.min(reach, at.from);
    }
    return { span: undefined, tokens: 0 };
  }

  /** Something runs on it, or on what goes on from it. Blocks of all others could be dropped, ends first. */
  function enter(span: Span | undefined): void {
    for (let at = span; at; at = at.below) {
      if (at.active++ > 0) return;
      idleBlocks -= at.blocks;
      pinned += at.blocks;
    }
  }

  function leave(span: Span | undefined): void {
    for (let at = span; at; at = at.below) {
      if (--at.active > 0) return;
      pinned -= at.blocks;
      idleBlocks += at.blocks;
    }
  }

  function hold(span: Span): void {
    ends.delete(span);
    span.users++;
    enter(span);
  }

  function letGo(span: Span): void {
    span.users--;
    leave(span);
    if (span.users === 0 && span.dependents === 0) ends.add(span);
  }

  /** In whole blocks: one that is not full belongs to whoever goes on in it. */
  function create(content: Content, from: number, upTo: number, below: Span | undefined): Span {
    const end = Math.max(from, whole(upTo));
    const blocks = (end - from) / blockSize;
    const span: Span = { content, from, end, below, users: 0, active: 0, dependents: 0, blocks };
    if (below) {
      below.dependents++;
      ends.delete(below);
    }
    spans.set(content.key, span);
    ends.add(span);
    idleBlocks += blocks;
    return span;
  }

  function drop(span: Span): void {
    ends.delete(span);
    idleBlocks -= span.blocks;
    spans.delete(span.content.key);
    const { below } = span;
    if (below && --below.dependents === 0 && below.users === 0) ends.add(below);
  }

  /** Spans of segments that are not there yet, from the outermost on. */
  function compute(content: Content | undefined, most: number): Span | undefined {
    if (!content || content.from >= most)
      return content ? compute(content.below, Math.min(most, content.from)) : undefined;
    const there = spans.get(content.key);
    if (there) return there;
    const below = compute(content.below, content.from);
    const from = below ? Math.min(below.end, whole(content.from)) : 0;
    return create(content, from, Math.min(content.end, most), below);
  }

  /** Blocks of a chain that nothing runs on. */
  function idleFrom(span: Span | undefined): number {
    let blocks = 0;
    for (let at = span; at && at.active === 0; at = at.below) blocks += at.blocks;
    return blocks;
  }

  /** What `compute` and holding what it gives would take. */
  function costOf(content: Content | undefined, most: number): { readonly blocks: number; readonly end: number } {
    if (!content) return { blocks: 0, end: 0 };
    if (content.from >= most) return costOf(content.below, Math.min(most, content.from));
    const there = spans.get(content.key);
    if (there) return { blocks: idleFrom(there), end: there.end };
    const below = costOf(content.below, content.from);
    const from = Math.min(below.end, whole(content.from));
    const end = Math.max(from, whole(Math.min(content.end, most)));
    return { blocks: below.blocks + (end - from) / blockSize, end };
  }

  return {
    get pinnedBlocks() {
      return pinned;
    },
    get idleBlocks() {
      return idleBlocks;
    },
    lookUp: (content, most) => find(content, most).tokens,
    lookUpPinned(content, most) {
      const { span, tokens } = find(content, most);
      let reach = tokens;
      for (let at = span; at; at = at.below) {
        if (at.active > 0) return whole(reach);
        reach = Math.min(reach, at.from);
      }
      return 0;
    },
    pinCost(content, most, computed) {
      if (computed) return costOf(content, most);
      const { span } = find(content, most);
      return { blocks: idleFrom(span), end: span?.end ?? 0 };
    },
    pin(content, most, computed) {
      const { tokens, span: found } = find(content, most);
      const span = computed ? compute(content, most) : found;
      if (span) hold(span);
      return { span, tokens };
    },
    unpin(span) {
      if (span) letGo(span);
    },
    add(content, from, end, below) {
      const old = spans.get(content.key);
      if (!old && end > from) create(content, from, end, below);
      if (below) letGo(below);
    },
    shrinkTo(blocks) {
      let dropped = 0;
      while (idleBlocks > blocks) {
        const oldest = ends.values().next().value;
        if (!oldest) break;
        dropped += oldest.blocks;
        drop(oldest);
      }
      return dropped;
    },
    clear() {
      spans.clear();
      ends.clear();
      pinned = 0;
      idleBlocks = 0;
    },
  };
}
