// Full blocks into int4: keys with a scale and minimum per channel, values per token. See host/kernels/kv/pack_blocks.ts.
import { scratchOf } from '../scratch';
import { halvesAbove, halvesBelow, inverses, pairWords } from './half';
import { ROUNDER, ROUNDER_BITS, highestOf, lowestOf } from './lanes';
import { INT4, NO_BLOCK, blockBytes, headsPerGroup, keysAt, valueGroups, valueScalesAt, valuesAt } from './layout';

/** A fifteenth of the range is a step. */
const STEP: f32 = <f32>1 / <f32>15;

/** args: tail, pairs, pool, count, kvHeads, headSize, blockSize. Threads share keys of heads and values of groups of heads. */
export function kvPackInt4(args: usize, step: i32, thread: i32, threads: i32): void {
  const tail = load<u32>(args);
  const pairs = load<u32>(args, 4);
  const pool = load<u32>(args, 8);
  const count = load<i32>(args, 12);
  const kvHeads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const blockSize = load<i32>(args, 24);
  const scratch = scratchOf(thread, threads);
  const heads = headsPerGroup(kvHeads, headSize);
  const parts = kvHeads + valueGroups(kvHeads, headSize);
  const floats = <usize>(blockSize * headSize) << 2;
  const nibbles = floats >> 3;
  const bytes = blockBytes(INT4, kvHeads, headSize, blockSize);
  const keys = keysAt(INT4, kvHeads, headSize, blockSize);
  const values = valuesAt(INT4, kvHeads, headSize, blockSize);
  const valueScales = valueScalesAt(INT4, kvHeads, headSize);
  const items = count * parts;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const k = item / parts;
    const from = load<u32>(pairs + (<usize>k << 3));
    const into = load<u32>(pairs + (<usize>k << 3), 4);
    if (from == NO_BLOCK || into == NO_BLOCK) continue;
    const source = tail + 2 * <usize>from * kvHeads * floats;
    const target = pool + <usize>into * bytes;
    const part = item - k * parts;
    if (part < kvHeads) {
      const h = <usize>part;
      packKeys(
        source + h * floats,
        target + ((h * headSize) << 2),
        target + keys + h * nibbles,
        headSize,
        blockSize,
        scratch,
      );
    } else {
      const group = part - kvHeads;
      const h = <usize>(group * heads);
      packValues(
        source + (kvHeads + h) * floats,
        target + valueScales + (<usize>(group * blockSize) << 2),
        target + values + h * nibbles,
        headSize,
        blockSize,
        min(heads, kvHeads - <i32>h),
      );
    }
  }
}

/** Minima and inverse scales of channels are kept in scratch, 8 bytes a channel. */
function packKeys(
  source: usize,
  scales: usize,
  target: usize,
  headSize: i32,
  blockSize: i32,
  scratch: usize,
): void {
  const row = <usize>headSize << 2;
  const end = source + row * blockSize;
  const inverse = scratch + row;
  for (let c: usize = 0; c < row; c += 16) {
    let low = v128.load(source + c);
    let high = low;
    for (let at = source + c + row; at < end; at += row) {
      const x = v128.load(at);
      low = f32x4.pmin(low, x);
      high = f32x4.pmax(high, x);
    }
    const minimum = halvesBelow(low);
    const scale = halvesAbove(f32x4.mul(f32x4.sub(high, minimum), f32x4.splat(STEP)));
    v128.store(scales + c, pairWords(scale, minimum));
    v128.store(scratch + c, minimum);
    v128.store(inverse + c, inverses(scale));
  }
  const quarter = row >> 2;
  const whole = quarter & ~<usize>15;
  for (let at = source; at < end; at += row) {
    for (let i: usize = 0; i < whole; i += 16, target += 8) {
      const a = scaled(at + i, scratch + i, inverse + i);
      const b = scaled(at + quarter + i, scratch + quarter + i, inverse + quarter + i);
      const c = scaled(at + 2 * quarter + i, scratch + 2 * quarter + i, inverse + 2 * quarter + i);
      const d = scaled(at + 3 * quarter + i, scratch + 3 * quarter + i, inverse + 3 * quarter + i);
      const words = nibbles(a, b, c, d);
      v128.store64_lane(target, i16x8.narrow_i32x4_u(words, words), 0);
    }
    for (let i = whole; i < quarter; i += 4, target += 2) {
      let word = 0;
      for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
        word |= scalar(load<f32>(at + c), load<f32>(scratch + c), load<f32>(inverse + c)) << <i32>(4 * n);
      }
      store<u16>(target, <u16>word);
    }
  }
}

