/**
 * What a node does when sequences of a model need blocks and the pool cannot grow: other models' pools give back what nobody holds; then the scheduler says who
 * leaves; where it says nothing, the engine itself takes who came last.
 */
import type { BlockShortage, ShortageAnswer } from '../../llm/batching/loop-watch.js';

export interface ShortageParts {
  /** Stages on the node. */
  running(): number;
  bytesOfBlock(model: number): number;
  /** Blocks in a model's pool. */
  blocks(model: number): number;
  /** Takes from other pools; true when there may be room now. */
  reclaim(model: number, bytes: number): Promise<boolean>;
  /** What was thought to be free is not: memory is in pieces, or being moved. */
  misjudged(): void;
  /** The scheduler pauses somebody, or nobody. */
  overflow(bytes: number): void;
}

export interface ShortageDesk {
  /** In whose loop somebody is being looked for who leaves. */
  readonly asking: number | undefined;
  answer(model: number, shortage: BlockShortage): Promise<ShortageAnswer>;
  /** Somebody leaves: of the model that asks, or of another one, when `done`. */
  leaves(who: ShortageAnswer['leave'][number] | Promise<void>): void;
  /** Something has ended: growing may work again. */
  ease(): void;
}

const NOTHING: ShortageAnswer = { grow: false, leave: [] };

export function createShortageDesk(parts: ShortageParts): ShortageDesk {
  let busy = false;
  let asking: number | undefined;
  let leave: ShortageAnswer['leave'][number][] = [];
  let elsewhere: Promise<void>[] = [];
  /** Sizes of pools at which growing was tried since something ended. */
  const tried = new Map<number, number>();

  async function answered(model: number, { missing, outgrown }: BlockShortage): Promise<ShortageAnswer> {
    const bytes = missing * parts.bytesOfBlock(model);
    const size = parts.blocks(model);
    if (tried.get(model) !== size && (await parts.reclaim(model, bytes))) {
      tried.set(model, size);
      return { grow: true, leave: [] };
    }
    if (outgrown === 0 || parts.running() <= 1) return NOTHING;
    parts.misjudged();
    leave = [];
    elsewhere = [];
    asking = model;
    parts.overflow(outgrown * parts.bytesOfBlock(model));
    asking = undefined;
    const others = elsewhere;
    await Promise.all(others);
    if (others.length > 0) await parts.reclaim(model, bytes);
    return { grow: others.length > 0, leave };
  }

  return {
    get asking() {
      return asking;
    },
    async answer(model, shortage) {
      // Two loops that wait for each other would wait for ever.
      if (busy) return NOTHING;
      busy = true;
      try {
        return await answered(model, shortage);
      } finally {
        asking = undefined;
        busy = false;
      }
    },
    leaves(who) {
      if ('sequence' in who) leave.push(who);
      else elsewhere.push(who);
    },
    ease: () => tried.clear(),
  };
}
