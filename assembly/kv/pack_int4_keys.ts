// Keys of a head into int4: a grid per channel.
import { gridWords, inversesOf, scalesOver } from './half';
import { ROUNDER } from './lanes';
import {
  AnyQuarter,
  Quarter128,
  Quarter64,
  gather,
  lowWords,
  on1,
  on2,
  on3,
  scaled,
  together,
  wordOf,
} from './quarters';

const LINE: usize = 64;

/** Keys are looked at twice: the head that comes next in memory, at `ahead`, is touched meanwhile, so that it is there. */
export function packKeys(
  source: usize,
  grids: usize,
  target: usize,
  headSize: i32,
  blockSize: i32,
  ahead: usize,
  scratch: usize,
): void {
  if (headSize == 64) packKeysOf<Quarter64>(source, grids, target, 64, blockSize, ahead, scratch);
  else if (headSize == 128) packKeysOf<Quarter128>(source, grids, target, 128, blockSize, ahead, scratch);
  else packKeysOf<AnyQuarter>(source, grids, target, headSize, blockSize, ahead, scratch);
}

/**
 * Sixteen channels at a time, four of each quarter: their range, then all tokens, two at a time. What the second part needs goes through scratch, so that
 * it is in registers there and nothing else is.
 * @param quarter bytes of a quarter of a head, as many as a head has channels
 */
// @ts-ignore: decorator
@inline
function packKeysOf<T>(
  source: usize,
  grids: usize,
  target: usize,
  quarter: usize,
  blockSize: i32,
  ahead: usize,
  scratch: usize,
): void {
  const row = quarter << 2;
  const rowTarget = quarter >> 1;
  const last = row * (blockSize - 1);
  const whole = source + (quarter & ~<usize>15);
  let c = source;
  let place = target;
  let grid = grids;
  for (; c < whole; c += 16, place += 8, grid += 16) {
    channelRanges<T>(c, quarter, c + last, scratch);
    for (let n: usize = 0; n < 4; n++) {
      const at = scratch + (n << 5);
      const low = v128.load(at);
      const scale = scalesOver(low, v128.load(at, 16));
      const inverse = inversesOf(scale);
      const zero = f32x4.add(f32x4.mul(low, inverse), f32x4.splat(ROUNDER));
      v128.store(grid + n * quarter, gridWords(scale, zero));
      v128.store(at, inverse);
      v128.store(at, f32x4.sub(f32x4.splat(2 * ROUNDER), zero), 16);
    }
    const by0 = v128.load(scratch);
    const plus0 = v128.load(scratch, 16);
    const by1 = v128.load(scratch, 32);
    const plus1 = v128.load(scratch, 48);
    const by2 = v128.load(scratch, 64);
    const plus2 = v128.load(scratch, 80);
    const by3 = v128.load(scratch, 96);
    const plus3 = v128.load(scratch, 112);
    let to = place;
    for (let at = c; at <= c + last; at += row, to += rowTarget, ahead += LINE) {
      touch(ahead);
      const words = together(
        scaled(v128.load(at), by0, plus0),
        scaled(on1<T>(at, quarter), by1, plus1),
        scaled(on2<T>(at, quarter), by2, plus2),
        scaled(on3<T>(at, quarter), by3, plus3),
      );
      v128.store64_lane(to, lowWords(words, words), 0);
    }
  }
  // What is left of a quarter: a channel of each quarter at a time.
  for (; c < source + quarter; c += 4, place += 2, grid += 4) {
    let low = gather(c, quarter);
    let high = low;
    for (let at = c; at <= c + last; at += row) {
      const x = gather(at, quarter);
      low = f32x4.pmin(low, x);
      high = f32x4.pmax(high, x);
    }
    const scale = scalesOver(low, high);
    const inverse = inversesOf(scale);
    const zero = f32x4.add(f32x4.mul(low, inverse), f32x4.splat(ROUNDER));
    const plus = f32x4.sub(f32x4.splat(2 * ROUNDER), zero);
    const words = gridWords(scale, zero);
    v128.store32_lane(grid, words, 0);
    v128.store32_lane(grid + quarter, words, 1);
    v128.store32_lane(grid + 2 * quarter, words, 2);
    v128.store32_lane(grid + 3 * quarter, words, 3);
    let to = place;
    for (let at = c; at <= c + last; at += row, to += rowTarget) {
      store<u16>(to, wordOf(scaled(gather(at, quarter), inverse, plus)));
    }
  }
}

/** Brings a line of memory closer. */
// @ts-ignore: decorator
@inline
function touch(at: usize): void {
  load<u8>(at);
}

/** Lowest and highest of sixteen channels, four of each quarter, into scratch; `last` is the last token's place. */
// @ts-ignore: decorator
@inline
function channelRanges<T>(first: usize, quarter: usize, last: usize, scratch: usize): void {
  let low0 = v128.load(first);
  let low1 = on1<T>(first, quarter);
  let low2 = on2<T>(first, quarter);
  let low3 = on3<T>(first, quarter);
  let high0 = low0;
  let high1 = low1;
  let high2 = low2;
  let high3 = low3;
  // A token at a time: what is summed up just fits the registers.
  for (let at = first + 4 * quarter; at <= last; at += 4 * quarter) {
    const x0 = v128.load(at);
    const x1 = on1<T>(at, quarter);
    const x2 = on2<T>(at, quarter);
    const x3 = on3<T>(at, quarter);
    low0 = f32x4.pmin(low0, x0);
    high0 = f32x4.pmax(high0, x0);
    low1 = f32x4.pmin(low1, x1);
    high1 = f32x4.pmax(high1, x1);
    low2 = f32x4.pmin(low2, x2);
    high2 = f32x4.pmax(high2, x2);
    low3 = f32x4.pmin(low3, x3);
    high3 = f32x4.pmax(high3, x3);
  }
  v128.store(scratch, low0);
  v128.store(scratch, high0, 16);
  v128.store(scratch, low1, 32);
  v128.store(scratch, high1, 48);
  v128.store(scratch, low2, 64);
  v128.store(scratch, high2, 80);
  v128.store(scratch, low3, 96);
  v128.store(scratch, high3, 112);
}
