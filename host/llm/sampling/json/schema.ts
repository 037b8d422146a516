/** JSON schemas as a grammar: which values there may be, in a form that an acceptor steps through byte by byte. */
import { TuttiError } from '../../../errors.js';

/** Bytes of texts, shared beginnings once. */
export interface Spelling {
  readonly next: Map<number, Spelling>;
  /** Index of the text that ends here. */
  end: number | undefined;
}

export interface Property {
  readonly name: string;
  readonly value: Grammar;
  readonly required: boolean;
}

export type Grammar =
  | { readonly kind: 'any' }
  | { readonly kind: 'string'; readonly least: number; readonly most: number }
  | { readonly kind: 'number'; readonly integer: boolean }
  | { readonly kind: 'literal'; readonly spelling: Spelling }
  /** Properties come in this order; others, where `rest` allows them, after them. */
  | { readonly kind: 'object'; readonly properties: readonly Property[]; readonly rest: Grammar | undefined }
  | { readonly kind: 'array'; readonly items: Grammar; readonly least: number; readonly most: number }
  | { readonly kind: 'union'; readonly of: readonly Grammar[] }
  | { readonly kind: 'reference'; readonly target: () => Grammar };

export const ANY: Grammar = { kind: 'any' };
export const ANY_OBJECT: Grammar = { kind: 'object', properties: [], rest: ANY };
export const ANY_ARRAY: Grammar = { kind: 'array', items: ANY, least: 0, most: Infinity };
export const ANY_STRING: Grammar = { kind: 'string', least: 0, most: Infinity };

const encoder = new TextEncoder();

export function spell(texts: readonly string[], from = 0, to = texts.length): Spelling {
  const root: Spelling = { next: new Map<number, Spelling>(), end: undefined };
  texts.forEach((text, index) => {
    if (index < from || index >= to) return;
    let at = root;
    for (const byte of encoder.encode(text)) {
      let next = at.next.get(byte);
      if (!next) at.next.set(byte, (next = { next: new Map<number, Spelling>(), end: undefined }));
      at = next;
    }
    at.end ??= index;
  });
  return root;
}

/** Say nothing about which values are valid. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  ...['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'format'],
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'strict', 'name'],
]);
const DEEPEST = 64;
const MOST_LITERALS = 10_000;
/** Numbers are written with so many digits before the point at most: bounds beyond that always hold. */
export const NUMBER_DIGITS = 15;

type Schema = Readonly<Record<string, unknown>>;

/**
 * @param where path of the schema, for messages
 * @throws TuttiError OPTION_INVALID naming the keyword that is wrong or not supported
 */
