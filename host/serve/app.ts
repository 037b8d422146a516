/** The routes, whatever carries them: a function from Request to Response. */
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { cors } from 'hono/cors';
import { METADATA_FIELDS, type TextEngine, type TextRequest } from '../llm/engine/text-engine.js';
import type { Admission } from './admission.js';
import { ApiError, asApiError, errorBody } from './api-error.js';
import { chatEvents, wholeChat, type AnswerFrame } from './chat-answer.js';
import { completionEvents, wholeCompletion } from './completion-answer.js';
import { eventStream } from './event-stream.js';
import { generate, type Generation } from './generation.js';
import type { Metrics } from './metrics.js';
import type { AnsweredRequest, ServeLimits } from './limits.js';
import { chatRequests, completionRequests, parseBody, promptsOf } from './read-request.js';
import { chatRequest, completionRequest, embeddingRequest } from './request-schema.js';

export interface AppParts {
  readonly models: ReadonlyMap<string, TextEngine>;
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly limits: ServeLimits;
  readonly apiKeys: readonly string[];
  readonly cors: readonly string[] | '*' | undefined;
  /** Names that requests may call this host; undefined: any. */
  readonly hosts: readonly string[] | undefined;
  /** Requests under way, so that they can be ended. */
  readonly active: Set<AbortController>;
  /** Why no request is taken any more. */
  refusing(): ApiError | undefined;
  log(request: AnsweredRequest): void;
}

interface Variables {
  since: number;
  id: string;
  error: unknown;
  /** The log is written when the stream is at its end. */
  streaming: boolean;
}
/** What carries the routes may be Node's server, whose connections can be ended. */
interface Env {
  Variables: Variables;
  Bindings: { readonly outgoing: { destroy(): unknown } };
}
type Exchange = Context<Env>;

