/**
 * Accepts JSON of a grammar byte by byte. A place in a document is a stack of frames; where the grammar has alternatives, several stacks
 * are followed at once. Frames and sets of them are made once each, so that after a while a step is one look into a table.
 */
import { ANY_ARRAY, ANY_OBJECT, ANY_STRING, NUMBER_DIGITS, spell, type Grammar, type Spelling } from './schema.js';
import { ESCAPE, nextInString, PLAIN, UNICODE } from './string-bytes.js';

type ObjectGrammar = Extract<Grammar, { readonly kind: 'object' }>;
type ArrayGrammar = Extract<Grammar, { readonly kind: 'array' }>;

/** What is expected, and in `parent` what comes after it. */
interface Frame {
  readonly id: number;
  readonly at: Place;
  readonly parent: Frame | undefined;
}

/** `space`: how far white space has gone here. `index`: the first property that may still come. */
type Place =
  | { readonly in: 'value'; readonly grammar: Grammar; readonly space: number }
  | { readonly in: 'literal'; readonly spelling: Spelling }
  | {
      readonly in: 'string';
      readonly byte: number;
      readonly length: number;
      readonly least: number;
      readonly most: number;
    }
  | { readonly in: 'number'; readonly part: number; readonly digits: number; readonly integer: boolean }
  | {
      readonly in: 'object';
      readonly grammar: ObjectGrammar;
      readonly step: ObjectStep;
      readonly index: number;
      readonly space: number;
    }
  | {
      readonly in: 'key';
      readonly grammar: ObjectGrammar;
      readonly index: number;
      readonly spelling: Spelling | undefined;
      readonly taken: Spelling | undefined;
      readonly byte: number;
    }
  | {
      readonly in: 'array';
      readonly grammar: ArrayGrammar;
      readonly open: boolean;
      readonly count: number;
      readonly space: number;
    }
  | { readonly in: 'end' };

/** After "{", after a key, after a value, after ",". */
type ObjectStep = 'open' | 'colon' | 'next' | 'comma';

/** Where a document may be. */
export interface State {
  readonly frames: readonly Frame[];
  /** The document may end here. */
  readonly complete: boolean;
  /** Nothing may follow. */
  readonly final: boolean;
  /** Between two characters of a string, and nowhere else: how many it has, and how many it may have. */
  readonly string: { readonly length: number; readonly least: number; readonly most: number } | undefined;
  /** By byte, as far as they are known; null: the byte cannot follow. */
  readonly next: (State | null | undefined)[];
  /** For whoever computes something of a state once. */
  mask: Uint32Array | undefined;
}

export interface Acceptor {
  start(): State;
  /** Undefined when the byte cannot follow. */
  step(state: State, byte: number): State | undefined;
  /** After the end of the string that `state` is in. */
  closed(state: State): State;
}

const QUOTE = 0x22;
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const LITERALS = spell(['true', 'false', 'null']);
/** Spaces in a row after a line break. */
const DEEPEST_INDENT = 40;
/** States that are kept before all are forgotten and made anew as they are needed. */
const MOST_STATES = 4096;

/** How far white space goes on with `byte`: one space, or a line break and an indent; undefined when it does not. */
function moreSpace(space: number, byte: number): number | undefined {
  if (space === 0 && byte === 0x20) return DEEPEST_INDENT + 1;
  if (space === 0 && byte === 0x0a) return 1;
  if (space >= 1 && space < DEEPEST_INDENT && (byte === 0x20 || byte === 0x09)) return space + 1;
  return undefined;
}

