/** Masks that hold an answer to the format that a request asks for. */
import { TuttiError } from '../../errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { createAcceptor, type Acceptor, type State } from './json/acceptor.js';
import { ANY_OBJECT, grammarOf, type Grammar } from './json/schema.js';
import { createTokenTrie, type TokenTrie } from './json/token-trie.js';
import type { TokenMask } from './sampler.js';
import type { TextRequest, ToolDefinition } from '../engine/text-engine.js';

type Format = Pick<TextRequest, 'responseFormat' | 'tools' | 'toolChoice'>;

export type ResponseMasks = (request: Format) => TokenMask | undefined;

/** Formats whose acceptors are kept, with what they have learnt. */
const MOST_FORMATS = 16;
/** Masks that are kept of a format. */
const MOST_MASKS = 256;

interface KnownFormat {
  readonly acceptor: Acceptor;
  /** States with a mask, oldest first. */
  readonly masked: State[];
}

/** @throws TuttiError OPTION_INVALID naming what of a schema is not supported */
export function createResponseMasks(tokenizer: Tokenizer): ResponseMasks {
  let trie: TokenTrie | undefined;
  const formats = new Map<string, KnownFormat>();

  function known(request: Format): KnownFormat | undefined {
    const { responseFormat, tools = [], toolChoice = 'auto' } = request;
    const free = responseFormat === undefined || responseFormat.type === 'text';
    if (toolChoice === 'auto' && free) return undefined;
    const key = JSON.stringify(toolChoice === 'auto' ? responseFormat : [toolChoice, tools]);
    let format = formats.get(key);
    if (format) formats.delete(key);
    else format = { acceptor: createAcceptor(grammarFor(request)), masked: [] };
    formats.set(key, format);
    if (formats.size > MOST_FORMATS) formats.delete(formats.keys().next().value!);
    return format;
  }

  return (request) => {
    const format = known(request);
    if (!format) return undefined;
    const { acceptor, masked } = format;
    trie ??= createTokenTrie(tokenizer);
    let state = acceptor.start();
    return {
      allowed() {
        if (!state.mask) {
          state.mask = trie!.maskOf(acceptor, state);
          if (state.complete) for (const token of tokenizer.ends) state.mask[token >> 5]! |= 1 << (token & 31);
          masked.push(state);
          if (masked.length > MOST_MASKS) masked.shift()!.mask = undefined;
        }
        return state.mask;
      },
      take(token) {
        if (tokenizer.ends.has(token)) return;
        for (const byte of tokenizer.bytes(token)) {
          const next = acceptor.step(state, byte);
          if (!next) {
            throw new TuttiError('INPUT_INVALID', `token ${token} does not fit the response format`, {
              where: 'responseFormat',
            });
          }
          state = next;
        }
      },
      get done() {
        return state.final;
      },
    };
  };
}

function grammarFor({ responseFormat, tools = [], toolChoice = 'auto' }: Format): Grammar {
  if (toolChoice !== 'auto') {
    const chosen = toolChoice === 'required' ? tools : tools.filter(({ name }) => name === toolChoice.name);
    if (chosen.length > 0) return { kind: 'union', of: chosen.map(callGrammar) };
    throw new TuttiError('OPTION_INVALID', 'toolChoice asks for a tool that is not among the tools', {
      where: 'toolChoice',
    });
  }
  return responseFormat?.type === 'json_schema'
    ? grammarOf(responseFormat.schema, 'responseFormat.schema')
    : ANY_OBJECT;
}

/** A call as a JSON object. A tool without parameters takes none. */
function callGrammar({ name, parameters }: ToolDefinition): Grammar {
  const value: Grammar = parameters
    ? grammarOf(parameters, `tools.${name}.parameters`)
    : { kind: 'object', properties: [], rest: undefined };
  const properties = [
    { name: 'name', value: grammarOf({ const: name }, 'name'), required: true },
    { name: 'arguments', value, required: true },
  ];
  return { kind: 'object', properties, rest: undefined };
}
