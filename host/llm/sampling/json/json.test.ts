import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { seededRandom } from '../../../random.js';
import { readGguf } from '../../gguf/read-gguf.js';
import { bytesSource } from '../../byte-source.js';
import { tokenizerOf } from '../../tokenizer/from-gguf.js';
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import { createResponseMasks } from '../response-mask.js';
import { createSampler } from '../sampler.js';
import { createAcceptor, type Acceptor, type State } from './acceptor.js';
import { ANY, ANY_OBJECT, grammarOf } from './schema.js';
import { createTokenTrie } from './token-trie.js';

const encoder = new TextEncoder();

function after(acceptor: Acceptor, text: string | Uint8Array, from = acceptor.start()): State | undefined {
  let state: State | undefined = from;
  for (const byte of typeof text === 'string' ? encoder.encode(text) : text) {
    if (!state) return undefined;
    state = acceptor.step(state, byte);
  }
  return state;
}
const accepts = (acceptor: Acceptor, text: string): boolean => after(acceptor, text)?.complete ?? false;

const schemas: Record<string, Record<string, unknown>> = {
  person: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      age: { type: 'integer' },
      tags: { type: 'array', items: { enum: ['a', 'ab', 'b "quoted"', 7, null] }, minItems: 1, maxItems: 3 },
      home: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/place' }] },
      id: { type: ['string', 'integer'] },
    },
    required: ['name', 'tags', 'home'],
    additionalProperties: false,
    $defs: {
      place: {
        type: 'object',
        properties: { street: { type: 'string', minLength: 2, maxLength: 5 }, number: { type: 'number' } },
        required: ['number'],
      },
    },
  },
  tree: {
    $ref: '#/$defs/node',
    $defs: {
      node: {
        type: 'object',
        properties: { value: { type: 'boolean' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } },
        required: ['value'],
        additionalProperties: false,
      },
    },
  },
  shapes: {
    type: 'array',
    items: {
      anyOf: [
        { type: 'object', properties: { kind: { const: 'circle' }, r: { type: 'number' } }, required: ['kind', 'r'] },
        { type: 'object', properties: { kind: { const: 'square' }, s: { type: 'integer' } }, required: ['kind', 's'] },
      ],
    },
    minItems: 1,
  },
  bounded: {
    type: 'array',
    items: { anyOf: [{ type: 'string', minLength: 3, maxLength: 6 }, { type: 'integer' }] },
    minItems: 2,
    maxItems: 4,
  },
  counts: { type: 'object', properties: { n: { type: 'integer' } }, additionalProperties: { type: 'integer' } },
};

describe('the acceptor', () => {
  it('takes every document, compact and indented, and rests where it ends', () => {
    const acceptor = createAcceptor(ANY);
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }), fc.constantFrom(0, 1, 2, 4), (value, indent) => {
        // Numbers have a bounded number of digits.
        const text = JSON.stringify(
          value,
          (_, each: unknown) => (typeof each === 'number' ? Math.round(each % 1e6) : each),
          indent,
        );
        const state = after(acceptor, text);
        expect(state?.complete, text).toBe(true);
        expect(acceptor.step(state!, 0x78)).toBe(undefined);
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it('takes nothing that JSON.parse refuses', () => {
    const acceptor = createAcceptor(ANY);
    const bits = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '0',
      '1',
      '-',
      '.',
      'e',
      '+',
      'true',
      'nul',
      'l',
      ' ',
      '\n',
    ];
    const piece = fc.constantFrom(...bits, '\\', '\\u00', '\\n', 'é', '\t', '\u0001', '12.5e-3', '{"a":', '[1,');
    let taken = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const text = pieces.join('');
        if (!accepts(acceptor, text)) return;
        taken++;
        expect(() => JSON.parse(text) as unknown, text).not.toThrow();
      }),
      { numRuns: 30_000, seed: 2 },
    );
    expect(taken).toBeGreaterThan(500);
  });

  it('holds to a schema', () => {
    const person = createAcceptor(grammarOf(schemas['person'], 's'));
    const good = [
      '{"name":"x","tags":["ab"],"home":null}',
      '{ "name": "", "age": -3, "tags": [7, null, "b \\"quoted\\""], "home": {"number": 1.5e3}, "id": "q"}',
      '{"name":"é","tags":["a"],"home":{"street":"abcde","number":0},"id":12}',
    ];
    const bad = [
      '{"tags":["a"],"home":null}', // a required one is missing
      '{"name":"x","tags":[],"home":null}',
      '{"name":"x","tags":["a","a","a","a"],"home":null}',
      '{"name":"x","tags":["c"],"home":null}',
      '{"name":"x","tags":["a"],"home":null,"more":1}',
      '{"name":"x","tags":["a"],"home":{"street":"a","number":1}}',
      '{"name":"x","tags":["a"],"home":{"street":"abcdef","number":1}}',
      '{"name":"x","age":1.5,"tags":["a"],"home":null}',
      '{"name":"x","tags":["a"],"home":null,"id":true}',
    ];
    for (const text of good) expect(accepts(person, text), text).toBe(true);
    for (const text of bad) expect(accepts(person, text), text).toBe(false);
    const counts = createAcceptor(grammarOf(schemas['counts'], 's'));
    for (const text of ['{}', '{"n":1}', '{"n":1,"m":2}', '{"nn":1,"é":2}'])
      expect(accepts(counts, text), text).toBe(true);
    for (const text of ['{"n":"a"}', '{"m":1,"n":2}', '{"m":"a"}', '{"\\u006e":"a"}'])
      expect(accepts(counts, text), text).toBe(false);
  });

  it('names what it does not support', () => {
    const message = (schema: unknown): string => {
      try {
        grammarOf(schema, 'schema');
        return 'taken';
      } catch (error) {
        return String(error);
      }
    };
    const object = (properties: unknown): unknown => ({ type: 'object', properties });
    expect(message({ type: 'string', pattern: 'a' })).toMatch(/schema\.pattern is not supported/);
    expect(message(object({ a: { type: 'number', minimum: 3 } }))).toMatch(/schema\.properties\.a\.minimum is not/);
    expect(message({ type: 'text' })).toMatch(/schema\.type is "text"/);
    expect(message({ $ref: 'other.json' })).toMatch(/only references within/);
    expect(message({ $ref: '#/$defs/none' })).toMatch(/which is not there/);
    expect(message({ $ref: '#' })).toMatch(/nothing but itself/);
    expect(message({ anyOf: [{ $ref: '#/$defs/a' }], $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } } })).toMatch(
      /nothing but itself/,
    );
    expect(message({ type: 'object', properties: {}, required: ['x'] })).toMatch(/names x/);
    expect(message({ enum: [] })).toMatch(/list that is not empty/);
    expect(message({ type: 'array', minItems: 3, maxItems: 2 })).toMatch(/nothing can meet/);
    expect(message(false)).toMatch(/must be a schema/);
    let deep: unknown = { type: 'string' };
    for (let k = 0; k < 100_000; k++) deep = { type: 'array', items: deep };
    expect(message(deep)).toMatch(/nested deeper/);
  });
});

