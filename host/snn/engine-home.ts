/** Where engines live: on a device of the caller's, or on what a pool lends; and how work survives the loss of a device. */
import { DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import type { Device, DeviceKind, KernelBody, LongCallOptions } from '../device/device.js';

/** What the engine needs of a device pool. */
export interface DeviceSource {
  lease(request: {
    kind?: DeviceKind | readonly DeviceKind[];
    count?: number;
    bytes?: number;
    signal?: AbortSignal;
  }): Promise<{ readonly devices: readonly Device[]; release(): void }>;
}

/** Where an engine runs: on a device of the caller's, or on whatever a pool lends. */
export type EngineHome =
  | { readonly device: Device; readonly pool?: never }
  | { readonly pool: DeviceSource; readonly kind?: DeviceKind | readonly DeviceKind[]; readonly device?: never };

/** What an engine keeps on a device. */
export interface ResidentState {
  readonly kernels: readonly KernelBody[];
  release(): void;
}

export interface Residence<S extends ResidentState> {
  /** What is on a device now; undefined before the first use and after a loss. */
  readonly state: S | undefined;
  /** The device that it was on last. */
  readonly device: Device | undefined;
  /** The state on a live device; made where there is none. */
  ready(call: LongCallOptions): Promise<S>;
  /** Runs `work`, and again from its start when the device that a pool lent was lost under it. */
  surviving<T>(work: () => Promise<T>, call: LongCallOptions): Promise<T>;
  /** Releases the state and the lease. */
  drop(): void;
}

export interface ResidenceOptions<S> {
  /** For messages: 'network "digits"'. */
  readonly what: string;
  /** How many devices may be lost during one piece of work before it fails. */
  readonly maxReplays: number;
  /** Device memory that the state will take. */
  readonly bytes: () => number;
  readonly make: (device: Device, call: LongCallOptions) => S | Promise<S>;
}

/** How long the pool's own news of a loss is waited for. */
const LONGEST_NEWS_MS = 250;

/** @throws TuttiError OPTION_INVALID when `home` is neither a device nor a pool */
export function createResidence<S extends ResidentState>(
  home: EngineHome,
  { what, maxReplays, bytes, make }: ResidenceOptions<S>,
): Residence<S> {
  if (home.device === undefined && typeof home.pool?.lease !== 'function') {
    throw new TuttiError('OPTION_INVALID', `${what} needs { device } or { pool } to run on`, { where: 'home' });
  }
  let state: S | undefined;
  let device: Device | undefined;
  let release = (): void => {};

  const drop = (): void => {
    try {
      state?.release();
    } catch {
      // The device is gone, and its buffers with it.
    }
    state = undefined;
    release();
    release = () => {};
  };

  return {
    get state() {
      return state;
    },
    get device() {
      return device;
    },
    drop,
    async ready(call) {
      if (state !== undefined) return state;
      if (home.device !== undefined) device = home.device;
      else {
        const lease = await home.pool.lease({
          count: 1,
          bytes: bytes(),
          ...(home.kind === undefined ? {} : { kind: home.kind }),
          ...(call.signal === undefined ? {} : { signal: call.signal }),
        });
        release = () => lease.release();
        device = lease.devices[0]!;
      }
      try {
        const made = await make(device, call);
        state = made;
        await device.warmup(made.kernels, call);
        return made;
      } catch (error) {
        drop();
        throw error;
      }
    },
    async surviving(work, call) {
      for (let losses = 0; ; losses++) {
        try {
          return await work();
        } catch (error) {
          if (!(error instanceof DeviceLostError) || home.pool === undefined || losses + 1 >= maxReplays) throw error;
          // The pool must know of the loss before the lease goes back, or the dead device would be lent again.
          if (device !== undefined) await settledOrLate(device.lost);
          drop();
          throwIfAborted(call.signal, `running ${what}`);
        }
      }
    },
  };
}

async function settledOrLate(lost: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([lost, new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_NEWS_MS)))]);
  clearTimeout(timer);
}
