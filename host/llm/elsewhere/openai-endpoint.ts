/** Any server that speaks OpenAI's HTTP interface (vLLM, llama.cpp's server, a cloud, another of our own) as a text engine. */
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { abortedError, throwIfAborted, TuttiError, type TuttiErrorCode } from '../../errors.js';
import { metadataHeaders, requestBody } from './openai-request.js';
import { answerReader, isFields, MalformedAnswer, readEmbeddings } from './openai-response.js';
import type { TextChunk, TextEngine, TextRequest } from '../engine/text-engine.js';

export interface OpenAiEndpointOptions {
  /** Up to and with the version: "http://localhost:8000/v1". */
  readonly url: string;
  /** What the server calls the model. */
  readonly model: string;
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Most tokens of a prompt and its answer, where that is known. */
  readonly context?: number;
  /**
   * How often a request is sent again when it failed before anything of its answer came: for too many requests (429), failures of the
   * server (5xx) and of the network. Default 2.
   */
  readonly retries?: number;
  /** Longest wait for an answer to begin. Default 120 s. */
  readonly beginMs?: number;
  /** Longest silence within an answer. Default 60 s. */
  readonly silenceMs?: number;
}

/** Largest event of a stream that is taken. */
const MOST_EVENT_CHARACTERS = 2 ** 24;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** Why a try came to nothing. */
interface Failure {
  readonly error: TuttiError;
  /** The same request may do better later. */
  readonly again?: boolean;
  /** What the server asks to wait. */
  readonly pauseMs?: number;
}

