/**
 * Parts of a ranking without sorting it: tokens by descending value, ties by ascending token, so that the order is total and a selection
 * is the same wherever it is made.
 */

/** Moves the `k` first of the ranking among list[0 .. count) to its front, in no order. */
export function selectLargest(list: Uint32Array, values: Float32Array, count: number, k: number): void {
  let low = 0;
  let high = count;
  while (high - low > 1) {
    const at = partition(list, values, low, high);
    if (at === k || at === k - 1) return;
    if (at < k) low = at + 1;
    else high = at;
  }
}

/**
 * Moves the shortest beginning of the ranking that has at least `share` of the weight to the front of list[0 .. count), in no order.
 * @returns its length, at least 1
 */
export function selectMass(
  list: Uint32Array,
  values: Float32Array,
  count: number,
  share: number,
  weight: (token: number) => number,
): number {
  const sum = (from: number, to: number): number => {
    let total = 0;
    for (let k = from; k < to; k++) total += weight(list[k]!);
    return total;
  };
  let need = share * sum(0, count);
  let low = 0;
  let high = count;
  while (low < high) {
    const at = partition(list, values, low, high);
    const before = sum(low, at);
    if (before >= need) high = at;
    else {
      const through = before + weight(list[at]!);
      if (through >= need) return at + 1;
      need -= through;
      low = at + 1;
    }
  }
  return Math.max(1, low);
}

/** The `k` first of the ranking of all values, in its order; for small k. */
export function topOf(values: Float32Array, k: number): number[] {
  const top: number[] = [];
  for (let token = 0; token < values.length; token++) {
    if (top.length === k && !(values[token]! > values[top[k - 1]!]!)) continue;
    let at = top.length;
    while (at > 0 && values[token]! > values[top[at - 1]!]!) at--;
    top.splice(at, 0, token);
    if (top.length > k) top.pop();
  }
  return top;
}

/** Puts one token of list[low .. high) where it belongs in the ranking, what precedes it before it. Returns that place. */
function partition(list: Uint32Array, values: Float32Array, low: number, high: number): number {
  const precedes = (a: number, b: number): boolean => values[a]! > values[b]! || (values[a] === values[b] && a < b);
  const swap = (i: number, j: number): void => {
    const token = list[i]!;
    list[i] = list[j]!;
    list[j] = token;
  };
  const last = high - 1;
  const middle = (low + high) >> 1;
  // The median of three goes to the end: rankings that are sorted already are common.
  if (precedes(list[middle]!, list[low]!)) swap(middle, low);
  if (precedes(list[last]!, list[low]!)) swap(last, low);
  if (precedes(list[middle]!, list[last]!)) swap(middle, last);
  const pivot = list[last]!;
  let at = low;
  for (let k = low; k < last; k++) if (precedes(list[k]!, pivot)) swap(k, at++);
  swap(at, last);
  return at;
}
