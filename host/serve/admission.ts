/** How many requests run at once, and how many wait for that, first come first served. */
import { ApiError } from './api-error.js';

export interface AdmissionLimits {
  readonly running: number;
  readonly queue: number;
  readonly queueMs: number;
}

export interface Admission {
  readonly running: number;
  readonly waiting: number;
  /**
   * Waits for `places` of them. Resolves with what gives them back.
   * @throws ApiError 429 when the queue is full, 503 when it took too long; the signal's reason
   */
  enter(places: number, signal: AbortSignal): Promise<() => void>;
  /** Sends away everyone who waits. */
  clear(reason: ApiError): void;
}

interface Waiting {
  readonly places: number;
  admit(): void;
  refuse(reason: unknown): void;
}

export function createAdmission(limits: AdmissionLimits): Admission {
  const queue = new Set<Waiting>();
  let running = 0;

  function take(places: number): () => void {
    running += places;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      running -= places;
      letIn();
    };
  }

  function letIn(): void {
    for (const next of queue) {
      if (running + next.places > limits.running) return;
      next.admit();
    }
  }

  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.size;
    },
    async enter(places, signal) {
      if (signal.aborted) throw signal.reason;
      if (places > limits.running)
        throw new ApiError(400, `a request of ${places} answers; at most ${limits.running} run at once`, {
          param: 'n',
        });
      if (queue.size === 0 && running + places <= limits.running) return take(places);
      if (queue.size >= limits.queue) {
        throw new ApiError(429, `${queue.size} requests are waiting already; try again later`, {
          code: 'queue_full',
          headers: { 'retry-after': '1' },
        });
      }
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', aborted);
          queue.delete(waiting);
        };
        const waiting: Waiting = {
          places,
          admit() {
            leave();
            resolve(take(places));
          },
          refuse(reason) {
            leave();
            // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason of a signal is what it is
            reject(reason);
            letIn();
          },
        };
        const aborted = (): void => waiting.refuse(signal.reason);
        const timer = setTimeout(() => {
          waiting.refuse(
            new ApiError(503, `no place was free within ${limits.queueMs} ms; try again later`, {
              code: 'queue_timeout',
              headers: { 'retry-after': '1' },
            }),
          );
        }, limits.queueMs);
        signal.addEventListener('abort', aborted, { once: true });
        queue.add(waiting);
      });
    },
    clear(reason) {
      for (const waiting of [...queue]) waiting.refuse(reason);
    },
  };
}