/** @throws TuttiError OPTION_INVALID when `url` is none */
export function openAiEndpoint(options: OpenAiEndpointOptions): TextEngine {
  const { model, apiKey, headers = {}, retries = 2, beginMs = 120_000, silenceMs = 60_000 } = options;
  const base = baseUrl(options.url);
  const open = new Set<AbortController>();
  let closed = false;

  const failed = (code: TuttiErrorCode, what: string, cause?: unknown): TuttiError =>
    new TuttiError(code, `${base}: ${what}`, { where: base, ...(cause !== undefined && { cause }) });

  const closedError = (): TuttiError => failed('DEVICE_CLOSED', 'this connection was closed');

  async function statusFailure(response: Response): Promise<Failure> {
    const { status } = response;
    const body = (await response.text().catch(() => '')).slice(0, 10_000);
    const said = messageOf(body) ?? (body.trim().slice(0, 200) || 'without a word');
    const what = `answered ${status}: ${said}`;
    if (status === 429 || status >= 500) {
      const seconds = Number(response.headers.get('retry-after') ?? NaN);
      return {
        error: failed(status === 429 ? 'LIMIT_EXCEEDED' : 'DEVICE_UNAVAILABLE', `${what}; try again later`),
        again: true,
        ...(seconds >= 0 && { pauseMs: Math.min(1000 * seconds, LONGEST_PAUSE_MS) }),
      };
    }
    if (status === 401 || status === 403) return { error: failed('OPTION_INVALID', `${what}; check apiKey`) };
    if (status === 404) return { error: failed('OPTION_INVALID', `${what}; check url and model`) };
    return { error: failed('INPUT_INVALID', what) };
  }

  /** One try: what the answer holds, or why there is none. */
  async function* attempt(
    path: string,
    body: object,
    extra: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<unknown, Failure | undefined, undefined> {
    const stopping = new AbortController();
    const stop = (): void => stopping.abort();
    signal?.addEventListener('abort', stop, { once: true });
    open.add(stopping);
    let late: string | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = (ms: number, what: string): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        late = what;
        stopping.abort();
      }, ms);
    };
    try {
      watch(beginMs, `no answer within ${beginMs} ms`);
      const response = await fetch(`${base}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
          ...extra,
          ...headers,
        },
        body: JSON.stringify(body),
        signal: stopping.signal,
      });
      if (!response.ok) return await statusFailure(response);
      const type = response.headers.get('content-type') ?? 'nothing';
      if (/^application\/json\b/i.test(type)) {
        yield parse(await response.text());
        return undefined;
      }
      if (!/^text\/event-stream\b/i.test(type) || !response.body) {
        await response.body?.cancel();
        throw new MalformedAnswer(`it is ${type}, neither JSON nor a stream of events`);
      }
      const events = response.body
        .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
        .pipeThrough(new EventSourceParserStream({ maxBufferSize: MOST_EVENT_CHARACTERS, onError: () => {} }))
        .getReader();
      try {
        for (;;) {
          const { done, value } = await events.read();
          if (done || value.data === '[DONE]') return undefined;
          watch(silenceMs, `silent for ${silenceMs} ms in the middle of an answer`);
          yield parse(value.data);
        }
      } finally {
        await events.cancel().catch(() => {});
      }
    } catch (error) {
      if (signal?.aborted) throw abortedError(signal, 'generation');
      if (closed) throw closedError();
      if (late !== undefined) return { error: failed('DEVICE_UNAVAILABLE', `${late}; is it overloaded?`), again: true };
      if (error instanceof MalformedAnswer)
        return { error: failed('DEVICE_FAILED', `its answer makes no sense: ${error.message}`, error) };
      if (error instanceof TuttiError) throw error;
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const why = cause instanceof Error ? cause.message : String(cause);
      return { error: failed('DEVICE_UNAVAILABLE', `cannot be reached (${why}); is it running?`, error), again: true };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      open.delete(stopping);
      stopping.abort();
    }
  }

  /** Messages of the answer, over as many tries as it takes until the first one comes. */
  async function* messages(
    path: string,
    body: object,
    extra: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<unknown, void, undefined> {
    for (let tries = 0; ; tries++) {
      throwIfAborted(signal, 'generation');
      if (closed) throw closedError();
      const tried = attempt(path, body, extra, signal);
      let begun = false;
      let failure: Failure | undefined;
      try {
        for (;;) {
          const step = await tried.next();
          if (step.done) {
            failure = step.value;
            break;
          }
          begun = true;
          yield step.value;
        }
      } finally {
        await tried.return(undefined);
      }
      if (!failure) return;
      if (begun || !failure.again || tries >= retries) throw failure.error;
      await pause(failure.pauseMs ?? FIRST_PAUSE_MS * 2 ** tries, signal);
    }
  }

  /** What went wrong on the server after it had begun to answer, or in reading it. */
  function reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof MalformedAnswer)) throw error;
      throw failed('DEVICE_FAILED', `its answer makes no sense: ${error.message}`, error);
    }
  }

  return {
    name: model,
    context: options.context,
    chat: true,
    get usage() {
      return { running: open.size };
    },
    async *generate(request: TextRequest): AsyncGenerator<TextChunk, void, undefined> {
      const { signal, messages: conversation, prompt } = request;
      if ((conversation === undefined) === (prompt === undefined)) {
        throw new TuttiError('INPUT_INVALID', 'a request has either a prompt or messages', { where: 'prompt' });
      }
      const path = conversation ? '/chat/completions' : '/completions';
      const reader = answerReader();
      for await (const message of messages(path, requestBody(model, request), metadataHeaders(request), signal)) {
        const wrong =
          isFields(message) && message['error'] !== undefined && message['error'] !== null
            ? message['error']
            : undefined;
        if (wrong !== undefined)
          throw failed('DEVICE_FAILED', `gave up: ${messageOf(message) ?? JSON.stringify(wrong)}`);
        yield* reading(() => reader.read(message));
      }
      const last = reader.end();
      if (!last) throw failed('DEVICE_FAILED', 'its answer was cut off: no reason for its end came; ask again');
      yield last;
    },
    async embed(texts, { signal } = {}) {
      for await (const answer of messages('/embeddings', { model, input: texts }, {}, signal))
        return reading(() => readEmbeddings(answer, texts.length));
      throw failed('DEVICE_FAILED', 'gave no embeddings');
    },
    close() {
      closed = true;
      for (const stopping of open) stopping.abort();
      return Promise.resolve();
    },
  };
}

/** Names of the models that a server has. @throws TuttiError OPTION_INVALID, DEVICE_UNAVAILABLE */
export async function endpointModels(url: string, apiKey?: string): Promise<readonly string[]> {
  const base = baseUrl(url);
  let answer: unknown;
  try {
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const response = await fetch(`${base}/models`, { headers, signal: AbortSignal.timeout(30_000) });
    answer = response.ok ? await response.json() : `status ${response.status}`;
  } catch (cause) {
    throw new TuttiError('DEVICE_UNAVAILABLE', `${base} cannot be asked for its models; is it running?`, {
      where: base,
      cause,
    });
  }
  const list = isFields(answer) ? answer['data'] : undefined;
  const names = (Array.isArray(list) ? (list as unknown[]) : [])
    .map((card) => (isFields(card) ? card['id'] : undefined))
    .filter((id) => typeof id === 'string');
  if (names.length > 0) return names;
  throw new TuttiError(
    'DEVICE_UNAVAILABLE',
    `${base} lists no models (${JSON.stringify(answer).slice(0, 100)}); name one`,
    {
      where: base,
    },
  );
}

function baseUrl(url: string): string {
  if (URL.canParse(url) && /^https?:/.test(url)) return url.replace(/\/+$/, '');
  throw new TuttiError('OPTION_INVALID', `${url} is no address of a server, as "http://localhost:8000/v1" is`, {
    where: 'url',
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new MalformedAnswer(`"${text.slice(0, 60)}" is no JSON`);
  }
}

/** The message of an error in OpenAI's shape, or in one of those that others have made of it. */
function messageOf(body: unknown): string | undefined {
  let value = body;
  if (typeof body === 'string') {
    try {
      value = JSON.parse(body) as unknown;
    } catch {
      return undefined;
    }
  }
  if (!isFields(value)) return undefined;
  const { error = value, detail } = value;
  const said = isFields(error) ? (error['message'] ?? detail) : error;
  return typeof said === 'string' ? said : undefined;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(abortedError(signal!, 'generation'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
