/**
 * Keeps released device buffers for reuse, by size class, up to a cap. Sizes are rounded to four classes per power of two,
 * so at most a quarter of a buffer is lost to rounding.
 */

export interface BufferPoolStatistics {
  readonly created: number;
  readonly reused: number;
  readonly destroyed: number;
  readonly liveBuffers: number;
  readonly liveBytes: number;
  readonly idleBuffers: number;
  readonly idleBytes: number;
}

export interface BufferPool<Raw> {
  /** A buffer of exactly `classOf(bytes)` bytes; `reused` tells that it holds old content. */
  acquire(bytes: number): { readonly raw: Raw; readonly bytes: number; readonly reused: boolean };
  release(raw: Raw, bytes: number): void;
  /** Destroys a buffer in use, whose state is not to be trusted, instead of keeping it. */
  discard(raw: Raw, bytes: number): void;
  /** Destroys idle buffers until at most `bytes` of them are left. */
  trim(bytes: number): void;
  statistics(): BufferPoolStatistics;
}

/** Smallest class size that holds `bytes`. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const quarter = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  return Math.ceil(bytes / quarter) * quarter;
}

export function createBufferPool<Raw>(options: {
  create(bytes: number): Raw;
  destroy(raw: Raw): void;
  /** Most idle bytes kept. */
  readonly capBytes: number;
}): BufferPool<Raw> {
  /** Map order is release order: the first class with entries is not necessarily the oldest, but trimming needs no more. */
  const idle = new Map<number, Raw[]>();
  let created = 0;
  let reused = 0;
  let destroyed = 0;
  let liveBuffers = 0;
  let liveBytes = 0;
  let idleBuffers = 0;
  let idleBytes = 0;

  const trim = (limit: number): void => {
    for (const [bytes, list] of idle) {
      while (list.length > 0 && idleBytes > limit) {
        options.destroy(list.shift()!);
        destroyed++;
        idleBuffers--;
        idleBytes -= bytes;
      }
      if (list.length === 0) idle.delete(bytes);
    }
  };

  return {
    acquire(requested) {
      const bytes = sizeClass(requested);
      const raw = idle.get(bytes)?.pop();
      if (raw === undefined) {
        const fresh = options.create(bytes);
        created++;
        liveBuffers++;
        liveBytes += bytes;
        return { raw: fresh, bytes, reused: false };
      }
      reused++;
      idleBuffers--;
      idleBytes -= bytes;
      liveBuffers++;
      liveBytes += bytes;
      return { raw, bytes, reused: true };
    },
    release(raw, bytes) {
      liveBuffers--;
      liveBytes -= bytes;
      const list = idle.get(bytes) ?? [];
      if (list.length === 0) idle.set(bytes, list);
      list.push(raw);
      idleBuffers++;
      idleBytes += bytes;
      trim(options.capBytes);
    },
    discard(raw, bytes) {
      liveBuffers--;
      liveBytes -= bytes;
      destroyed++;
      options.destroy(raw);
    },
    trim,
    statistics: () => ({ created, reused, destroyed, liveBuffers, liveBytes, idleBuffers, idleBytes }),
  };
}
