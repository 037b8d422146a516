/**
 * Memory is budgeted before it is used: whoever wants device memory asks here first and gets a lease, or a
 * MemoryRefusedError that names need, budget and holders.
 */
import { MemoryRefusedError, TuttiError, type MemoryHolder } from '../errors.js';

export interface MemoryLease {
  readonly bytes: number;
  readonly holder: string;
  readonly released: boolean;
  /** Grows or shrinks the lease in place. @throws MemoryRefusedError; the lease then keeps its old size. */
  resize(bytes: number): void;
  release(): void;
}

export interface MemoryBudget {
  readonly budget: number;
  readonly inUse: number;
  readonly peak: number;
  /** Largest first, leases of one holder added up. */
  holders(): readonly MemoryHolder[];
  /** @throws MemoryRefusedError when the budget cannot meet it. */
  lease(bytes: number, holder: string): MemoryLease;
}

export function createMemoryBudget(deviceId: string, budget: number): MemoryBudget {
  if (!Number.isSafeInteger(budget) || budget <= 0) {
    throw new TuttiError('OPTION_INVALID', `memoryBudget must be a positive whole number of bytes, got ${budget}`, {
      where: deviceId,
    });
  }
  const held = new Map<string, number>();
  let inUse = 0;
  let peak = 0;

  const holders = (): readonly MemoryHolder[] =>
    [...held].map(([holder, bytes]) => ({ holder, bytes })).sort((a, b) => b.bytes - a.bytes);

  /** Moves `holder` by `delta` bytes, or throws and changes nothing. */
  const claim = (holder: string, delta: number): void => {
    if (inUse + delta > budget) throw new MemoryRefusedError(deviceId, holder, delta, budget, inUse, holders());
    inUse += delta;
    peak = Math.max(peak, inUse);
    const bytes = (held.get(holder) ?? 0) + delta;
    if (bytes === 0) held.delete(holder);
    else held.set(holder, bytes);
  };

  const checked = (bytes: number): number => {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new TuttiError('OPTION_INVALID', `a memory lease needs a whole number of bytes >= 0, got ${bytes}`, {
        where: deviceId,
      });
    }
    return bytes;
  };

  return {
    budget,
    get inUse() {
      return inUse;
    },
    get peak() {
      return peak;
    },
    holders,
    lease(bytes, holder) {
      let size = checked(bytes);
      let released = false;
      claim(holder, size);
      return {
        holder,
        get bytes() {
          return size;
        },
        get released() {
          return released;
        },
        resize(next) {
          if (released)
            throw new TuttiError(
              'BUFFER_RELEASED',
              `the lease of "${holder}" on ${deviceId} was released; take a new one`,
            );
          claim(holder, checked(next) - size);
          size = next;
        },
        release() {
          if (released) return;
          released = true;
          claim(holder, -size);
        },
      };
    },
  };
}
