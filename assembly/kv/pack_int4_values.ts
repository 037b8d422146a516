// Values of heads into int4: a grid per token.
import { gridWords, inversesOf, scalesOver } from './half';
import { ROUNDER } from './lanes';
import {
  AnyQuarter,
  Quarter128,
  Quarter64,
  gather,
  on1,
  on12,
  on2,
  on3,
  on4,
  on5,
  on6,
  on7,
  on8,
  scaled,
  storeBoth,
  together,
  wordOf,
} from './quarters';

// What rangeOf found, of four tokens.
let lowest: v128 = i32x4.splat(0);
let highest: v128 = i32x4.splat(0);

export function packValues(
  source: usize,
  grids: usize,
  target: usize,
  headSize: i32,
  blockSize: i32,
  heads: i32,
): void {
  if (headSize == 64) packValuesOf<Quarter64>(source, grids, target, 64, blockSize, heads);
  else if (headSize == 128) packValuesOf<Quarter128>(source, grids, target, 128, blockSize, heads);
  else packValuesOf<AnyQuarter>(source, grids, target, headSize, blockSize, heads);
}

/** Four tokens at a time; the range of the next four is looked for before these are packed, which need not wait for it. */
// @ts-ignore: decorator
@inline
function packValuesOf<T>(
  source: usize,
  grids: usize,
  target: usize,
  quarter: usize,
  blockSize: i32,
  heads: i32,
): void {
  const row = quarter << 2;
  const head = row * blockSize;
  const end = head * heads;
  if (blockSize >= 4) rangeOf<T>(source, quarter, head, end, 4);
  else rangeOf<AnyQuarter>(source, quarter, head, end, blockSize);
  for (let j = 0; j < blockSize; j += 4) {
    const low = lowest;
    const scale = scalesOver(low, highest);
    const by = inversesOf(scale);
    const zero = f32x4.add(f32x4.mul(low, by), f32x4.splat(ROUNDER));
    const plus = f32x4.sub(f32x4.splat(2 * ROUNDER), zero);
    const words = gridWords(scale, zero);
    const at = source + <usize>j * row;
    const grid = grids + (<usize>j << 2);
    const left = blockSize - j;
    if (left >= 8) rangeOf<T>(at + 4 * row, quarter, head, end, 4);
    else if (left > 4) rangeOf<AnyQuarter>(at + 4 * row, quarter, head, end, left - 4);
    const to = target + <usize>j * (row >> 3);
    if (left >= 4) {
      v128.store(grid, words);
      for (let h: usize = 0; h < end; h += head) {
        const t = to + (h >> 3);
        packRows<T>(
          at + h,
          t,
          quarter,
          v128.shuffle<i32>(by, by, 0, 0, 0, 0),
          v128.shuffle<i32>(plus, plus, 0, 0, 0, 0),
          v128.shuffle<i32>(by, by, 1, 1, 1, 1),
          v128.shuffle<i32>(plus, plus, 1, 1, 1, 1),
        );
        packRows<T>(
          at + h + 2 * row,
          t + quarter,
          quarter,
          v128.shuffle<i32>(by, by, 2, 2, 2, 2),
          v128.shuffle<i32>(plus, plus, 2, 2, 2, 2),
          v128.shuffle<i32>(by, by, 3, 3, 3, 3),
          v128.shuffle<i32>(plus, plus, 3, 3, 3, 3),
        );
      }
      continue;
    }
    for (let h: usize = 0; h < end; h += head) {
      const s = at + h;
      const t = to + (h >> 3);
      packRow(s, t, quarter, v128.shuffle<i32>(by, by, 0, 0, 0, 0), v128.shuffle<i32>(plus, plus, 0, 0, 0, 0));
      if (left < 2) continue;
      packRow(
        s + row,
        t + (row >> 3),
        quarter,
        v128.shuffle<i32>(by, by, 1, 1, 1, 1),
        v128.shuffle<i32>(plus, plus, 1, 1, 1, 1),
      );
      if (left < 3) continue;
      packRow(
        s + 2 * row,
        t + (row >> 2),
        quarter,
        v128.shuffle<i32>(by, by, 2, 2, 2, 2),
        v128.shuffle<i32>(plus, plus, 2, 2, 2, 2),
      );
    }
    v128.store32_lane(grid, words, 0);
    if (left > 1) v128.store32_lane(grid, words, 1, 4);
    if (left > 2) v128.store32_lane(grid, words, 2, 8);
  }
}

