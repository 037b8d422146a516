/** What bounds a server, and what it tells of each request. */

export interface ServeLimits {
  /** Largest body of a request. */
  readonly bodyBytes: number;
  /** Answers generated at once. */
  readonly running: number;
  /** Requests that wait for that. */
  readonly queue: number;
  /** Longest wait. */
  readonly queueMs: number;
  /** Longest time from a request to the end of its answer. */
  readonly requestMs: number;
  /** Longest time that a client may leave what was sent unread. */
  readonly stallMs: number;
}

/** One request that was answered, for a log. */
export interface AnsweredRequest {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly ms: number;
  /** What went wrong, cause and all. */
  readonly error?: unknown;
}