export function createApp(parts: AppParts): Hono<Env> {
  const { models, admission, metrics, limits } = parts;
  const app = new Hono<Env>();
  const digests = parts.apiKeys.map(digest);

  const finished = (c: Exchange, status: number): void => {
    const ms = performance.now() - c.get('since');
    const path = c.req.path;
    metrics.answered(
      ROUTES.has(path) ? path : path.startsWith('/v1/models/') ? '/v1/models' : 'other',
      status,
      ms / 1e3,
    );
    const error = c.get('error');
    parts.log({ id: c.get('id'), method: c.req.method, path, status, ms, ...(error !== undefined && { error }) });
  };
  const answerError = (c: Exchange, error: unknown): Response => {
    const failure = asApiError(error);
    c.set('error', error);
    return Response.json(errorBody(failure), { status: failure.status, headers: { ...failure.details.headers } });
  };

  app.use(async (c, next) => {
    c.set('since', performance.now());
    c.set('id', c.req.header('x-request-id')?.slice(0, 128) ?? randomUUID());
    await next();
    c.header('x-request-id', c.get('id'));
    if (!c.get('streaming')) finished(c, c.res.status);
  });
  app.onError((error, c) => answerError(c, error));
  app.notFound((c) => {
    return answerError(c, new ApiError(404, `there is no ${c.req.method} ${c.req.path}`, { code: 'unknown_url' }));
  });
  app.use(async (c, next) => {
    // A page elsewhere that resolves its own name to this machine would else get in where there is no key.
    const host = (c.req.header('host') ?? '').replace(/:\d+$/, '');
    if (parts.hosts && !parts.hosts.includes(host))
      throw new ApiError(403, `this server does not answer to the name ${host}`, { code: 'wrong_host' });
    await next();
  });
  if (parts.cors) app.use(cors({ origin: parts.cors === '*' ? '*' : [...parts.cors] }));

  app.get('/health', (c) => {
    const refusing = parts.refusing();
    return c.json({ status: refusing ? 'draining' : 'ok', models: [...models.keys()] }, refusing ? 503 : 200);
  });

  app.use(async (c, next) => {
    const [, key] = /^Bearer\s+(.+)$/i.exec(c.req.header('authorization') ?? '') ?? [];
    if (digests.length > 0 && !(key !== undefined && digests.some((each) => timingSafeEqual(each, digest(key))))) {
      throw new ApiError(401, key === undefined ? 'a key is needed: Authorization: Bearer KEY' : 'wrong key', {
        code: 'invalid_api_key',
        headers: { 'www-authenticate': 'Bearer' },
      });
    }
    await next();
  });

  app.get('/metrics', async (c) => c.text(await metrics.text(), 200, { 'content-type': metrics.contentType }));
  const created = Math.floor(Date.now() / 1e3);
  const card = (id: string, engine: TextEngine): object => ({
    ...{ id, object: 'model', created, owned_by: 'tutti' },
    ...(engine.context !== undefined && { context_length: engine.context }),
  });
  app.get('/v1/models', (c) => c.json({ object: 'list', data: [...models].map(([id, engine]) => card(id, engine)) }));
  app.get('/v1/models/:id{.+}', (c) => c.json(card(c.req.param('id'), engineOf(c.req.param('id')))));

  app.use('/v1/*', async (c, next) => {
    const refusing = parts.refusing();
    if (refusing) throw refusing;
    // Another type is what a page could send without asking this server first.
    if (!/^application\/json\b/i.test(c.req.header('content-type') ?? ''))
      throw new ApiError(400, 'the content-type must be application/json', { code: 'invalid_content_type' });
    await next();
  });
  app.use(
    '/v1/*',
    bodyLimit({
      maxSize: limits.bodyBytes,
      onError: () => {
        throw new ApiError(413, `the body is larger than ${limits.bodyBytes} bytes`, { code: 'body_too_large' });
      },
    }),
  );

  const engineOf = (model: string): TextEngine => {
    const engine = models.get(model);
    if (engine) return engine;
    throw new ApiError(404, `there is no model ${model}; there are ${[...models.keys()].join(', ')}`, {
      param: 'model',
      code: 'model_not_found',
    });
  };

  /** Everything that a request holds while it is under way; `end` gives it back. */
  async function begin(c: Exchange, places: number): Promise<{ stopping: AbortController; end: () => void }> {
    const stopping = new AbortController();
    // Each of many answers listens.
    setMaxListeners(0, stopping.signal);
    const { signal } = c.req.raw;
    const left = (): void => stopping.abort(new ApiError(499, 'the client left'));
    if (signal.aborted) left();
    signal.addEventListener('abort', left, { once: true });
    const timer = setTimeout(() => {
      metrics.cut('timeout');
      stopping.abort(new ApiError(503, `no answer within ${limits.requestMs} ms`, { code: 'timeout' }));
    }, limits.requestMs);
    parts.active.add(stopping);
    let leave = (): void => {};
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', left);
      parts.active.delete(stopping);
      leave();
    };
    try {
      leave = await admission.enter(places, stopping.signal);
    } catch (error) {
      end();
      throw error;
    }
    return { stopping, end };
  }

  interface Asked {
    readonly model: string;
    readonly stream?: boolean | undefined;
    readonly n?: number | undefined;
    readonly metadata?: unknown;
  }

  /** Admission, generation, and an answer that is whole or a stream. */
  async function answer(
    c: Exchange,
    body: Asked,
    requests: readonly TextRequest[],
    whole: (generation: Generation) => Promise<object>,
    events: (generation: Generation) => AsyncGenerator<object, void, undefined>,
  ): Promise<Response> {
    const { model, n = 1 } = body;
    const engine = engineOf(model);
    const { stopping, end } = await begin(c, requests.length);
    const metadata = metadataOf(c);
    const generation = generate(
      engine,
      requests.map((request) => ({ ...request, metadata: { ...request.metadata, ...metadata } })),
      { model, metrics, stopping, n, since: c.get('since') },
    );
    try {
      if (!body.stream) {
        const result = await whole(generation);
        end();
        return c.json(result);
      }
      // Until the first event has come there is a status to say what is wrong.
      const list = events(generation);
      const first = await list.next();
      c.set('streaming', true);
      const stream = eventStream(resumed(first, list), {
        stallMs: limits.stallMs,
        drop: c.env?.outgoing && (() => c.env.outgoing.destroy()),
        onCut(why) {
          metrics.cut(why);
          stopping.abort(new ApiError(499, why === 'client' ? 'the client left' : 'the client does not read'));
        },
        failed(error) {
          c.set('error', error);
          return errorBody(asApiError(error));
        },
        onEnd() {
          end();
          finished(c, 200);
        },
      });
      return new Response(stream, {
        headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
      });
    } catch (error) {
      stopping.abort(error);
      end();
      throw error;
    }
  }

  const frameOf = (model: string, prefix: string, logprobs: boolean): AnswerFrame => ({
    id: `${prefix}-${randomUUID()}`,
    created: Math.floor(Date.now() / 1e3),
    tokenizer: models.get(model)?.tokenizer,
    ...{ model, logprobs },
  });

  app.post('/v1/chat/completions', async (c) => {
    const body = parseBody(await c.req.text(), chatRequest);
    engineOf(body.model);
    const requests = chatRequests(body);
    const frame = {
      ...frameOf(body.model, 'chatcmpl', body.logprobs ?? false),
      choices: requests.length,
      tools: new Set(requests[0]!.tools?.map(({ name }) => name)),
    };
    const includeUsage = body.stream_options?.include_usage ?? false;
    return answer(
      ...([c, body, requests] as const),
      (generation) => wholeChat(generation, frame),
      (generation) => chatEvents(generation, frame, includeUsage),
    );
  });

  app.post('/v1/completions', async (c) => {
    const body = parseBody(await c.req.text(), completionRequest);
    engineOf(body.model);
    const requests = completionRequests(body);
    const frame = { ...frameOf(body.model, 'cmpl', body.logprobs !== undefined), choices: requests.length };
    const includeUsage = body.stream_options?.include_usage ?? false;
    return answer(
      ...([c, body, requests] as const),
      (generation) => wholeCompletion(generation, frame),
      (generation) => completionEvents(generation, frame, includeUsage),
    );
  });

  app.post('/v1/embeddings', async (c) => {
    const {
      model,
      input,
      encoding_format: format = 'float',
      dimensions,
    } = parseBody(await c.req.text(), embeddingRequest);
    const engine = engineOf(model);
    const { stopping, end } = await begin(c, 1);
    try {
      const { vectors, promptTokens } = await engine.embed(promptsOf(input), { signal: stopping.signal });
      const width = vectors[0]?.length ?? 0;
      if (dimensions !== undefined && dimensions !== width)
        throw new ApiError(400, `this model's embeddings have ${width} dimensions`, { param: 'dimensions' });
      metrics.tokens(model, 'prompt', promptTokens);
      return c.json({
        object: 'list',
        data: vectors.map((vector, index) => ({
          ...{ object: 'embedding', index },
          embedding:
            format === 'float'
              ? [...vector]
              : Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64'),
        })),
        model,
        usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
      });
    } finally {
      end();
    }
  });
  return app;
}

const ROUTES: ReadonlySet<string> = new Set([
  ...['/health', '/metrics', '/v1/models'],
  ...['/v1/chat/completions', '/v1/completions', '/v1/embeddings'],
]);

const digest = (key: string): Buffer => createHash('sha256').update(key).digest();

/** What the headers say about a request, for the engine. */
function metadataOf(c: Exchange): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const field of METADATA_FIELDS) {
    const value = c.req.header(`x-tutti-${field.replace('_', '-')}`);
    if (value !== undefined) metadata[field] = value.slice(0, 512);
  }
  return metadata;
}

/** A generator whose first value has been taken already. */
async function* resumed<T>(
  first: IteratorResult<T, void>,
  rest: AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  try {
    if (first.done) return;
    yield first.value;
    yield* rest;
  } finally {
    await rest.return();
  }
}
