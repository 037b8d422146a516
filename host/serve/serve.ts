/** An HTTP server that speaks OpenAI's interface for whatever engines it is given. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { TuttiError } from '../errors.js';
import type { TextEngine } from '../llm/engine/text-engine.js';
import { createAdmission } from './admission.js';
import { ApiError } from './api-error.js';
import { createApp } from './app.js';
import type { AnsweredRequest, ServeLimits } from './limits.js';
import { createMetrics } from './metrics.js';

export interface ServeOptions {
  /** Engines by the names that requests call them. They stay open when the server closes. */
  readonly models: Readonly<Record<string, TextEngine>>;
  /** Default 8080; 0 takes any that is free. */
  readonly port?: number;
  /** Default 127.0.0.1: this machine only. */
  readonly host?: string;
  /** Requests must carry one of these as bearer token. Default: none is needed. */
  readonly apiKeys?: readonly string[];
  /** Origins whose pages may call, or '*'. Default: none. */
  readonly cors?: readonly string[] | '*';
  /**
   * Default: bodies of 4 MiB, 256 answers at once, 1024 requests that wait 60 s at most, 10 minutes for an answer, 30 s of not reading.
   */
  readonly limits?: Partial<ServeLimits>;
  /** Told of each request when it has been answered. */
  readonly log?: (request: AnsweredRequest) => void;
}

export interface HttpServer {
  /** "http://127.0.0.1:8080" */
  readonly url: string;
  readonly port: number;
  /** Answers being generated, and requests waiting. */
  readonly running: number;
  readonly waiting: number;
  /**
   * Takes no more requests, lets those that run finish within `drainMs` (default 30 s), ends what is left, and closes.
   */
  close(options?: { readonly drainMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_LIMITS: ServeLimits = {
  bodyBytes: 4 * 2 ** 20,
  running: 256,
  queue: 1024,
  queueMs: 60_000,
  requestMs: 600_000,
  stallMs: 30_000,
};

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]', '::1'];

/** @throws TuttiError OPTION_INVALID; DEVICE_UNAVAILABLE when the address cannot be had */
export async function serve(options: ServeOptions): Promise<HttpServer> {
  const { host = '127.0.0.1', port = 8080, apiKeys = [], log = () => {} } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isInteger(value) && value >= (name === 'queue' ? 0 : 1) && value < 2 ** 31) continue;
    throw new TuttiError('OPTION_INVALID', `limits.${name} is ${String(value)}; it must be a whole number above 0`, {
      where: `limits.${name}`,
    });
  }
  const models = new Map(Object.entries(options.models));
  if (models.size === 0) throw new TuttiError('OPTION_INVALID', 'serve needs at least one model', { where: 'models' });
  if (apiKeys.some((key) => key.trim() === ''))
    throw new TuttiError('OPTION_INVALID', 'an API key is empty; leave apiKeys out for none', { where: 'apiKeys' });

  const admission = createAdmission(limits);
  const metrics = createMetrics(models, admission);
  const active = new Set<AbortController>();
  let refusing: ApiError | undefined;
  const app = createApp({
    ...{ models, admission, metrics, limits, apiKeys, active, log },
    cors: options.cors,
    hosts: LOOPBACK.includes(host) && apiKeys.length === 0 ? LOOPBACK : undefined,
    refusing: () => refusing,
  });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  const server = createServer(
    { requestTimeout: 60_000, headersTimeout: 30_000, keepAliveTimeout: 5_000 },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  // A connection on which nothing moves for longer than any answer may take is dead.
  server.timeout = limits.requestMs + limits.queueMs + limits.stallMs;
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;

  let closing: Promise<void> | undefined;
  async function close(drainMs: number): Promise<void> {
    refusing = new ApiError(503, 'the server is shutting down; try another', {
      code: 'draining',
      headers: { 'retry-after': '1', connection: 'close' },
    });
    admission.clear(refusing);
    const until = performance.now() + drainMs;
    while (active.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const stopping of active) {
      metrics.cut('draining');
      stopping.abort(refusing);
    }
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    // What is answered already may still be on its way.
    const timer = setTimeout(() => server.closeAllConnections(), Math.min(1_000, limits.stallMs));
    await closed;
    clearTimeout(timer);
  }

  const handle: HttpServer = {
    url: `http://${name}:${address.port}`,
    port: address.port,
    get running() {
      return admission.running;
    },
    get waiting() {
      return admission.waiting;
    },
    close: ({ drainMs = 30_000 } = {}) => (closing ??= close(drainMs)),
    [Symbol.asyncDispose]: () => handle.close(),
  };
  return handle;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'is taken; choose another port' : `cannot be had (${cause.message})`;
      reject(new TuttiError('DEVICE_UNAVAILABLE', `${host}:${port} ${why}`, { where: 'port', cause }));
    });
    server.listen(port, host, () => resolve());
  });
}
