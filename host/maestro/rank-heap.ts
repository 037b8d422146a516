/** A heap of tickets whose ranks may change: the first of them at once, any change in logarithmic time. */
import type { Ticket } from './decision.js';

/** Lower comes first: by tier, then by key, then by age. */
export interface Rank {
  readonly tier: number;
  readonly key: number;
  /** When it has to be asked for again; never, where missing. */
  readonly until?: number;
}

export interface RankHeap {
  readonly size: number;
  /** `skip` -th in the array of the heap; 0 is the first in rank, others are in no strict order. */
  at(position: number): Ticket | undefined;
  rankOf(ticket: Ticket): Rank | undefined;
  set(ticket: Ticket, rank: Rank): void;
  delete(ticket: Ticket): boolean;
  has(ticket: Ticket): boolean;
}

interface Entry {
  readonly ticket: Ticket;
  rank: Rank;
  at: number;
}

export function compareRanks(a: Rank, b: Rank): number {
  return a.tier - b.tier || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}

/** `worstFirst` turns the order around. */
export function createRankHeap(worstFirst = false): RankHeap {
  const heap: Entry[] = [];
  const byNumber = new Map<number, Entry>();
  const sign = worstFirst ? -1 : 1;
  const before = (a: Entry, b: Entry): boolean => {
    const order = sign * compareRanks(a.rank, b.rank);
    return order < 0 || (order === 0 && sign * (a.ticket.number - b.ticket.number) < 0);
  };

  function up(entry: Entry): void {
    let at = entry.at;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent]!;
      if (!before(entry, other)) break;
      heap[at] = other;
      other.at = at;
      at = parent;
    }
    heap[at] = entry;
    entry.at = at;
  }

  function down(entry: Entry): void {
    let at = entry.at;
    const { length } = heap;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && before(heap[child + 1]!, heap[child]!)) child++;
      const other = heap[child]!;
      if (!before(other, entry)) break;
      heap[at] = other;
      other.at = at;
      at = child;
    }
    heap[at] = entry;
    entry.at = at;
  }

  return {
    get size() {
      return heap.length;
    },
    at: (position) => heap[position]?.ticket,
    rankOf: (ticket) => byNumber.get(ticket.number)?.rank,
    has: (ticket) => byNumber.has(ticket.number),
    set(ticket, rank) {
      let entry = byNumber.get(ticket.number);
      if (!entry) {
        entry = { ticket, rank, at: heap.length };
        byNumber.set(ticket.number, entry);
        heap.push(entry);
      }
      entry.rank = rank;
      up(entry);
      down(entry);
    },
    delete(ticket) {
      const entry = byNumber.get(ticket.number);
      if (!entry) return false;
      byNumber.delete(ticket.number);
      const last = heap.pop()!;
      if (last !== entry) {
        heap[entry.at] = last;
        last.at = entry.at;
        up(last);
        down(last);
      }
      return true;
    },
  };
}
