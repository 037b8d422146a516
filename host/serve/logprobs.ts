/** Log-probabilities in the two shapes that OpenAI's interface has for them. */
import type { TextChunk, TokenLogprob } from '../llm/engine/text-engine.js';
import type { Tokenizer } from '../llm/tokenizer/tokenizer.js';

interface Spelled {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface ChatLogprob extends Spelled {
  readonly top_logprobs: readonly Spelled[];
}

function spelled({ token, text, logprob }: TokenLogprob, tokenizer: Tokenizer | undefined): Spelled {
  if (token === undefined || !tokenizer) {
    const known = text ?? '';
    return { token: known, logprob, bytes: [...new TextEncoder().encode(known)] };
  }
  const bytes = tokenizer.bytes(token, { special: true });
  return { token: new TextDecoder().decode(bytes), logprob, bytes: [...bytes] };
}

/** Nothing for a chunk without log-probabilities, and for the token that ends the text, which is none of it. */
export function chatLogprobs(chunk: TextChunk, tokenizer: Tokenizer | undefined): readonly ChatLogprob[] {
  const { logprob, token, text, topLogprobs = [] } = chunk;
  if (logprob === undefined || (token !== undefined && tokenizer?.ends.has(token))) return [];
  // An engine elsewhere has no tokenizer here, and its end of a text looks like no text.
  if (!tokenizer && text === '' && chunk.finish === 'stop') return [];
  const own: TokenLogprob = { logprob, text, ...(token !== undefined && { token }) };
  return [{ ...spelled(own, tokenizer), top_logprobs: topLogprobs.map((each) => spelled(each, tokenizer)) }];
}

export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  readonly text_offset: number[];
}

export function completionLogprobs(list: readonly ChatLogprob[], offset: number): CompletionLogprobs {
  const result: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  for (const { token, logprob, top_logprobs: top } of list) {
    result.tokens.push(token);
    result.token_logprobs.push(logprob);
    result.top_logprobs.push(Object.fromEntries(top.map((each) => [each.token, each.logprob])));
    result.text_offset.push(offset);
    offset += token.length;
  }
  return result;
}
