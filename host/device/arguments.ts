/** Checks of what callers pass to a device, the same for every implementation, and the lifetime that all of them share. */
import { throwIfAborted, TuttiError } from '../errors.js';
import type { Capabilities, Device, DeviceBuffer, DeviceLost, KernelCall, RunOptions } from './device.js';

export const roundUp4 = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** @throws TuttiError KERNEL_ARGUMENT, BUFFER_RELEASED */
export function checkBuffer(device: Device, buffer: DeviceBuffer, doing: string): void {
  const { id } = device;
  if (buffer.device !== device) {
    throw new TuttiError(
      'KERNEL_ARGUMENT',
      `${doing}: buffer "${buffer.label}" belongs to device ${buffer.device.id}, not to ${id}`,
      { where: id },
    );
  }
  if (buffer.released) {
    throw new TuttiError(
      'BUFFER_RELEASED',
      `${doing}: buffer "${buffer.label}" on ${id} was released; allocate it again`,
      { where: id },
    );
  }
}

/**
 * A range is whole words; only where it reaches the end of the buffer may its last word be cut short.
 * @throws TuttiError BUFFER_RANGE
 */
export function checkRange(buffer: DeviceBuffer, offset: number, bytes: number, doing: string): void {
  const end = offset + bytes;
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes) && offset >= 0 && bytes >= 0;
  if (whole && offset % 4 === 0 && end <= roundUp4(buffer.bytes) && (end % 4 === 0 || end >= buffer.bytes)) return;
  throw new TuttiError(
    'BUFFER_RANGE',
    `${doing}: bytes ${offset}..${end} are outside buffer "${buffer.label}" of ${buffer.bytes} B, or not a multiple of 4`,
    { where: buffer.device.id, facts: { offset, bytes, size: buffer.bytes } },
  );
}

/** @throws TuttiError KERNEL_ARGUMENT, LIMIT_EXCEEDED */
export function checkAllocation(id: string, { maxBufferBytes }: Capabilities, bytes: number, label: string): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw new TuttiError(
      'KERNEL_ARGUMENT',
      `allocate("${label}"): size must be a whole number of bytes >= 0, got ${bytes}`,
      { where: id },
    );
  }
  if (bytes > maxBufferBytes) {
    throw new TuttiError(
      'LIMIT_EXCEEDED',
      `allocate("${label}"): ${bytes} B exceed the largest buffer of ${id}, ${maxBufferBytes} B`,
      { where: id, facts: { need: bytes, limit: maxBufferBytes } },
    );
  }
}

/** @throws TuttiError OPTION_INVALID, ABORTED, and what `checkBuffer` throws */
export function checkRun(device: Device, calls: readonly KernelCall[], options: RunOptions): void {
  const { steps = 1, firstStep = 0, signal } = options;
  const doing = `run on ${device.id}`;
  throwIfAborted(signal, doing);
  if (!Number.isSafeInteger(steps) || steps < 0 || !Number.isSafeInteger(firstStep)) {
    throw new TuttiError(
      'OPTION_INVALID',
      `${doing}: steps must be a whole number >= 0 and firstStep a whole number, got ${steps}, ${firstStep}`,
      { where: device.id },
    );
  }
  for (const call of calls)
    for (const buffer of call.buffers) checkBuffer(device, buffer, `kernel ${call.kernel.name}`);
}

export interface Lifetime {
  /** Why the device is gone; undefined while it lives. */
  readonly gone: TuttiError | undefined;
  readonly lost: Promise<DeviceLost>;
  /** Rejects when the device goes: raced against by whatever could hang. */
  readonly whenGone: Promise<never>;
  /** Ends it once; later calls do nothing and return false. */
  end(error: TuttiError, why: DeviceLost): boolean;
  /** @throws what it ended with */
  check(): void;
}

export function createLifetime(): Lifetime {
  let gone: TuttiError | undefined;
  let resolveLost: (lost: DeviceLost) => void;
  let rejectGone: (error: TuttiError) => void;
  const lost = new Promise<DeviceLost>((resolve) => (resolveLost = resolve));
  const whenGone = new Promise<never>((_, reject) => (rejectGone = reject));
  whenGone.catch(() => {}); // nobody has to wait for it
  return {
    get gone() {
      return gone;
    },
    lost,
    whenGone,
    end(error, why) {
      if (gone) return false;
      gone = error;
      rejectGone(error);
      resolveLost(why);
      return true;
    },
    check() {
      if (gone) throw gone;
    },
  };
}

export const closedError = (id: string): TuttiError =>
  new TuttiError('DEVICE_CLOSED', `device ${id} was closed by its owner`, { where: id });

/** Operations in the order of issue, each begun when all earlier ones are done; at once when there are none. */
export interface OperationQueue {
  /** Whether earlier operations are still under way. */
  readonly busy: boolean;
  add<T>(operation: () => T | Promise<T>): Promise<T>;
  /** Calls back once what was added so far is done; at once when nothing is. */
  after(action: () => void): void;
}

export function createOperationQueue(lifetime: Lifetime): OperationQueue {
  let tail: Promise<void> | undefined;
  return {
    get busy() {
      return tail !== undefined;
    },
    add(operation) {
      const begin = async () => {
        lifetime.check();
        return operation();
      };
      const result = Promise.race([tail ? tail.then(begin) : begin(), lifetime.whenGone]);
      const settled: Promise<void> = result
        .then(
          () => {},
          () => {},
        )
        .then(() => {
          if (tail === settled) tail = undefined;
        });
      tail = settled;
      return result;
    },
    after(action) {
      if (tail) void tail.then(action);
      else action();
    },
  };
}