/** Numbers that are to be rounded: the rounder is added already. */
// @ts-ignore: decorator
@inline
function scaled(values: usize, minima: usize, inverse: usize): v128 {
  return f32x4.add(
    f32x4.mul(f32x4.sub(v128.load(values), v128.load(minima)), v128.load(inverse)),
    f32x4.splat(ROUNDER),
  );
}

/** The rounder's bits are 0 in the low half, so that whole numbers can be put together before they are taken off. */
// @ts-ignore: decorator
@inline
function nibbles(a: v128, b: v128, c: v128, d: v128): v128 {
  const low = v128.or(a, i32x4.shl(b, 4));
  const high = v128.or(i32x4.shl(c, 8), i32x4.shl(d, 12));
  return v128.and(v128.or(low, high), i32x4.splat(0xffff));
}

// @ts-ignore: decorator
@inline
function scalar(x: f32, minimum: f32, inverse: f32): i32 {
  return reinterpret<i32>((x - minimum) * inverse + ROUNDER) - ROUNDER_BITS;
}

function packValues(source: usize, scales: usize, target: usize, headSize: i32, blockSize: i32, heads: i32): void {
  const row = <usize>headSize << 2;
  const quarter = row >> 2;
  const whole = quarter & ~<usize>15;
  const head = row * blockSize;
  const end = source + head * heads;
  for (let j = 0; j < blockSize; j++, source += row, scales += 4) {
    let low = v128.load(source);
    let high = low;
    for (let h = source; h < end; h += head) {
      for (let c: usize = 0; c < row; c += 16) {
        const x = v128.load(h + c);
        low = f32x4.pmin(low, x);
        high = f32x4.pmax(high, x);
      }
    }
    const minimum = halvesBelow(f32x4.splat(lowestOf(low)));
    const scale = halvesAbove(f32x4.mul(f32x4.sub(f32x4.splat(highestOf(high)), minimum), f32x4.splat(STEP)));
    v128.store32_lane(scales, pairWords(scale, minimum), 0);
    const inverse = inverses(scale);
    let to = target + <usize>j * (row >> 3);
    for (let h = source; h < end; h += head, to += (head - row) >> 3) {
      for (let i: usize = 0; i < whole; i += 16, to += 8) {
        const a = scaledBy(h + i, minimum, inverse);
        const b = scaledBy(h + quarter + i, minimum, inverse);
        const c = scaledBy(h + 2 * quarter + i, minimum, inverse);
        const d = scaledBy(h + 3 * quarter + i, minimum, inverse);
        const words = nibbles(a, b, c, d);
        v128.store64_lane(to, i16x8.narrow_i32x4_u(words, words), 0);
      }
      for (let i = whole; i < quarter; i += 4, to += 2) {
        let word = 0;
        for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
          const by = f32x4.extract_lane(inverse, 0);
          word |= scalar(load<f32>(h + c), f32x4.extract_lane(minimum, 0), by) << <i32>(4 * n);
        }
        store<u16>(to, <u16>word);
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function scaledBy(values: usize, minimum: v128, inverse: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.sub(v128.load(values), minimum), inverse), f32x4.splat(ROUNDER));
}
