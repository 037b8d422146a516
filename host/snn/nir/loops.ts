/** Which projections close a loop: what comes back can arrive in the next step at the earliest. */
import type { FloatProjectionDescription } from '../network.js';

/**
 * Indices of the projections that need a delay of one step: from a population to itself, and within a loop without delay those that lead
 * back in `order`. Loops that have a delay already are left as they are.
 */
export function closingEdges(
  order: readonly string[],
  projections: readonly FloatProjectionDescription[],
): ReadonlySet<number> {
  const rank = new Map(order.map((name, i) => [name, i]));
  const immediate = projections
    .map(({ from, to, delay }, i) => ({ from, to, i, at: delay }))
    .filter(({ at }) => at === undefined || at === 0 || (typeof at === 'object' && (at as Uint32Array).includes(0)));
  const component = components(order, immediate);
  return new Set(
    immediate
      .filter(
        ({ from, to }) => component.get(from) === component.get(to) && (rank.get(from) ?? -1) >= (rank.get(to) ?? -1),
      )
      .map(({ i }) => i),
  );
}

/** Strongly connected components (Kosaraju): two walks, neither recursive. */
function components(
  names: readonly string[],
  edges: readonly { readonly from: string; readonly to: string }[],
): ReadonlyMap<string, number> {
  const forwards = new Map<string, string[]>();
  const backwards = new Map<string, string[]>();
  for (const { from, to } of edges) {
    if (!forwards.has(from)) forwards.set(from, []);
    if (!backwards.has(to)) backwards.set(to, []);
    forwards.get(from)!.push(to);
    backwards.get(to)!.push(from);
  }
  const finished: string[] = [];
  const seen = new Set<string>();
  for (const root of names) {
    if (seen.has(root)) continue;
    seen.add(root);
    const path = [{ name: root, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const to = forwards.get(top.name)?.[top.next++];
      if (to === undefined) finished.push(path.pop()!.name);
      else if (!seen.has(to)) {
        seen.add(to);
        path.push({ name: to, next: 0 });
      }
    }
  }
  const component = new Map<string, number>();
  let count = 0;
  for (const root of finished.reverse()) {
    if (component.has(root)) continue;
    count++;
    const waiting = [root];
    for (const name of waiting) {
      if (component.has(name)) continue;
      component.set(name, count);
      waiting.push(...(backwards.get(name) ?? []));
    }
  }
  return component;
}
