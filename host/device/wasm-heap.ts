/** Allocates ranges of a linear memory: first fit over a free list whose neighbours are merged on release. */

export interface HeapStatistics {
  readonly liveBlocks: number;
  readonly liveBytes: number;
  readonly freeBytes: number;
}

export interface WasmHeap {
  /** Address of `bytes` (rounded up to the alignment). The content is undefined. */
  allocate(bytes: number): number;
  release(address: number): void;
  statistics(): HeapStatistics;
}

/** Every block starts on a cache line. */
const ALIGNMENT = 64;

/**
 * @param base first usable address
 * @param ensure makes the memory at least this many bytes long, or throws
 */
export function createWasmHeap(base: number, ensure: (bytes: number) => void): WasmHeap {
  const live = new Map<number, number>();
  /** Ascending, disjoint, never adjacent. */
  const free: { address: number; bytes: number }[] = [];
  let top = Math.ceil(base / ALIGNMENT) * ALIGNMENT;
  let liveBytes = 0;

  return {
    allocate(requested) {
      const bytes = Math.max(ALIGNMENT, Math.ceil(requested / ALIGNMENT) * ALIGNMENT);
      const at = free.findIndex((block) => block.bytes >= bytes);
      let address: number;
      if (at >= 0) {
        const block = free[at]!;
        address = block.address;
        block.address += bytes;
        block.bytes -= bytes;
        if (block.bytes === 0) free.splice(at, 1);
      } else {
        // A free block that ends at the top is extended rather than left behind.
        const last = free[free.length - 1];
        const touching = last !== undefined && last.address + last.bytes === top;
        address = touching ? last.address : top;
        ensure(address + bytes);
        if (touching) free.pop();
        top = address + bytes;
      }
      live.set(address, bytes);
      liveBytes += bytes;
      return address;
    },
    release(address) {
      const bytes = live.get(address);
      if (bytes === undefined) return;
      live.delete(address);
      liveBytes -= bytes;
      let at = free.findIndex((block) => block.address > address);
      if (at < 0) at = free.length;
      const before = free[at - 1];
      const after = free[at];
      const joinsBefore = before !== undefined && before.address + before.bytes === address;
      const joinsAfter = after !== undefined && address + bytes === after.address;
      if (joinsBefore && joinsAfter) {
        before.bytes += bytes + after.bytes;
        free.splice(at, 1);
      } else if (joinsBefore) before.bytes += bytes;
      else if (joinsAfter) {
        after.address = address;
        after.bytes += bytes;
      } else free.splice(at, 0, { address, bytes });
    },
    statistics: () => ({
      liveBlocks: live.size,
      liveBytes,
      freeBytes: free.reduce((sum, block) => sum + block.bytes, 0),
    }),
  };
}
