/**
 * Which blocks of the paged pool hold what (Kwon et al. 2023, section 4): reference counts, sharing of whole blocks between sequences with
 * the same beginning, and blocks that nobody uses but whose content may be wanted again, dropped least recently used first. Pure bookkeeping: no
 * device is touched.
 */
import { TuttiError } from '../../errors.js';

export interface BlockPool {
  readonly blocks: number;
  /** Blocks that can be allocated: unused ones, and cached ones that nobody refers to, less those that are set aside. */
  readonly free: number;
  readonly reserved: number;
  /** Blocks that a sequence refers to. */
  readonly used: number;
  /** Cached blocks that nobody refers to. */
  readonly idle: number;
  /**
   * `count` blocks with one reference each, `fromReserved` of them out of what was set aside; undefined (and nothing changed) when there are not so many.
   */
  allocate(count: number, fromReserved?: number): number[] | undefined;
  /** One more reference. */
  retain(block: number): void;
  /** One reference less; without any, the block can be allocated again, cached content last. */
  release(block: number): void;
  /**
   * Says that a block that is now full holds what `key` stands for. Returns the number of that content, never given to another: keys of what
   * follows can be made of it and stay short.
   */
  cache(block: number, key: string): number;
  /** Finds and retains the block that holds `key`; not one that is only there for as long as nobody with a right to its room comes. */
  lookUp(key: string): { readonly block: number; readonly content: number } | undefined;
  /** The same, without retaining it: what it would find, and how many refer to that. */
  peek(key: string): { readonly content: number; readonly references: number } | undefined;
  referencesOf(block: number): number;
  /** Sets blocks aside, so that `free` does not count them, or gives them free again (a negative count). False, and nothing changed, when there are not so many. */
  reserve(count: number): boolean;
  /**
   * Changes how many blocks there are. When there are to be fewer, blocks that are held move to lower numbers: the caller copies their content (pairs from, to,
   * no block twice) and renames them wherever it keeps them. Undefined, and nothing changed, when more are held or set aside than there are to be.
   */
  resize(blocks: number): readonly (readonly [number, number])[] | undefined;
}

/** @throws TuttiError OPTION_INVALID */
export function createBlockPool(blocks: number): BlockPool {
  checkBlocks(blocks);
  let size = blocks;
  let reserved = 0;
  let references = new Uint32Array(blocks);
  const keyOf: (string | undefined)[] = Array.from({ length: blocks }, () => undefined);
  const byKey = new Map<string, { readonly block: number; readonly content: number }>();
  let contents = 0;
  const unused = Array.from({ length: blocks }, (_, k) => blocks - 1 - k);
  /** Cached blocks without references, longest unused first. */
  const idle = new Set<number>();

  const forget = (block: number): void => {
    const key = keyOf[block];
    if (key !== undefined) byKey.delete(key);
    keyOf[block] = undefined;
  };

  return {
    get blocks() {
      return size;
    },
    get free() {
      return unused.length + idle.size - reserved;
    },
    get used() {
      return size - unused.length - idle.size;
    },
    get reserved() {
      return reserved;
    },
    get idle() {
      return idle.size;
    },
    allocate(count, fromReserved = 0) {
      if (count - fromReserved > unused.length + idle.size - reserved || fromReserved > reserved) return undefined;
      reserved -= fromReserved;
      return Array.from({ length: count }, () => {
        let block = unused.pop();
        if (block === undefined) {
          block = idle.values().next().value!;
          idle.delete(block);
          forget(block);
        }
        references[block] = 1;
        return block;
      });
    },
    retain(block) {
      idle.delete(block);
      references[block]!++;
    },
    release(block) {
      if (references[block] === 0) {
        throw new TuttiError('INPUT_INVALID', `block ${block} was released more often than it was retained`, {
          where: 'block',
        });
      }
      if (--references[block]! > 0) return;
      if (keyOf[block] === undefined) unused.push(block);
      else idle.add(block);
    },
    cache(block, key) {
      const held = byKey.get(key);
      if (held) return held.content; // another block holds the same already; this one stays private
      forget(block);
      keyOf[block] = key;
      byKey.set(key, { block, content: contents });
      return contents++;
    },
    lookUp(key) {
      const held = byKey.get(key);
      if (!held || (references[held.block] === 0 && unused.length + idle.size <= reserved)) return undefined;
      idle.delete(held.block);
      references[held.block]!++;
      return held;
    },
    peek(key) {
      const held = byKey.get(key);
      return held && { content: held.content, references: references[held.block]! };
    },
    referencesOf: (block) => references[block]!,
    reserve(count) {
      if (count > unused.length + idle.size - reserved || reserved + count < 0) return false;
      reserved += count;
      return true;
    },
    resize(next) {
      checkBlocks(next);
      if (next < size - unused.length - idle.size + reserved) return undefined;
      const moves: [number, number][] = [];
      if (next > size) {
        const more = new Uint32Array(next);
        more.set(references);
        references = more;
        for (let block = next - 1; block >= size; block--) {
          keyOf[block] = undefined;
          unused.unshift(block);
        }
      } else {
        // Content that nobody refers to is not worth a move.
        for (const block of [...idle]) {
          if (block < next) continue;
          idle.delete(block);
          forget(block);
        }
        const places = [...unused.filter((block) => block < next), ...[...idle].reverse()];
        for (let block = next; block < size; block++) {
          if (references[block] === 0) continue;
          const to = places.shift()!;
          if (idle.delete(to)) forget(to);
          references[to] = references[block]!;
          const key = keyOf[block];
          keyOf[to] = key;
          if (key !== undefined) byKey.set(key, { block: to, content: byKey.get(key)!.content });
          moves.push([block, to]);
        }
        references = references.slice(0, next);
        keyOf.length = next;
        const taken = new Set(moves.map(([, to]) => to));
        const left = unused.filter((block) => block < next && !taken.has(block));
        unused.length = 0;
        unused.push(...left);
      }
      size = next;
      return moves;
    },
  };
}

function checkBlocks(blocks: number): void {
  if (Number.isInteger(blocks) && blocks >= 1) return;
  throw new TuttiError('OPTION_INVALID', `blocks is ${blocks}; it must be a whole number of at least 1`, {
    where: 'blocks',
  });
}
