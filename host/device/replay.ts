/**
 * Work that outlives its device. State on a device cannot be saved from a loss, so the contract is the simple one: work
 * depends on host state only, and is run again from the start on another device.
 */
import { DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type { Device } from './device.js';
import type { DevicePool, LeaseRequest } from './pool.js';

export interface Replay {
  /** Number of the attempt that was lost, from 0. */
  readonly attempt: number;
  readonly device: Device;
  readonly error: TuttiError;
}

export interface ReplayOptions {
  /** How often the work is begun at most. Default 5. */
  readonly attempts?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called before the work is begun again. */
  readonly onReplay?: (replay: Replay) => void;
}

/** How long the pool's own news of a loss is waited for. */
const LONGEST_NEWS_MS = 250;

/**
 * Leases one device, runs `work` on it, releases it. When the device is lost underneath, another (or the same, opened
 * again) is leased and the work is run again from the start.
 *
 * `work` must depend on host state only, and must leave that state as it found it until it succeeds: allocate, upload,
 * run, read back, all inside. Buffers of an earlier attempt are gone. It should pass its own signal to the device.
 * @throws what `work` threw, at once, unless that was the loss of the device; DeviceLostError after `attempts` losses; what
 *   `pool.lease` throws
 */
export async function runWithReplay<T>(
  pool: DevicePool,
  request: Omit<LeaseRequest, 'count' | 'signal'>,
  work: (device: Device, attempt: number) => Promise<T>,
  options: ReplayOptions = {},
): Promise<T> {
  const { attempts = 5, signal, onReplay } = options;
  if (!Number.isSafeInteger(attempts) || attempts < 1) {
    throw new TuttiError('OPTION_INVALID', `runWithReplay: attempts must be a whole number >= 1, got ${attempts}`);
  }
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal, 'work on a leased device');
    const lease = await pool.lease({ ...request, signal });
    const device = lease.devices[0]!;
    try {
      return await work(device, attempt);
    } catch (error) {
      const loss = lossIn(error);
      if (!loss) throw error;
      if (attempt + 1 >= attempts) {
        throw new DeviceLostError(
          device.id,
          `in the last of ${attempts} attempts: ${String(loss.facts['reason'] ?? loss.message)}`,
          error,
        );
      }
      // The pool must know of the loss before the lease goes back, or the dead device would be leased again.
      await settledOrLate(lease.lost);
      onReplay?.({ attempt, device, error: loss });
    } finally {
      lease.release();
    }
  }
}

/** The loss that `error` is, or that caused it. */
function lossIn(error: unknown): TuttiError | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at instanceof DeviceLostError) return at;
  }
  return undefined;
}

/** The pool learns of a loss in the same moments; a loss of another device than the leased one would never come. */
async function settledOrLate(lost: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([lost, new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_NEWS_MS)))]);
  clearTimeout(timer);
}
