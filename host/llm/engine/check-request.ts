/** What can be told of a request before anything is computed. */
import { TuttiError } from '../../errors.js';
import type { TextRequest } from './text-engine.js';

/** @throws TuttiError INPUT_INVALID, OPTION_INVALID */
export function checkRequest(
  { maxTokens = Infinity, topLogprobs = 0, logitBias = {} }: TextRequest,
  tokens: readonly number[],
  vocabulary: number,
  context: number,
): void {
  const unknown = tokens.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < vocabulary));
  if (unknown >= 0)
    throw new TuttiError('INPUT_INVALID', `prompt[${unknown}] is ${tokens[unknown]}, not a token of the vocabulary`, {
      where: `prompt[${unknown}]`,
    });
  if (tokens.length === 0 || tokens.length >= context) {
    throw new TuttiError(
      'INPUT_INVALID',
      `the prompt has ${tokens.length} tokens; this model takes 1 .. ${context - 1} and answers in what is left of ${context}`,
      { where: 'prompt', facts: { tokens: tokens.length, context } },
    );
  }
  for (const token of Object.keys(logitBias)) {
    if (/^\d+$/.test(token) && Number(token) < vocabulary) continue;
    throw new TuttiError(
      'OPTION_INVALID',
      `logitBias has ${JSON.stringify(token)}, which is no token of the vocabulary; tokens are 0 .. ${vocabulary - 1}`,
      { where: `logitBias.${token}` },
    );
  }
  if (!(maxTokens >= 1))
    throw new TuttiError('OPTION_INVALID', `maxTokens is ${maxTokens}; it must be at least 1`, { where: 'maxTokens' });
  if (!(Number.isInteger(topLogprobs) && topLogprobs >= 0 && topLogprobs <= 20)) {
    throw new TuttiError('OPTION_INVALID', `topLogprobs is ${topLogprobs}; it must be a whole number in 0 .. 20`, {
      where: 'topLogprobs',
    });
  }
}