/** Lowest and highest of four tokens, or fewer, each over `heads` bytes of heads that are `head` apart. */
function rangeOf<T>(source: usize, quarter: usize, head: usize, heads: usize, tokens: i32): void {
  const row = quarter << 2;
  // Where there are fewer, the last counts for the missing ones.
  const second = tokens > 1 ? quarter : 0;
  const third = tokens > 2 ? quarter : second >> 1;
  const fourth = tokens > 3 ? quarter : <usize>((<u64>(third * 8)) / 12);
  let low0 = v128.load(source);
  let low1 = on4<T>(source, second);
  let low2 = on8<T>(source, third);
  let low3 = on12<T>(source, fourth);
  let high0 = low0;
  let high1 = low1;
  let high2 = low2;
  let high3 = low3;
  const end = source + heads;
  for (let h = source; h < end; h += head) {
    for (let c = h; c < h + row; c += 16) {
      const x0 = v128.load(c);
      const x1 = on4<T>(c, second);
      const x2 = on8<T>(c, third);
      const x3 = on12<T>(c, fourth);
      low0 = f32x4.pmin(low0, x0);
      high0 = f32x4.pmax(high0, x0);
      low1 = f32x4.pmin(low1, x1);
      high1 = f32x4.pmax(high1, x1);
      low2 = f32x4.pmin(low2, x2);
      high2 = f32x4.pmax(high2, x2);
      low3 = f32x4.pmin(low3, x3);
      high3 = f32x4.pmax(high3, x3);
    }
  }
  const a = f32x4.pmin(v128.shuffle<i32>(low0, low1, 0, 4, 1, 5), v128.shuffle<i32>(low0, low1, 2, 6, 3, 7));
  const b = f32x4.pmin(v128.shuffle<i32>(low2, low3, 0, 4, 1, 5), v128.shuffle<i32>(low2, low3, 2, 6, 3, 7));
  lowest = f32x4.pmin(v128.shuffle<i64>(a, b, 0, 2), v128.shuffle<i64>(a, b, 1, 3));
  const c = f32x4.pmax(v128.shuffle<i32>(high0, high1, 0, 4, 1, 5), v128.shuffle<i32>(high0, high1, 2, 6, 3, 7));
  const d = f32x4.pmax(v128.shuffle<i32>(high2, high3, 0, 4, 1, 5), v128.shuffle<i32>(high2, high3, 2, 6, 3, 7));
  highest = f32x4.pmax(v128.shuffle<i64>(c, d, 0, 2), v128.shuffle<i64>(c, d, 1, 3));
}

/** The heads of two tokens. */
function packRows<T>(
  source: usize,
  target: usize,
  quarter: usize,
  by0: v128,
  plus0: v128,
  by1: v128,
  plus1: v128,
): void {
  const rowTarget = quarter >> 1;
  const end = source + quarter;
  const whole = source + (quarter & ~<usize>15);
  let at = source;
  for (; at < whole; at += 16, target += 8) {
    const a = together(
      scaled(v128.load(at), by0, plus0),
      scaled(on1<T>(at, quarter), by0, plus0),
      scaled(on2<T>(at, quarter), by0, plus0),
      scaled(on3<T>(at, quarter), by0, plus0),
    );
    const b = together(
      scaled(on4<T>(at, quarter), by1, plus1),
      scaled(on5<T>(at, quarter), by1, plus1),
      scaled(on6<T>(at, quarter), by1, plus1),
      scaled(on7<T>(at, quarter), by1, plus1),
    );
    storeBoth<T>(target, rowTarget, a, b);
  }
  for (; at < end; at += 4, target += 2) {
    store<u16>(target, wordOf(scaled(gather(at, quarter), by0, plus0)));
    store<u16>(target + rowTarget, wordOf(scaled(gather(at + 4 * quarter, quarter), by1, plus1)));
  }
}

/** The head of one token. */
function packRow(source: usize, target: usize, quarter: usize, by: v128, plus: v128): void {
  for (let at = source; at < source + quarter; at += 4, target += 2) {
    store<u16>(target, wordOf(scaled(gather(at, quarter), by, plus)));
  }
}
