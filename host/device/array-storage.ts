/** Device memory that is plain ArrayBuffers of the host, one for each allocation. */
import { TuttiError } from '../errors.js';
import type { HostStorage } from './host-device.js';

export interface ArrayStorage extends HostStorage {
  /** The whole allocation at `address`. @throws TuttiError BUFFER_RELEASED */
  bytesAt(address: number, label: string): ArrayBuffer;
  clear(): void;
}

/** Addresses are spaced so that address + offset still names its buffer. */
const SPACING = 2 ** 32;

export function createArrayStorage(): ArrayStorage {
  const memory = new Map<number, ArrayBuffer>();
  let next = 0;
  return {
    allocate(bytes) {
      const address = next;
      next += SPACING;
      memory.set(address, new ArrayBuffer(bytes));
      return address;
    },
    release: (address) => void memory.delete(address),
    view(address, bytes) {
      const base = Math.floor(address / SPACING) * SPACING;
      return new Uint8Array(memory.get(base)!, address - base, bytes);
    },
    bytesAt(address, label) {
      const bytes = memory.get(address);
      if (!bytes) throw new TuttiError('BUFFER_RELEASED', `buffer "${label}" was released`);
      return bytes;
    },
    clear: () => memory.clear(),
  };
}
