// How threads divide a kernel's work: whole samples when there are enough of them, else ranges of neurons. Both bounds of a
// range follow from (thread, threads) alone, so no two threads write one element.

/** First sample of a thread's share; the share ends where the next one's begins. */
// @ts-ignore: decorator
@inline
export function sampleBegin(batch: i32, thread: i32, threads: i32): i32 {
  return batch >= threads ? <i32>((<i64>batch * thread) / threads) : 0;
}

// @ts-ignore: decorator
@inline
export function sampleEnd(batch: i32, thread: i32, threads: i32): i32 {
  return batch >= threads ? <i32>((<i64>batch * (thread + 1)) / threads) : batch;
}

/** First neuron of a thread's share, a multiple of `unit`. */
// @ts-ignore: decorator
@inline
export function neuronBegin(batch: i32, neurons: i32, unit: i32, thread: i32, threads: i32): i32 {
  if (batch >= threads) return 0;
  const units = (neurons + unit - 1) / unit;
  return min(neurons, <i32>((<i64>units * thread) / threads) * unit);
}

// @ts-ignore: decorator
@inline
export function neuronEnd(batch: i32, neurons: i32, unit: i32, thread: i32, threads: i32): i32 {
  if (batch >= threads) return neurons;
  const units = (neurons + unit - 1) / unit;
  return min(neurons, <i32>((<i64>units * (thread + 1)) / threads) * unit);
}

/** Slot of a spike stream that arrives in `step`, or -1 when none does. */
// @ts-ignore: decorator
@inline
export function arrivingSlot(step: i32, origin: i32, delay: i32, slots: i32): i32 {
  const t = step - origin - delay;
  return t < 0 ? -1 : t % slots;
}

/** First column >= `column` of an ascending row: address in [from, to). */
// @ts-ignore: decorator
@inline
export function lowerBound(from: usize, to: usize, column: u32): usize {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = low + (((high - low) >> 3) << 2);
    if (load<u32>(middle) < column) low = middle + 4;
    else high = middle;
  }
  return low;
}

// A row of synapses may be cut into `parts` by post-synaptic range, the ranges of as many threads: row r then lies at entries
// r * parts .. (r + 1) * parts of the start table. With another number of threads a part is found by binary search.

/** Address of the first column of a thread's part of the row at `row` in the start table. */
// @ts-ignore: decorator
@inline
export function partBegin(row: usize, columns: usize, parts: i32, split: bool, thread: i32, threads: i32, from: u32): usize {
  const begin = columns + (<usize>load<u32>(row) << 2);
  if (!split || thread == 0) return begin;
  if (parts == threads) return columns + (<usize>load<u32>(row + (<usize>thread << 2)) << 2);
  return lowerBound(begin, columns + (<usize>load<u32>(row + (<usize>parts << 2)) << 2), from);
}

// @ts-ignore: decorator
@inline
export function partEnd(row: usize, columns: usize, parts: i32, split: bool, thread: i32, threads: i32, to: u32): usize {
  const end = columns + (<usize>load<u32>(row + (<usize>parts << 2)) << 2);
  if (!split || thread == threads - 1) return end;
  if (parts == threads) return columns + (<usize>load<u32>(row + (<usize>(thread + 1) << 2)) << 2);
  return lowerBound(columns + (<usize>load<u32>(row) << 2), end, to);
}
