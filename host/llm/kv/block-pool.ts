/**
 * Which blocks of the paged pool hold what (Kwon et al. 2023, section 4): reference counts, sharing of whole blocks between sequences with
 * the same beginning, and blocks that nobody uses but whose content may be wanted again, dropped least recently used first. Pure bookkeeping: no
 * device is touched.
 */
import { TuttiError } from '../../errors.js';

export interface BlockPool {
  readonly blocks: number;
  /** Blocks that can be allocated: unused ones, and cached ones that nobody refers to. */
  readonly free: number;
  /** Blocks that a sequence refers to. */
  readonly used: number;
  /** `count` blocks with one reference each, or undefined (and nothing changed) when there are not so many. */
  allocate(count: number): number[] | undefined;
  /** One more reference. */
  retain(block: number): void;
  /** One reference less; without any, the block can be allocated again, cached content last. */
  release(block: number): void;
  /**
   * Says that a block that is now full holds what `key` stands for. Returns the number of that content, never given to another: keys of what
   * follows can be made of it and stay short.
   */
  cache(block: number, key: string): number;
  /** Finds and retains the block that holds `key`. */
  lookUp(key: string): { readonly block: number; readonly content: number } | undefined;
  referencesOf(block: number): number;
}

/** @throws TuttiError OPTION_INVALID */
export function createBlockPool(blocks: number): BlockPool {
  if (!Number.isInteger(blocks) || blocks < 1) {
    throw new TuttiError('OPTION_INVALID', `blocks is ${blocks}; it must be a whole number of at least 1`, {
      where: 'blocks',
    });
  }
  const references = new Uint32Array(blocks);
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
    blocks,
    get free() {
      return unused.length + idle.size;
    },
    get used() {
      return blocks - unused.length - idle.size;
    },
    allocate(count) {
      if (count > unused.length + idle.size) return undefined;
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
      if (held) {
        idle.delete(held.block);
        references[held.block]!++;
      }
      return held;
    },
    referencesOf: (block) => references[block]!,
  };
}
