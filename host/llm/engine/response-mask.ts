/** Masks that hold an answer to the format that a request asks for. */
import { TuttiError } from '../../errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { TokenMask } from './sampler.js';
import type { TextRequest } from './text-engine.js';

export type ResponseMasks = (
  request: Pick<TextRequest, 'responseFormat' | 'tools' | 'toolChoice'>,
) => TokenMask | undefined;

/** @throws TuttiError OPTION_INVALID naming what of a schema is not supported */
export function createResponseMasks(_tokenizer: Tokenizer): ResponseMasks {
  return ({ responseFormat, toolChoice = 'auto' }) => {
    if ((responseFormat === undefined || responseFormat.type === 'text') && toolChoice === 'auto') return undefined;
    throw new TuttiError('OPTION_INVALID', 'JSON answers come soon', { where: 'responseFormat' });
  };
}
