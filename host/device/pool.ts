/**
 * Several devices, leased to whoever needs them. A device belongs to one lease at a time. Requests are met in the order in
 * which they came, except that a later one may go first when it takes no device that an earlier one could use. A device that
 * is lost ends its leases and is opened again, a bounded number of times; one that was closed on purpose stays away.
 */
import { abortedError, TuttiError } from '../errors.js';
import type { Device, DeviceKind, DeviceLost } from './device.js';
import { createEmitter } from './emitter.js';
import { whyNever, chooseDevices, type LeaseRequest } from './lease-request.js';

export type { LeaseRequest } from './lease-request.js';

/** Something that can be opened as a device, and opened again after a loss. */
export interface PoolMember {
  /** Unique in its pool. */
  readonly name: string;
  readonly kind: DeviceKind;
  /** Opens a fresh device each time. */
  open(signal?: AbortSignal): Promise<Device>;
  /** How often in a row it is opened again after losses; a lease that ends well starts the count anew. Default 5. */
  readonly maxRestarts?: number;
}

export interface DevicePoolOptions {
  readonly members: readonly PoolMember[];
  /** Pause before the second re-opening in a row, in milliseconds; doubles each time, at most 5 s. The first is immediate. Default 100. */
  readonly backoffMs?: number;
  /** A device that lived this long starts the count of restarts anew, in milliseconds. Default 60,000. */
  readonly healthyMs?: number;
}

export interface LeaseLost extends DeviceLost {
  readonly device: Device;
}

export interface Lease {
  readonly devices: readonly Device[];
  readonly released: boolean;
  /** Resolves when one of the devices is gone; the others stay leased until `release()`. Never rejects. */
  readonly lost: Promise<LeaseLost>;
  /** Gives the devices back. Idempotent. */
  release(): void;
  [Symbol.dispose](): void;
}

export interface PoolEvents {
  readonly joined: { readonly member: string; readonly device: Device };
  /** `restarting` tells whether the member will be opened again. */
  readonly lost: {
    readonly member: string;
    readonly device: Device;
    readonly lost: DeviceLost;
    readonly restarting: boolean;
  };
  /** A member could not be opened (again) and has been given up. */
  readonly failed: { readonly member: string; readonly error: unknown };
  readonly leased: { readonly devices: readonly Device[] };
  readonly released: { readonly devices: readonly Device[] };
}

export interface MemberReport {
  readonly name: string;
  readonly kind: DeviceKind;
  /** 'closed': its device was closed on purpose. 'failed': given up, `error` says why. */
  readonly state: 'opening' | 'idle' | 'leased' | 'restarting' | 'closed' | 'failed';
  readonly device: Device | undefined;
  /** Restarts in a row so far. */
  readonly restarts: number;
  readonly error: unknown;
}

export interface DevicePool {
  /** Those that are open now, leased ones included, in the order of their members. */
  readonly devices: readonly Device[];
  readonly members: readonly MemberReport[];
  /**
   * Waits for devices. @throws TuttiError DEVICE_UNAVAILABLE or MEMORY_REFUSED when the pool can never meet the request (also
   * when that turns out while it waits), OPTION_INVALID, ABORTED, DEVICE_CLOSED when the pool is closed
   */
  lease(request?: LeaseRequest): Promise<Lease>;
  /** Calls `listener` for each event; the returned function stops that. */
  on<E extends keyof PoolEvents>(event: E, listener: (payload: PoolEvents[E]) => void): () => void;
  /** Adds a member and opens it; it may take the name of one that failed or was closed. @throws what its `open` threw; the member then stays in the pool as 'failed' */
  add(member: PoolMember): Promise<Device>;
  /** Resolves when no member is being opened for the first time. */
  settled(): Promise<void>;
  /** Closes every device, leased or not, and rejects waiting requests. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Entry {
  readonly member: PoolMember;
  state: MemberReport['state'];
  device: Device | undefined;
  lease: HeldLease | undefined;
  restarts: number;
  openedAt: number;
  error: unknown;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** The first opening. */
  first: Promise<Device> | undefined;
}

interface HeldLease {
  readonly lease: Lease;
  readonly lose: (lost: LeaseLost) => void;
}

interface Waiter {
  readonly request: LeaseRequest;
  readonly grant: (lease: Lease) => void;
  readonly refuse: (error: TuttiError) => void;
}

