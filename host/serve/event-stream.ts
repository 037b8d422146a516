/**
 * Server-sent events that are made only as fast as the client reads them: nothing is asked of `events` while earlier bytes wait, and a client that
 * does not read for too long is cut off.
 */

export interface EventStreamOptions {
  /** Longest time that bytes may wait for the client. */
  readonly stallMs: number;
  /** The client left (undefined) or read nothing for too long. */
  onCut(why: 'client' | 'stalled'): void;
  /** Ends the connection; the stream fails instead where there is none of its own. */
  readonly drop?: (() => void) | undefined;
  /** What is told to the client when `events` fails: the stream has begun, so there is no status any more. */
  failed(error: unknown): object;
  /** Once, in any case. */
  onEnd(): void;
}

export function eventStream(
  events: AsyncGenerator<object, void, undefined>,
  { stallMs, onCut, drop, failed, onEnd }: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const bytes = (event: object): Uint8Array => encoder.encode(`data: ${JSON.stringify(event)}\n\n`);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const end = (): void => {
    clearTimeout(timer);
    if (ended) return;
    ended = true;
    onEnd();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(timer);
        try {
          const next = await events.next();
          if (ended) return;
          if (next.done) {
            controller.enqueue(encoder.encode('data: [DONE]\n\n'));
            controller.close();
            return end();
          }
          controller.enqueue(bytes(next.value));
          timer = setTimeout(() => {
            onCut('stalled');
            end();
            void settled(events);
            if (drop) drop();
            else controller.error(new Error('the client does not read'));
          }, stallMs);
        } catch (error) {
          if (ended) return;
          controller.enqueue(bytes(failed(error)));
          controller.close();
          end();
        }
      },
      async cancel() {
        if (!ended) onCut('client');
        end();
        await settled(events);
      },
    },
    { highWaterMark: 1 },
  );
}

/** Ends a generator whose request has been aborted already; its error has been dealt with. */
async function settled(events: AsyncGenerator<object, void, undefined>): Promise<void> {
  await events.return().catch(() => {});
}
