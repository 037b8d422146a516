// Dense synapses: every spike adds a row. A block of post-synaptic neurons stays in registers while the sample's whole
// spike list goes by, so inputs are loaded and stored once per block and not once per spike.
import { arrivingSlot, neuronBegin, neuronEnd, sampleBegin, sampleEnd } from './share';

/** args: spikeIndex, spikeIds, weights, input, batch, posts, rowStride, slots, delay, inputStride, inputOffset, origin, shift */
export function denseRowsF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const slot = arrivingSlot(step, load<i32>(args, 44), load<i32>(args, 32), load<i32>(args, 28));
  if (slot < 0) return;
  const weights = load<u32>(args, 8);
  const batch = load<i32>(args, 16);
  const posts = load<i32>(args, 20);
  const rowBytes = <usize>load<u32>(args, 24) << 2;
  const from = neuronBegin(batch, posts, 16, thread, threads);
  const to = neuronEnd(batch, posts, 16, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const pair = load<u32>(args) + (<usize>(slot * batch + b) << 3);
    const first = load<u32>(args, 4) + (<usize>load<u32>(pair) << 2);
    const last = first + (<usize>load<u32>(pair, 4) << 2);
    if (first == last) continue;
    const target = load<u32>(args, 12) + ((<usize>b * <usize>load<u32>(args, 36) + <usize>load<u32>(args, 40)) << 2);
    let n = from;
    for (; n + 16 <= to; n += 16) {
      const at = target + (<usize>n << 2);
      const column = weights + (<usize>n << 2);
      let a0 = v128.load(at);
      let a1 = v128.load(at, 16);
      let a2 = v128.load(at, 32);
      let a3 = v128.load(at, 48);
      for (let id = first; id < last; id += 4) {
        const w = column + <usize>load<u32>(id) * rowBytes;
        a0 = f32x4.add(a0, v128.load(w));
        a1 = f32x4.add(a1, v128.load(w, 16));
        a2 = f32x4.add(a2, v128.load(w, 32));
        a3 = f32x4.add(a3, v128.load(w, 48));
      }
      v128.store(at, a0);
      v128.store(at, a1, 16);
      v128.store(at, a2, 32);
      v128.store(at, a3, 48);
    }
    for (; n < to; n++) {
      let sum = load<f32>(target + (<usize>n << 2));
      for (let id = first; id < last; id += 4) sum += load<f32>(weights + <usize>load<u32>(id) * rowBytes + (<usize>n << 2));
      store<f32>(target + (<usize>n << 2), sum);
    }
  }
}

/** Rows whose int8 sum is certain to fit in 16 bits: 256 * 127 < 32768. */
const ROWS_PER_BLOCK: usize = 256;

// @ts-ignore: decorator
@inline
function widenAdd(at: usize, sums: v128, shift: i32): void {
  v128.store(at, i32x4.add(v128.load(at), i32x4.shl(i32x4.extend_low_i16x8_s(sums), shift)));
  v128.store(at, i32x4.add(v128.load(at, 16), i32x4.shl(i32x4.extend_high_i16x8_s(sums), shift)), 16);
}

/** args: as denseRowsF32 */
export function denseRowsI8(args: usize, step: i32, thread: i32, threads: i32): void {
  const slot = arrivingSlot(step, load<i32>(args, 44), load<i32>(args, 32), load<i32>(args, 28));
  if (slot < 0) return;
  const weights = load<u32>(args, 8);
  const batch = load<i32>(args, 16);
  const posts = load<i32>(args, 20);
  const rowBytes = <usize>load<u32>(args, 24);
  const shift = load<i32>(args, 48);
  const from = neuronBegin(batch, posts, 32, thread, threads);
  const to = neuronEnd(batch, posts, 32, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const pair = load<u32>(args) + (<usize>(slot * batch + b) << 3);
    const first = load<u32>(args, 4) + (<usize>load<u32>(pair) << 2);
    const last = first + (<usize>load<u32>(pair, 4) << 2);
    if (first == last) continue;
    const target = load<u32>(args, 12) + ((<usize>b * <usize>load<u32>(args, 36) + <usize>load<u32>(args, 40)) << 2);
    // A block of spikes at a time keeps the 16-bit sums from overflowing.
    for (let begin = first; begin < last; begin += ROWS_PER_BLOCK << 2) {
      const end = min(last, begin + (ROWS_PER_BLOCK << 2));
      let n = from;
      for (; n + 64 <= to; n += 64) {
        const column = weights + <usize>n;
        let s0 = i16x8.splat(0);
        let s1 = s0;
        let s2 = s0;
        let s3 = s0;
        let s4 = s0;
        let s5 = s0;
        let s6 = s0;
        let s7 = s0;
        for (let id = begin; id < end; id += 4) {
          const w = column + <usize>load<u32>(id) * rowBytes;
          s0 = i16x8.add(s0, v128.load8x8_s(w));
          s1 = i16x8.add(s1, v128.load8x8_s(w, 8));
          s2 = i16x8.add(s2, v128.load8x8_s(w, 16));
          s3 = i16x8.add(s3, v128.load8x8_s(w, 24));
          s4 = i16x8.add(s4, v128.load8x8_s(w, 32));
          s5 = i16x8.add(s5, v128.load8x8_s(w, 40));
          s6 = i16x8.add(s6, v128.load8x8_s(w, 48));
          s7 = i16x8.add(s7, v128.load8x8_s(w, 56));
        }
        const at = target + (<usize>n << 2);
        widenAdd(at, s0, shift);
        widenAdd(at + 32, s1, shift);
        widenAdd(at + 64, s2, shift);
        widenAdd(at + 96, s3, shift);
        widenAdd(at + 128, s4, shift);
        widenAdd(at + 160, s5, shift);
        widenAdd(at + 192, s6, shift);
        widenAdd(at + 224, s7, shift);
      }
      for (; n + 8 <= to; n += 8) {
        const column = weights + <usize>n;
        let s = i16x8.splat(0);
        for (let id = begin; id < end; id += 4) s = i16x8.add(s, v128.load8x8_s(column + <usize>load<u32>(id) * rowBytes));
        widenAdd(target + (<usize>n << 2), s, shift);
      }
      for (; n < to; n++) {
        let sum = 0;
        for (let id = begin; id < end; id += 4) sum += load<i8>(weights + <usize>load<u32>(id) * rowBytes + <usize>n);
        const at = target + (<usize>n << 2);
        store<i32>(at, load<i32>(at) + (sum << shift));
      }
    }
  }
}