export function createAcceptor(root: Grammar): Acceptor {
  let frames = new Map<string, Frame>();
  let states = new Map<string, State>();
  let frameCount = 0;
  const numbers = new Map<object, number>();
  const numberOf = (thing: object | undefined): number => {
    if (!thing) return -1;
    let number = numbers.get(thing);
    if (number === undefined) numbers.set(thing, (number = numbers.size));
    return number;
  };
  /** Names that may come next at a place in an object, by the place. */
  const candidates = new Map<ObjectGrammar, Map<number, Spelling>>();
  const allNames = new Map<ObjectGrammar, Spelling>();

  function frame(at: Place, parent: Frame | undefined): Frame {
    const key = `${keyOf(at)} ${parent?.id ?? -1}`;
    let found = frames.get(key);
    if (!found) frames.set(key, (found = { id: frameCount++, at, parent }));
    return found;
  }

  function keyOf(at: Place): string {
    switch (at.in) {
      case 'value':
        return `v${numberOf(at.grammar)},${at.space}`;
      case 'literal':
        return `l${numberOf(at.spelling)}`;
      case 'string':
        return `s${at.byte},${at.length},${at.least},${at.most}`;
      case 'number':
        return `n${at.part},${at.digits},${at.integer}`;
      case 'object':
        return `o${numberOf(at.grammar)},${at.step},${at.index},${at.space}`;
      case 'key':
        return `k${numberOf(at.grammar)},${at.index},${numberOf(at.spelling)},${numberOf(at.taken)},${at.byte}`;
      case 'array':
        return `a${numberOf(at.grammar)},${at.open},${at.count},${at.space}`;
      case 'end':
        return 'e';
    }
  }

  function stateOf(list: readonly Frame[]): State {
    const unique = [...new Set(list)].sort((a, b) => a.id - b.id);
    const key = unique.map(({ id }) => id).join();
    let state = states.get(key);
    if (!state) {
      const [only] = unique;
      state = {
        frames: unique,
        complete: unique.some(({ at }) => at.in === 'end'),
        final: unique.length === 1 && only!.at.in === 'end',
        string: unique.length === 1 && only!.at.in === 'string' && only!.at.byte === PLAIN ? only!.at : undefined,
        next: [],
        mask: undefined,
      };
      states.set(key, state);
    }
    return state;
  }

  /** Frames after the first byte of a value. */
  function begin(grammar: Grammar, byte: number, parent: Frame): readonly Frame[] {
    switch (grammar.kind) {
      case 'reference':
        return begin(grammar.target(), byte, parent);
      case 'union':
        return grammar.of.flatMap((each) => begin(each, byte, parent));
      case 'any':
        if (byte === 0x7b) return begin(ANY_OBJECT, byte, parent);
        if (byte === 0x5b) return begin(ANY_ARRAY, byte, parent);
        if (byte === QUOTE) return begin(ANY_STRING, byte, parent);
        return [...literal(LITERALS, byte, parent), ...begin({ kind: 'number', integer: false }, byte, parent)];
      case 'literal':
        return literal(grammar.spelling, byte, parent);
      case 'string':
        if (byte !== QUOTE) return [];
        return [frame({ in: 'string', byte: PLAIN, length: 0, least: grammar.least, most: grammar.most }, parent)];
      case 'number':
        return number(0, 0, grammar.integer, byte, parent);
      case 'object':
        return byte === 0x7b ? [frame({ in: 'object', grammar, step: 'open', index: 0, space: 0 }, parent)] : [];
      case 'array':
        return byte === 0x5b ? [frame({ in: 'array', grammar, open: true, count: 0, space: 0 }, parent)] : [];
    }
  }

  function literal(spelling: Spelling, byte: number, parent: Frame): readonly Frame[] {
    const next = spelling.next.get(byte);
    if (!next) return [];
    return [
      ...(next.next.size > 0 ? [frame({ in: 'literal', spelling: next }, parent)] : []),
      ...(next.end !== undefined ? [parent] : []),
    ];
  }

  /**
   * Parts: 0 nothing yet, 1 after "-", 2 a leading zero, 3 digits, 4 after ".", 5 digits after it, 6 after "e", 7 after its sign, 8 its
   * digits. Digits are few, so that a number ends and stays finite.
   */
  function number(part: number, digits: number, integer: boolean, byte: number, parent: Frame): readonly Frame[] {
    const to = (next: number, count = 0): readonly Frame[] => {
      const on = frame({ in: 'number', part: next, digits: count, integer }, parent);
      return next === 2 || next === 3 || next === 5 || next === 8 ? [on, parent] : [on];
    };
    if (isDigit(byte)) {
      if (part <= 1) return byte === 0x30 ? to(2) : to(3, 1);
      if (part === 3) return digits < NUMBER_DIGITS ? to(3, digits + 1) : [];
      if (part === 4 || part === 5) return digits < NUMBER_DIGITS ? to(5, digits + 1) : [];
      if (part >= 6) return digits < 2 ? to(8, digits + 1) : [];
      return [];
    }
    if (byte === 0x2d && part === 0) return to(1);
    if (integer) return [];
    if (byte === 0x2e && (part === 2 || part === 3)) return to(4);
    if ((byte | 0x20) === 0x65 && (part === 2 || part === 3 || part === 5)) return to(6);
    if ((byte === 0x2b || byte === 0x2d) && part === 6) return to(7);
    return [];
  }

  const mayEnd = ({ properties }: ObjectGrammar, index: number): boolean =>
    !properties.slice(index).some(({ required }) => required);

  function names(grammar: ObjectGrammar, index: number): Spelling {
    let byIndex = candidates.get(grammar);
    if (!byIndex) candidates.set(grammar, (byIndex = new Map<number, Spelling>()));
    let spelling = byIndex.get(index);
    if (!spelling) {
      const { properties } = grammar;
      const required = properties.findIndex((property, k) => k >= index && property.required);
      const list = properties.map(({ name }) => inside(name));
      spelling = spell(list, index, required < 0 ? properties.length : required + 1);
      byIndex.set(index, spelling);
    }
    return spelling;
  }

  function key(grammar: ObjectGrammar, index: number, parent: Frame): readonly Frame[] {
    const free = grammar.rest !== undefined && mayEnd(grammar, index);
    const { length } = grammar.properties;
    if (free && length === 0) {
      const colon = frame({ in: 'object', grammar, step: 'colon', index: length, space: 0 }, parent);
      return [frame({ in: 'string', byte: PLAIN, length: 0, least: 0, most: Infinity }, colon)];
    }
    let taken = allNames.get(grammar);
    if (!taken) allNames.set(grammar, (taken = spell(grammar.properties.map(({ name }) => inside(name)))));
    const spelling = names(grammar, index);
    return [
      ...(spelling.next.size > 0 || spelling.end !== undefined
        ? [frame({ in: 'key', grammar, index, spelling, taken: undefined, byte: PLAIN }, parent)]
        : []),
      // A name of one's own, which must not be one of the declared.
      ...(free ? [frame({ in: 'key', grammar, index, spelling: undefined, taken, byte: PLAIN }, parent)] : []),
    ];
  }

  function stepKey(at: Extract<Place, { in: 'key' }>, byte: number, parent: Frame): readonly Frame[] {
    const { grammar, index, spelling, taken } = at;
    if (spelling) {
      const next = spelling.next.get(byte);
      if (next) return [frame({ ...at, spelling: next }, parent)];
      if (byte !== QUOTE || spelling.end === undefined) return [];
      return [frame({ in: 'object', grammar, step: 'colon', index: spelling.end, space: 0 }, parent)];
    }
    if (byte === QUOTE && at.byte === PLAIN) {
      if (taken && taken.end !== undefined) return [];
      return [frame({ in: 'object', grammar, step: 'colon', index: grammar.properties.length, space: 0 }, parent)];
    }
    // Escapes could spell a declared name in another way.
    if (byte === 0x5c) return [];
    const within = nextInString(at.byte, byte);
    return within === undefined
      ? []
      : [frame({ in: 'key', grammar, index, spelling, taken: taken?.next.get(byte), byte: within }, parent)];
  }

  function stepObject(at: Extract<Place, { in: 'object' }>, byte: number, parent: Frame): readonly Frame[] {
    const { grammar, step, index } = at;
    const space = moreSpace(at.space, byte);
    if (space !== undefined) return [frame({ ...at, space }, parent)];
    const { properties, rest } = grammar;
    const more = index < properties.length || rest !== undefined;
    switch (step) {
      case 'open':
        if (byte === 0x7d) return mayEnd(grammar, index) ? [parent] : [];
        return byte === QUOTE && more ? key(grammar, index, parent) : [];
      case 'colon': {
        if (byte !== 0x3a) return [];
        const after = frame(
          { in: 'object', grammar, step: 'next', index: Math.min(index + 1, properties.length), space: 0 },
          parent,
        );
        const value = index < properties.length ? properties[index]!.value : rest!;
        return [frame({ in: 'value', grammar: value, space: 0 }, after)];
      }
      case 'next':
        if (byte === 0x7d) return mayEnd(grammar, index) ? [parent] : [];
        return byte === 0x2c && more ? [frame({ in: 'object', grammar, step: 'comma', index, space: 0 }, parent)] : [];
      case 'comma':
        return byte === QUOTE ? key(grammar, index, parent) : [];
    }
  }

  function stepArray(at: Extract<Place, { in: 'array' }>, byte: number, parent: Frame): readonly Frame[] {
    const { grammar, open, count } = at;
    const { items, least, most } = grammar;
    const space = moreSpace(at.space, byte);
    if (space !== undefined) return [frame({ ...at, space }, parent)];
    // Without an upper bound it does not matter how many there are beyond the lower one.
    const after = (): Frame => {
      const next = most === Infinity ? Math.min(count + 1, least) : count + 1;
      return frame({ in: 'array', grammar, open: false, count: next, space: 0 }, parent);
    };
    if (byte === 0x5d) return count >= least ? [parent] : [];
    if (count >= most) return [];
    if (open) return begin(items, byte, after());
    return byte === 0x2c ? [frame({ in: 'value', grammar: items, space: 0 }, after())] : [];
  }

  function stepFrame({ at, parent }: Frame, byte: number): readonly Frame[] {
    switch (at.in) {
      case 'end':
        return [];
      case 'value': {
        const space = moreSpace(at.space, byte);
        return space === undefined ? begin(at.grammar, byte, parent!) : [frame({ ...at, space }, parent)];
      }
      case 'literal':
        return literal(at.spelling, byte, parent!);
      case 'number':
        return number(at.part, at.digits, at.integer, byte, parent!);
      case 'string': {
        const { length, least, most } = at;
        if (byte === QUOTE && at.byte === PLAIN) return length >= least ? [parent!] : [];
        const next = nextInString(at.byte, byte);
        if (next === undefined) return [];
        if (least === 0 && most === Infinity) return [frame({ ...at, byte: next }, parent)];
        // Each character is counted when it begins. Two \u escapes may be one character, so that they do not help to have enough.
        const begins = at.byte === PLAIN;
        if (begins ? length >= most : at.byte === ESCAPE && byte === UNICODE && length <= least) return [];
        return [frame({ ...at, byte: next, length: begins ? length + 1 : length }, parent)];
      }
      case 'object':
        return stepObject(at, byte, parent!);
      case 'key':
        return stepKey(at, byte, parent!);
      case 'array':
        return stepArray(at, byte, parent!);
    }
  }

  return {
    start() {
      if (states.size > MOST_STATES) {
        frames = new Map();
        states = new Map();
      }
      return stateOf([frame({ in: 'value', grammar: root, space: 0 }, frame({ in: 'end' }, undefined))]);
    },
    step(state, byte) {
      const known = state.next[byte];
      if (known !== undefined) return known ?? undefined;
      const list = state.frames.flatMap((each) => stepFrame(each, byte));
      const next = list.length === 0 ? undefined : stateOf(list);
      state.next[byte] = next ?? null;
      return next;
    },
    closed: (state) => stateOf([state.frames[0]!.parent!]),
  };
}

/** A name as it stands between quotes. */
const inside = (name: string): string => JSON.stringify(name).slice(1, -1);
