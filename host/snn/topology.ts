/**
 * The order of populations within a step. A projection without delay delivers in the step in which the spike was fired,
 * so its target must be updated after its source; a cycle of such projections has no order and is refused.
 */
export interface ImmediateEdge {
  readonly from: string;
  readonly to: string;
}

/** Either the order, stable with respect to `names`, or the names on one cycle (first and last are the same). */
export type Ordering =
  | { readonly order: readonly string[]; readonly cycle?: never }
  | { readonly cycle: readonly string[]; readonly order?: never };

export function orderPopulations(names: readonly string[], edges: readonly ImmediateEdge[]): Ordering {
  const waiting = new Map(names.map((name) => [name, 0]));
  const targets = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const { from, to } of edges) {
    waiting.set(to, waiting.get(to)! + 1);
    targets.get(from)!.push(to);
  }
  const ready = names.filter((name) => waiting.get(name) === 0);
  const order: string[] = [];
  for (let name = ready.shift(); name !== undefined; name = ready.shift()) {
    order.push(name);
    for (const target of targets.get(name)!) {
      const left = waiting.get(target)! - 1;
      waiting.set(target, left);
      if (left === 0) ready.push(target);
    }
  }
  if (order.length === names.length) return { order };

  // Every population that is left has a predecessor that is left: walking backwards must close a cycle.
  const left = new Set(names.filter((name) => waiting.get(name)! > 0));
  const walked: string[] = [];
  let at = [...left][0]!;
  while (!walked.includes(at)) {
    walked.push(at);
    at = edges.find((edge) => edge.to === at && left.has(edge.from))!.from;
  }
  return { cycle: [at, ...walked.slice(walked.indexOf(at)).reverse()] };
}
