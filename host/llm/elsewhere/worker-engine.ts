/** An engine that lives in a Worker (of a page, or of worker_threads), behind the interface that it has in place: `serveEngine` is its other side. */
import { abortedError, throwIfAborted, TuttiError } from '../../errors.js';
import { openWire, type RemotePort } from '../../device/remote-port.js';
import { unpackError } from '../../device/remote-protocol.js';
import { CREDIT_STEP, type EngineClientMessage, type EngineServerMessage } from './engine-protocol.js';
import type { Embeddings, EngineUsage, TextChunk, TextEngine } from '../engine/text-engine.js';

export interface WorkerEngineOptions {
  /** Ends the worker when the engine is closed, or does not open. Default false. */
  readonly terminate?: boolean;
  readonly signal?: AbortSignal;
}

/** Someone who waits for messages with one number. */
interface Pending {
  receive(message: EngineServerMessage): void;
  fail(error: Error): void;
}

/**
 * Waits for the engine at the other end of `port`.
 * @throws what opening the engine threw; TuttiError DEVICE_LOST when the worker ends before, ABORTED
 */
export async function createWorkerEngine(port: RemotePort, options: WorkerEngineOptions = {}): Promise<TextEngine> {
  const { signal, terminate = false } = options;
  throwIfAborted(signal, 'opening the engine');
  const pending = new Map<number, Pending>();
  let asks = 0;
  let gone: Error | undefined;
  let usage: EngineUsage = { running: 0 };
  let name = 'engine';
  let closing: Promise<void> | undefined;
  let onClosed = (): void => {};

  let settle: (ready: Extract<EngineServerMessage, { kind: 'engine ready' }> | Error) => void;
  const ready = new Promise<Extract<EngineServerMessage, { kind: 'engine ready' }>>((resolve, reject) => {
    settle = (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome));
  });

  const end = (error: Error): void => {
    gone ??= error;
    settle(gone);
    for (const each of [...pending.values()]) each.fail(gone);
    onClosed();
  };
  const wire = openWire<EngineServerMessage, EngineClientMessage>(
    port,
    (message) => {
      switch (message.kind) {
        case 'engine hello':
          return wire.post({ kind: 'engine open' });
        case 'engine ready':
          return settle(message);
        case 'engine unavailable':
          return end(unpackError(message.error));
        case 'engine closed':
          return end(new TuttiError('DEVICE_CLOSED', `${name} was closed`, { where: name }));
        case 'engine chunks':
        case 'engine done':
        case 'engine failed':
          usage = message.usage;
          break;
        case 'engine embedded':
          break;
      }
      // Messages of other kinds are somebody else's.
      if ('ask' in message) pending.get(message.ask)?.receive(message);
    },
    (why) =>
      end(
        new TuttiError('DEVICE_LOST', `${name} is gone: ${why}; open it again`, {
          where: name,
          facts: { reason: why },
        }),
      ),
  );
  const abort = (): void => end(abortedError(signal!, 'opening the engine'));
  signal?.addEventListener('abort', abort, { once: true });
  wire.post({ kind: 'engine open' });
  let opened: Awaited<typeof ready>;
  try {
    opened = await ready;
  } catch (error) {
    wire.post({ kind: 'engine close' });
    if (terminate) wire.end();
    else wire.detach();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  ({ name, usage } = opened);

  return {
    name,
    context: opened.context,
    chat: opened.chat,
    get usage() {
      return usage;
    },
    async *generate({ signal: stop, ...request }): AsyncGenerator<TextChunk, void, undefined> {
      throwIfAborted(stop, 'generation');
      if (gone) throw gone;
      const ask = asks++;
      const chunks: TextChunk[] = [];
      let finished = false;
      let failure: Error | undefined;
      let wake = (): void => {};
      pending.set(ask, {
        receive(message) {
          if (message.kind === 'engine chunks') chunks.push(...message.chunks);
          else {
            finished = true;
            if (message.kind === 'engine failed') failure = unpackError(message.error);
          }
          wake();
        },
        fail(error) {
          failure = error;
          wake();
        },
      });
      const aborted = (): void => {
        failure = abortedError(stop!, 'generation');
        wake();
      };
      stop?.addEventListener('abort', aborted, { once: true });
      try {
        wire.post({ kind: 'engine generate', ask, request });
        for (let taken = 0; ;) {
          // What came before a failure is still given, but nobody who stopped wants more.
          const chunk = stop?.aborted ? undefined : chunks.shift();
          if (chunk) {
            if (++taken % CREDIT_STEP === 0) wire.post({ kind: 'engine credit', ask, chunks: CREDIT_STEP });
            yield chunk;
          } else if (failure) throw failure;
          else if (finished) return;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        stop?.removeEventListener('abort', aborted);
        pending.delete(ask);
        if (!finished && !gone) wire.post({ kind: 'engine stop', ask });
      }
    },
    embed(texts, { signal: stop } = {}) {
      return new Promise<Embeddings>((resolve, reject) => {
        throwIfAborted(stop, 'embedding');
        if (gone) throw gone;
        const ask = asks++;
        const aborted = (): void => {
          wire.post({ kind: 'engine stop', ask });
          own.fail(abortedError(stop!, 'embedding'));
        };
        const leave = (): void => {
          stop?.removeEventListener('abort', aborted);
          pending.delete(ask);
        };
        const own: Pending = {
          receive(message) {
            leave();
            if (message.kind === 'engine embedded') resolve(message.embeddings);
            else if (message.kind === 'engine failed') reject(unpackError(message.error));
          },
          fail(error) {
            leave();
            reject(error);
          },
        };
        stop?.addEventListener('abort', aborted, { once: true });
        pending.set(ask, own);
        wire.post({ kind: 'engine embed', ask, texts });
      });
    },
    close() {
      closing ??= (async () => {
        if (!gone) {
          const done = new Promise<void>((resolve) => (onClosed = resolve));
          wire.post({ kind: 'engine close' });
          await done;
        }
        if (terminate) wire.end();
        else wire.detach();
      })();
      return closing;
    },
  };
}