export function grammarOf(root: unknown, where: string): Grammar {
  const references = new Map<string, { grammar?: Grammar }>();
  const refuse = (path: string, what: string): never => {
    throw new TuttiError('OPTION_INVALID', `${path} ${what}`, { where: path });
  };

  function reference(to: unknown, path: string): Grammar {
    if (typeof to !== 'string' || !/^#(\/|$)/.test(to))
      return refuse(path, `is ${String(to)}; only references within the schema ("#/$defs/...") are supported`);
    let held = references.get(to);
    if (!held) {
      references.set(to, (held = {}));
      const keys = to.slice(1).split('/').slice(1);
      let target: unknown = root;
      for (const key of keys) {
        const name = decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~');
        target = isObject(target) && Object.hasOwn(target, name) ? target[name] : undefined;
      }
      if (target === undefined) return refuse(path, `names ${to}, which is not there`);
      held.grammar = compile(target, `${where}${to.slice(1).replaceAll('/', '.')}`, 0);
    }
    const { grammar } = held;
    return grammar ?? { kind: 'reference', target: () => held.grammar! };
  }

  function compile(schema: unknown, path: string, depth: number): Grammar {
    if (schema === true) return ANY;
    if (!isObject(schema)) return refuse(path, 'must be a schema: an object, or true');
    if (depth > DEEPEST) return refuse(path, `is nested deeper than ${DEEPEST} schemas`);
    const rest = new Set(Object.keys(schema).filter((key) => !ANNOTATIONS.has(key)));
    const take = (key: string): unknown => (rest.delete(key) ? schema[key] : undefined);
    const done = <T extends Grammar>(grammar: T): T => {
      for (const key of rest) refuse(`${path}.${key}`, 'is not supported in answers');
      return grammar;
    };
    const list = (key: string): readonly unknown[] => {
      const value = take(key);
      if (Array.isArray(value) && value.length > 0) return value as unknown[];
      return refuse(`${path}.${key}`, 'must be a list that is not empty');
    };
    if (rest.has('$ref')) return done(reference(take('$ref'), `${path}.$ref`));
    for (const key of ['anyOf', 'oneOf']) {
      if (!rest.has(key)) continue;
      take('type');
      return done({ kind: 'union', of: list(key).map((each, k) => compile(each, `${path}.${key}[${k}]`, depth + 1)) });
    }
    if (rest.has('allOf')) {
      const all = list('allOf');
      if (all.length > 1) return refuse(`${path}.allOf`, 'with more than one schema is not supported in answers');
      return done(compile(all[0], `${path}.allOf[0]`, depth + 1));
    }
    if (rest.has('const') || rest.has('enum')) {
      const values = rest.has('const') ? [take('const')] : list('enum');
      take('type');
      if (values.length > MOST_LITERALS) return refuse(`${path}.enum`, `has more than ${MOST_LITERALS} values`);
      return done({ kind: 'literal', spelling: spell(values.map((value) => JSON.stringify(value))) });
    }
    const type = take('type') ?? ('properties' in schema ? 'object' : 'items' in schema ? 'array' : undefined);
    if (type === undefined) return done(ANY);
    const types: readonly unknown[] = Array.isArray(type) ? type : [type];
    if (types.length === 0) return refuse(`${path}.type`, 'is an empty list');
    const of = types.map((each) => typed(each, schema, path, depth, take));
    return done(of.length === 1 ? of[0]! : { kind: 'union', of });
  }

  function typed(type: unknown, schema: Schema, path: string, depth: number, take: (key: string) => unknown): Grammar {
    const count = (key: string, otherwise: number): number => {
      take(key);
      const value = schema[key] ?? otherwise;
      if (typeof value === 'number' && value >= 0 && (Number.isInteger(value) || value === otherwise)) return value;
      return refuse(`${path}.${key}`, 'must be a whole number of at least 0');
    };
    const ordered = (least: number, most: number, keys: string): void => {
      if (least > most) refuse(path, `has ${keys} that nothing can meet`);
    };
    switch (type) {
      case 'null':
        return { kind: 'literal', spelling: spell(['null']) };
      case 'boolean':
        return { kind: 'literal', spelling: spell(['true', 'false']) };
      case 'string': {
        const [least, most] = [count('minLength', 0), count('maxLength', Infinity)];
        ordered(least, most, 'minLength and maxLength');
        return { kind: 'string', least, most };
      }
      case 'number':
      case 'integer':
        for (const [key, sign] of Object.entries({
          minimum: -1,
          maximum: 1,
          exclusiveMinimum: -1,
          exclusiveMaximum: 1,
        })) {
          const bound = schema[key];
          if (typeof bound === 'number' && bound * sign >= 10 ** NUMBER_DIGITS && type === 'integer') take(key);
        }
        return { kind: 'number', integer: type === 'integer' };
      case 'array': {
        take('items');
        if (schema['uniqueItems'] === false) take('uniqueItems');
        const [least, most] = [count('minItems', 0), count('maxItems', Infinity)];
        ordered(least, most, 'minItems and maxItems');
        const items = schema['items'] === undefined ? ANY : compile(schema['items'], `${path}.items`, depth + 1);
        return { kind: 'array', items, least, most };
      }
      case 'object':
        return object(schema, path, depth, take);
      default:
        return refuse(`${path}.type`, `is ${JSON.stringify(type)}, which is no type of JSON`);
    }
  }

  function object(schema: Schema, path: string, depth: number, take: (key: string) => unknown): Grammar {
    for (const key of ['properties', 'required', 'additionalProperties']) take(key);
    const names = schema['propertyNames'];
    if (isObject(names) && Object.keys(names).every((key) => key === 'type') && names['type'] === 'string')
      take('propertyNames');
    const { properties = {}, required = [], additionalProperties: others } = schema;
    if (!isObject(properties)) return refuse(`${path}.properties`, 'must be an object');
    if (!Array.isArray(required)) return refuse(`${path}.required`, 'must be a list of names');
    const list = Object.entries(properties).map(([name, value]) => ({
      name,
      value: compile(value, `${path}.properties.${name}`, depth + 1),
      required: required.includes(name),
    }));
    const missing = (required as unknown[]).find((name) => !list.some((property) => property.name === name));
    if (missing !== undefined)
      return refuse(`${path}.required`, `names ${String(missing)}, which is not among the properties`);
    // What a schema with properties leaves open is not made up.
    const open = others === true || (others === undefined && list.length === 0);
    const rest = open ? ANY : isObject(others) ? compile(others, `${path}.additionalProperties`, depth + 1) : undefined;
    return { kind: 'object', properties: list, rest };
  }

  const grammar = compile(root, where, 0);
  for (const [to, held] of references)
    if (isCircular(held.grammar!)) refuse(where, `describes ${to} by nothing but itself`);
  return grammar;
}

/** Whether a grammar comes back to itself without a byte in between. */
function isCircular(grammar: Grammar, above: readonly Grammar[] = []): boolean {
  if (above.includes(grammar)) return true;
  if (grammar.kind === 'reference') return isCircular(grammar.target(), [...above, grammar]);
  return grammar.kind === 'union' && grammar.of.some((each) => isCircular(each, [...above, grammar]));
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