const MAX_RESTARTS = 5;
const LONGEST_BACKOFF_MS = 5_000;

/** @throws TuttiError OPTION_INVALID when two members have one name */
export function createDevicePool(options: DevicePoolOptions): DevicePool {
  const { backoffMs = 100, healthyMs = 60_000 } = options;
  const entries: Entry[] = [];
  const waiters: Waiter[] = [];
  const opening = new Set<Promise<unknown>>();
  const closer = new AbortController();
  const { on, emit } = createEmitter<PoolEvents>();
  let closing: Promise<void> | undefined;

  const closedError = (): TuttiError => new TuttiError('DEVICE_CLOSED', 'the device pool was closed');

  /** Opens a member's device and takes it in. A device that arrives after close() is closed at once. */
  const open = (entry: Entry): Promise<Device> => {
    const work = (async () => {
      const device = await entry.member.open(closer.signal);
      if (closing) {
        await device.close();
        throw closedError();
      }
      entry.device = device;
      entry.state = 'idle';
      entry.openedAt = performance.now();
      entry.error = undefined;
      void device.lost.then((lost) => leave(entry, device, lost));
      emit('joined', { member: entry.member.name, device });
      dispatch();
      return device;
    })();
    opening.add(work);
    const done = (): void => void opening.delete(work);
    work.then(done, done);
    return work;
  };

  const leave = (entry: Entry, device: Device, lost: DeviceLost): void => {
    if (closing || entry.device !== device) return;
    const { lease } = entry;
    entry.device = undefined;
    entry.lease = undefined;
    device.close().catch(() => {}); // what is left of it; it is gone in any case
    if (performance.now() - entry.openedAt >= healthyMs) entry.restarts = 0;
    entry.error = new TuttiError('DEVICE_LOST', `device ${device.id} was lost (${lost.message})`, { where: device.id });
    const restarting = lost.reason === 'lost' && mayRestart(entry);
    if (lost.reason === 'destroyed') entry.state = 'closed';
    else entry.state = restarting ? 'restarting' : 'failed';
    lease?.lose({ ...lost, device });
    emit('lost', { member: entry.member.name, device, lost, restarting });
    if (restarting) restart(entry);
    else if (entry.state === 'failed') emit('failed', { member: entry.member.name, error: entry.error });
    dispatch();
  };

  const mayRestart = (entry: Entry): boolean => entry.restarts < (entry.member.maxRestarts ?? MAX_RESTARTS);

  const restart = (entry: Entry): void => {
    const wait = entry.restarts === 0 ? 0 : Math.min(LONGEST_BACKOFF_MS, backoffMs * 2 ** (entry.restarts - 1));
    entry.restarts++;
    entry.timer = setTimeout(() => {
      entry.timer = undefined;
      open(entry).catch((error: unknown) => {
        if (closing) return;
        entry.error = error;
        if (mayRestart(entry)) return restart(entry);
        giveUp(entry);
      });
    }, wait);
  };

  const giveUp = (entry: Entry): void => {
    entry.state = 'failed';
    emit('failed', { member: entry.member.name, error: entry.error });
    dispatch();
  };

  let dispatching = false;
  let dispatchAgain = false;
  /** Meets what can be met now. A listener that leases or releases in the midst of it causes another round, not a nested one. */
  const dispatch = (): void => {
    dispatchAgain = true;
    if (dispatching) return;
    dispatching = true;
    while (dispatchAgain) {
      dispatchAgain = false;
      dispatchOnce();
    }
    dispatching = false;
  };

  /** One round over the queue, in order; what an earlier request could use is kept for it. */
  const dispatchOnce = (): void => {
    const free = new Set(entries.filter((entry) => entry.state === 'idle'));
    for (const waiter of [...waiters]) {
      // An event of this round may have had it aborted.
      if (!waiters.includes(waiter)) continue;
      const never = whyNever(waiter.request, entries);
      if (never) {
        remove(waiter);
        waiter.refuse(never);
        continue;
      }
      const { chosen, enough } = chooseDevices(waiter.request, [...free]);
      for (const entry of chosen) free.delete(entry);
      if (!enough) continue;
      remove(waiter);
      waiter.grant(hold(chosen));
    }
  };

  const remove = (waiter: Waiter): void => {
    const at = waiters.indexOf(waiter);
    if (at >= 0) waiters.splice(at, 1);
  };

  const hold = (held: readonly Entry[]): Lease => {
    const devices = held.map((entry) => entry.device!);
    let released = false;
    let lose: (lost: LeaseLost) => void;
    const lost = new Promise<LeaseLost>((resolve) => (lose = resolve));
    const lease: Lease = {
      devices,
      lost,
      get released() {
        return released;
      },
      release() {
        if (released) return;
        released = true;
        for (const entry of held) {
          // A device that was lost meanwhile has left this entry, and another may have come.
          if (entry.lease?.lease !== lease) continue;
          entry.lease = undefined;
          entry.state = 'idle';
          entry.restarts = 0;
        }
        if (closing) return;
        emit('released', { devices });
        dispatch();
      },
      [Symbol.dispose]: () => lease.release(),
    };
    for (const entry of held) {
      entry.state = 'leased';
      entry.lease = { lease, lose: lose! };
    }
    emit('leased', { devices });
    return lease;
  };

  const take = (member: PoolMember): Entry => {
    const before = entries.findIndex((entry) => entry.member.name === member.name);
    if (before >= 0 && (entries[before]!.state === 'failed' || entries[before]!.state === 'closed'))
      entries.splice(before, 1);
    else if (before >= 0) {
      throw new TuttiError('OPTION_INVALID', `two pool members are named "${member.name}"; give each its own name`, {
        where: member.name,
      });
    }
    const entry: Entry = {
      member,
      state: 'opening',
      device: undefined,
      lease: undefined,
      restarts: 0,
      openedAt: 0,
      error: undefined,
      timer: undefined,
      first: undefined,
    };
    entries.push(entry);
    return entry;
  };

  const openFirst = (entry: Entry): Promise<Device> => {
    const first = open(entry);
    entry.first = first;
    first.catch((error: unknown) => {
      if (closing) return;
      entry.error = error;
      giveUp(entry);
    });
    return first;
  };

  // Names are checked before anything is opened.
  for (const entry of options.members.map(take)) void openFirst(entry);

  const pool: DevicePool = {
    get devices() {
      return entries.flatMap((entry) => entry.device ?? []);
    },
    get members() {
      return entries.map(({ member, state, device, restarts, error }) => ({
        name: member.name,
        kind: member.kind,
        state,
        device,
        restarts,
        error,
      }));
    },
    lease(request = {}) {
      return new Promise<Lease>((resolve, reject) => {
        const { signal, count = 1, bytes = 0 } = request;
        if (closing) throw closedError();
        if (!Number.isSafeInteger(count) || count < 1 || !(bytes >= 0)) {
          throw new TuttiError(
            'OPTION_INVALID',
            `lease: count must be a whole number >= 1 and bytes >= 0, got ${count}, ${bytes}`,
          );
        }
        if (signal?.aborted) throw abortedError(signal, 'waiting for a device');
        const abort = (): void => {
          remove(waiter);
          reject(abortedError(signal!, 'waiting for a device'));
          dispatch(); // what was kept for this request may serve the next
        };
        const waiter: Waiter = {
          request,
          grant(lease) {
            signal?.removeEventListener('abort', abort);
            resolve(lease);
          },
          refuse(error) {
            signal?.removeEventListener('abort', abort);
            reject(error);
          },
        };
        signal?.addEventListener('abort', abort, { once: true });
        waiters.push(waiter);
        dispatch();
      });
    },
    on,
    async add(member) {
      if (closing) throw closedError();
      return openFirst(take(member));
    },
    async settled() {
      await Promise.allSettled(entries.flatMap((entry) => entry.first ?? []));
    },
    close() {
      return (closing ??= (async () => {
        await Promise.resolve(); // `closing` is set before anything below looks at it
        closer.abort(closedError());
        for (const waiter of waiters.splice(0)) waiter.refuse(closedError());
        const devices = entries.flatMap((entry) => entry.device ?? []);
        for (const entry of entries) {
          clearTimeout(entry.timer);
          if (entry.device)
            entry.lease?.lose({ reason: 'destroyed', message: 'the pool was closed', device: entry.device });
          entry.device = undefined;
          entry.lease = undefined;
          entry.state = 'closed';
        }
        await Promise.allSettled([...devices.map((device) => device.close()), ...opening]);
      })());
    },
    [Symbol.asyncDispose]: () => pool.close(),
  };
  return pool;
}