async function stories(): Promise<Tokenizer> {
  const file = new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf'));
  return tokenizerOf(await readGguf(bytesSource(file)), 'stories');
}

/** Tokens of all kinds: some of several bytes of JSON, some that cut characters. */
function bytesTokenizer(): Tokenizer {
  const texts = [
    '{"',
    '":',
    '", "',
    '"}',
    '"]',
    ']}',
    '},',
    'true',
    'null',
    '\\"',
    '\\u00',
    '"a',
    'ab"',
    ' "',
    '\n  ',
    '[[',
    '": {"name',
    '12',
    '.5',
    'é"',
    '"',
  ];
  const pieces = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...texts.map((text) => encoder.encode(text)),
    new Uint8Array(0),
  ];
  const end = pieces.length - 1;
  return {
    size: pieces.length,
    bos: undefined,
    eos: end,
    ends: new Set([end]),
    encode: () => [],
    decode: (ids) => new TextDecoder().decode(Uint8Array.from([...ids].flatMap((id) => [...pieces[id]!]))),
    bytes: (id) => pieces[id]!,
  };
}

const tokenizers: Readonly<Record<string, () => Tokenizer | Promise<Tokenizer>>> = {
  stories260k: stories,
  'bytes and pieces of JSON': bytesTokenizer,
};

describe.each(Object.entries(tokenizers))('masks over the tokens of %s', (_, open) => {
  it('let through what each token by itself would, in every state of a walk', async () => {
    const tokenizer = await open();
    const trie = createTokenTrie(tokenizer);
    const random = seededRandom(3);
    for (const schema of [undefined, ...Object.values(schemas)]) {
      const acceptor = createAcceptor(schema ? grammarOf(schema, 's') : ANY_OBJECT);
      let state = acceptor.start();
      for (let step = 0; step < 150 && !state.final; step++) {
        const mask = trie.maskOf(acceptor, state);
        const allowed: number[] = [];
        for (let token = 0; token < tokenizer.size; token++) {
          const bytes = tokenizer.bytes(token);
          const alone = bytes.length > 0 && !tokenizer.ends.has(token) && after(acceptor, bytes, state) !== undefined;
          if (((mask[token >> 5]! >> (token & 31)) & 1) !== Number(alone)) expect({ token, alone }).toBe('masked so');
          if (alone) allowed.push(token);
        }
        state = after(acceptor, tokenizer.bytes(allowed[random.below(allowed.length)]!), state)!;
      }
    }
  });

  it('make JSON of noise, whatever the noise, that the schema accepts', async () => {
    const tokenizer = await open();
    const masks = createResponseMasks(tokenizer);
    const random = seededRandom(5);
    const logits = new Float32Array(tokenizer.size);
    let finished = 0;
    for (const [name, schema] of [['object', undefined] as const, ...Object.entries(schemas)]) {
      const valid = schema ? z.fromJSONSchema(schema) : z.looseObject({});
      for (let run = 0; run < 20; run++) {
        const mask = masks({ responseFormat: schema ? { type: 'json_schema', schema } : { type: 'json_object' } })!;
        const sampler = createSampler({ temperature: run % 4 === 0 ? 0 : 1, seed: run }, mask);
        const tokens: number[] = [];
        while (tokens.length < 600 && !sampler.done) {
          for (let token = 0; token < logits.length; token++) {
            // What ends strings, lists and objects is likelier, so that most documents end.
            const closes = /["\]}]/.test(tokenizer.decode([token])) ? 3 + tokens.length / 100 : 0;
            logits[token] = 2 * random.normal() + closes;
          }
          const token = sampler.next(logits, tokens);
          tokens.push(token);
          if (tokenizer.ends.has(token)) break;
        }
        const text = tokenizer.decode(tokens);
        if (!sampler.done && !tokenizer.ends.has(tokens.at(-1)!)) continue;
        finished++;
        const value = JSON.parse(text) as unknown;
        expect(valid.safeParse(value).success, `${name}: ${text}`).toBe(true);
        if (!schema) expect(typeof value).toBe('object');
      }
    }
    expect(finished).toBeGreaterThan(60);
  });
});
