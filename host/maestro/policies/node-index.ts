/** Nodes by load, so that finding some with little to do does not take longer the more nodes there are. */
import type { NodeView } from '../decision.js';

export interface NodeIndex {
  update(node: NodeView): void;
  /** About the `count` least loaded nodes, the least loaded first. */
  least(count: number): readonly number[];
}

const loadOf = (node: NodeView): number =>
  node.alive ? node.running / node.slots + node.prefillTokens / (4 * node.chunkTokens) : Infinity;

export function createNodeIndex(): NodeIndex {
  const heap: number[] = [];
  const place: number[] = [];
  const loads: number[] = [];

  const before = (a: number, b: number): boolean => loads[a]! < loads[b]! || (loads[a] === loads[b] && a < b);
  const put = (at: number, node: number): void => {
    heap[at] = node;
    place[node] = at;
  };
  function sift(node: number): void {
    let at = place[node]!;
    while (at > 0 && before(node, heap[(at - 1) >> 1]!)) {
      put(at, heap[(at - 1) >> 1]!);
      at = (at - 1) >> 1;
    }
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, node)) break;
      put(at, heap[child]!);
      at = child;
    }
    put(at, node);
  }

  return {
    update(node) {
      loads[node.index] = loadOf(node);
      if (place[node.index] === undefined) {
        place[node.index] = heap.length;
        heap.push(node.index);
      }
      sift(node.index);
    },
    least(count) {
      const found: number[] = [];
      const front = heap.length > 0 ? [0] : [];
      while (found.length < count && front.length > 0) {
        let best = 0;
        for (let k = 1; k < front.length; k++) if (before(heap[front[k]!]!, heap[front[best]!]!)) best = k;
        const at = front[best]!;
        front[best] = front[front.length - 1]!;
        front.pop();
        found.push(heap[at]!);
        for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length) front.push(child);
      }
      return found;
    },
  };
}
