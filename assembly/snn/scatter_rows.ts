// Event-driven sparse synapses: every spike walks its row. Where threads split the post-synaptic neurons, each walks its
// part of the row.
import { arrivingSlot, neuronBegin, neuronEnd, partBegin, partEnd, sampleBegin, sampleEnd } from './share';

/** args: spikeIndex, spikeIds, rowStart, columns, weights, input, batch, posts, slots, delay, inputStride, inputOffset, origin, shift, parts */
export function scatterRowsF32(args: usize, step: i32, thread: i32, threads: i32): void {
  scatterRows<f32>(args, step, thread, threads);
}

/** args: as scatterRowsF32 */
export function scatterRowsI8(args: usize, step: i32, thread: i32, threads: i32): void {
  scatterRows<i8>(args, step, thread, threads);
}

// @ts-ignore: decorator
@inline
function add<W>(target: usize, weight: usize, shift: i32): void {
  if (isFloat<W>()) store<f32>(target, load<f32>(target) + load<f32>(weight));
  else store<i32>(target, load<i32>(target) + (load<i8>(weight) << shift));
}

// @ts-ignore: decorator
@inline
function scatterRows<W>(args: usize, step: i32, thread: i32, threads: i32): void {
  const spikeIndex = load<u32>(args);
  const spikeIds = load<u32>(args, 4);
  const rowStart = load<u32>(args, 8);
  const columns = load<u32>(args, 12);
  const weights = load<u32>(args, 16);
  const input = load<u32>(args, 20);
  const batch = load<i32>(args, 24);
  const posts = load<i32>(args, 28);
  const slot = arrivingSlot(step, load<i32>(args, 48), load<i32>(args, 36), load<i32>(args, 32));
  if (slot < 0) return;
  const inputStride = load<i32>(args, 40);
  const inputOffset = load<i32>(args, 44);
  const shift = load<i32>(args, 52);
  const split = batch < threads;
  const parts = load<i32>(args, 56);
  const from = <u32>neuronBegin(batch, posts, 32, thread, threads);
  const to = <u32>neuronEnd(batch, posts, 32, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const pair = spikeIndex + (<usize>(slot * batch + b) << 3);
    let id = spikeIds + (<usize>load<u32>(pair) << 2);
    const last = id + (<usize>load<u32>(pair, 4) << 2);
    const target = input + ((<usize>b * <usize>inputStride + <usize>inputOffset) << 2);
    for (; id < last; id += 4) {
      const row = rowStart + ((<usize>load<u32>(id) * <usize>parts) << 2);
      let column = partBegin(row, columns, parts, split, thread, threads, from);
      const end = partEnd(row, columns, parts, split, thread, threads, to);
      let weight = weights + ((column - columns) >> (isFloat<W>() ? 0 : 2));
      for (; column + 16 <= end; column += 16) {
        add<W>(target + (<usize>load<u32>(column) << 2), weight, shift);
        add<W>(target + (<usize>load<u32>(column, 4) << 2), weight + sizeof<W>(), shift);
        add<W>(target + (<usize>load<u32>(column, 8) << 2), weight + 2 * sizeof<W>(), shift);
        add<W>(target + (<usize>load<u32>(column, 12) << 2), weight + 3 * sizeof<W>(), shift);
        weight += 4 * sizeof<W>();
      }
      for (; column < end; column += 4) {
        add<W>(target + (<usize>load<u32>(column) << 2), weight, shift);
        weight += sizeof<W>();
      }
    }
  }
}
