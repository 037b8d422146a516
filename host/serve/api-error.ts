/** Errors as OpenAI's clients know them: a status, and `{ error: { message, type, param, code } }`. */
import { TuttiError } from '../errors.js';

export interface ApiErrorDetails {
  /** The field of the request that is wrong. */
  readonly param?: string;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly details: ApiErrorDetails;
  constructor(status: number, message: string, details: ApiErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.status = status;
    this.details = details;
  }
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

export function errorBody({ status, message, details }: ApiError): ErrorBody {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  return { error: { message, type, param: details.param ?? null, code: details.code ?? null } };
}

/** Names of our own options, as requests call them. */
const PARAMS: Readonly<Record<string, string>> = {
  maxTokens: 'max_tokens',
  topP: 'top_p',
  topK: 'top_k',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
  frequencyPenalty: 'frequency_penalty',
  presencePenalty: 'presence_penalty',
  topLogprobs: 'top_logprobs',
  toolChoice: 'tool_choice',
};

/** What a client is told of an error. What is no fault of the client's is told without its inside. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof TuttiError)) return new ApiError(500, 'an unexpected error', { cause: error });
  const { code, message, where, facts } = error;
  const param =
    where === undefined
      ? undefined
      : (PARAMS[where] ??
        where
          .replace(/^responseFormat\.schema/, 'response_format.json_schema.schema')
          .replace(/^responseFormat$/, 'response_format')
          .replace(/^logitBias/, 'logit_bias'));
  switch (code) {
    case 'INPUT_INVALID':
    case 'OPTION_INVALID':
    case 'LIMIT_EXCEEDED':
    case 'KERNEL_UNSUPPORTED':
      return new ApiError(400, message, {
        ...(param !== undefined && { param }),
        ...(facts['tokens'] !== undefined && { code: 'context_length_exceeded' }),
        ...(code === 'KERNEL_UNSUPPORTED' && { code: 'unsupported' }),
        cause: error,
      });
    case 'ABORTED':
      return error.cause instanceof ApiError ? error.cause : new ApiError(499, 'the client left', { cause: error });
    case 'WORKFLOW_SHED':
      // Asking again does not make it possible.
      return new ApiError(503, message, {
        ...{ code: 'workflow_shed', headers: { 'x-should-retry': 'false' }, cause: error },
      });
    case 'MEMORY_REFUSED':
      return new ApiError(503, 'the device is short of memory; try again later', { code: 'overloaded', cause: error });
    default:
      return new ApiError(503, 'the model is not available; try again later', { code: 'unavailable', cause: error });
  }
}
