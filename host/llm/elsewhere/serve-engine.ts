/**
 * The worker's side of an engine in a worker: `serveEngine(parentPort ?? self, openLanguageModel(...))`. What the page or the program gets
 * of it is `createWorkerEngine(worker)`.
 */
import { openWire, type RemotePort } from '../../device/remote-port.js';
import { packError } from '../../device/remote-protocol.js';
import { CREDIT, type EngineClientMessage, type EngineServerMessage, type WireRequest } from './engine-protocol.js';
import type { TextChunk, TextEngine } from '../engine/text-engine.js';

export interface ServedEngine {
  /** Resolves when the client has closed the engine, or is gone, and everything is released. Never rejects. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

interface Answer {
  readonly stopping: AbortController;
  credit: number;
  wake: () => void;
}

/**
 * Serves `engine` to the one client at the other end of `port`, and closes it with that client. A promise may be given: the client waits for
 * it, and gets its error where it rejects.
 */
export function serveEngine(port: RemotePort, engine: TextEngine | Promise<TextEngine>): ServedEngine {
  const opening = Promise.resolve(engine);
  // Told to the client when it asks.
  opening.catch(() => {});
  const answers = new Map<number, Answer>();
  let reachable = true;
  let greeted = false;
  let closing: Promise<void> | undefined;
  let resolveClosed: () => void;
  const closed = new Promise<void>((resolve) => (resolveClosed = resolve));

  const post = (message: EngineServerMessage): void => {
    if (reachable) wire.post(message);
  };

  const close = (): Promise<void> =>
    (closing ??= (async () => {
      for (const { stopping, wake } of answers.values()) {
        stopping.abort();
        wake();
      }
      try {
        await (await opening).close();
      } catch {
        // An engine that never opened, or that fails while closing, has nothing left to release.
      }
      post({ kind: 'engine closed' });
      wire.detach();
      resolveClosed();
    })());

  async function greet(): Promise<void> {
    if (greeted) return;
    greeted = true;
    try {
      const { name, context, chat, usage } = await opening;
      post({ kind: 'engine ready', name, context, chat, usage });
    } catch (error) {
      post({ kind: 'engine unavailable', error: packError(error) });
      await close();
    }
  }

  async function answer(ask: number, work: (own: Answer, model: TextEngine) => Promise<void>): Promise<void> {
    const model = await opening.catch(() => undefined);
    if (!model || closing) return;
    const own: Answer = { stopping: new AbortController(), credit: CREDIT, wake: () => {} };
    answers.set(ask, own);
    try {
      await work(own, model);
    } catch (error) {
      // Who stopped it does not wait for news of it.
      if (!own.stopping.signal.aborted)
        post({ kind: 'engine failed', ask, error: packError(error), usage: model.usage });
    } finally {
      answers.delete(ask);
    }
  }

  const generate = (ask: number, request: WireRequest): Promise<void> =>
    answer(ask, async (own, model) => {
      const { signal } = own.stopping;
      for await (const chunk of model.generate({ ...request, signal })) {
        while (own.credit === 0 && !signal.aborted) await new Promise<void>((resolve) => (own.wake = resolve));
        if (signal.aborted) return;
        own.credit--;
        post({ kind: 'engine chunks', ask, chunks: [spelled(chunk, model)], usage: model.usage });
      }
      post({ kind: 'engine done', ask, usage: model.usage });
    });

  const wire = openWire<EngineClientMessage, EngineServerMessage>(
    port,
    (message) => {
      switch (message.kind) {
        case 'engine open':
          return void greet();
        case 'engine generate':
          return void generate(message.ask, message.request);
        case 'engine embed':
          return void answer(message.ask, async ({ stopping: { signal } }, model) => {
            const embeddings = await model.embed(message.texts, { signal });
            post({ kind: 'engine embedded', ask: message.ask, embeddings });
          });
        case 'engine credit': {
          const own = answers.get(message.ask);
          if (!own) return;
          own.credit += message.chunks;
          return own.wake();
        }
        case 'engine stop': {
          const own = answers.get(message.ask);
          own?.stopping.abort();
          return own?.wake();
        }
        case 'engine close':
          return void close();
      }
    },
    () => {
      reachable = false;
      void close();
    },
  );
  post({ kind: 'engine hello' });
  return { closed, close };
}

/** With the texts of tokens, which the other side has no tokenizer for. */
function spelled(chunk: TextChunk, { tokenizer }: TextEngine): TextChunk {
  if (!chunk.topLogprobs || !tokenizer) return chunk;
  const text = (token: number | undefined): object =>
    token === undefined ? {} : { text: tokenizer.decode([token], { special: true }) };
  return { ...chunk, topLogprobs: chunk.topLogprobs.map((each) => ({ ...text(each.token), ...each })) };
}
