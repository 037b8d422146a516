// Blocks in int4: scales of keys go into the query, scales of values into the weights; both are rounded to 16 bits, so sums are exact.
import { gridScales, gridZeros } from './half';
import {
  LOWEST,
  ONE_WHOLE,
  TINY,
  WHOLE,
  expLanes,
  highestOf,
  rounded,
  sumOf,
  wholeSumsOf,
} from './lanes';
import { INT4, headsPerGroup, keysAt, valueScalesAt, valuesAt } from './layout';
import {
  HIGHEST,
  SUM,
  blockSize,
  factorOf,
  headSize,
  kvHeads,
  putScores,
  roundedQuery,
  scale,
  scores,
  wholes,
} from './softmax';

/** What the minima of the keys add to every score; scales are in roundQuery. */
let offset: f32 = 0;

/** Query times scales of channels, rounded, into scratch; returns what 1 stands for. Quarters of a head are padded to whole vectors. */
function roundQuery(q: usize, grids: usize): f32 {
  const row = <usize>headSize << 2;
  let most = f32x4.splat(0);
  let offsets = most;
  for (let i: usize = 0; i < row; i += 16) {
    const x = v128.load(q + i);
    const grid = v128.load(grids + i);
    const by = gridScales(grid);
    most = f32x4.pmax(most, f32x4.abs(f32x4.mul(x, by)));
    offsets = f32x4.add(offsets, f32x4.mul(x, f32x4.mul(by, gridZeros(grid))));
  }
  offset = sumOf(offsets);
  const largest = highestOf(most);
  const inverse = f32x4.splat(largest > TINY ? WHOLE / largest : 0);
  if (headSize & 31) {
    // Short quarters: two channels at a time, which are never of two quarters.
    const quarter = headSize >> 2;
    const padded = (quarter + 7) & ~7;
    memory.fill(roundedQuery, 0, <usize>padded << 3);
    for (let c = 0; c < headSize; c += 2) {
      const i = <usize>c << 2;
      const x = f32x4.mul(v128.load64_zero(q + i), gridScales(v128.load64_zero(grids + i)));
      const whole = rounded(f32x4.mul(x, inverse));
      const n = c / quarter;
      v128.store32_lane(roundedQuery + (<usize>(n * padded + c - n * quarter) << 1), i16x8.narrow_i32x4_s(whole, whole), 0);
    }
  } else {
    for (let i: usize = 0; i < row; i += 32) {
      const a = f32x4.mul(v128.load(q + i), gridScales(v128.load(grids + i)));
      const b = f32x4.mul(v128.load(q + i, 16), gridScales(v128.load(grids + i, 16)));
      const whole = i16x8.narrow_i32x4_s(rounded(f32x4.mul(a, inverse)), rounded(f32x4.mul(b, inverse)));
      v128.store(roundedQuery + (i >> 1), whole);
    }
  }
  return largest * ONE_WHOLE;
}

/** Products of 32 nibbles with the rounded query's four quarters. */
// @ts-ignore: decorator
@inline
function products(sum: v128, words: usize, q0: v128, q1: v128, q2: v128, q3: v128): v128 {
  const w = v128.load(words);
  const mask = i16x8.splat(15);
  const a = i32x4.add(
    i32x4.dot_i16x8_s(q0, v128.and(w, mask)),
    i32x4.dot_i16x8_s(q1, v128.and(i16x8.shr_u(w, 4), mask)),
  );
  const b = i32x4.add(
    i32x4.dot_i16x8_s(q2, v128.and(i16x8.shr_u(w, 8), mask)),
    i32x4.dot_i16x8_s(q3, i16x8.shr_u(w, 12)),
  );
  return i32x4.add(sum, i32x4.add(a, b));
}

/** Tokens from `from` on of a block. */
export function attendInt4Block(block: usize, kvHead: i32, query: usize, out: usize, state: usize, from: i32): void {
  const row = <usize>headSize >> 1;
  const keys = block + keysAt(INT4, kvHeads, headSize, blockSize) + <usize>(kvHead * blockSize) * row;
  const unit = f32x4.splat(roundQuery(query, block + (<usize>(kvHead * headSize) << 2)));
  const offsets = f32x4.splat(offset);
  const scaling = f32x4.splat(scale);
  const padded = <usize>(((headSize >> 2) + 7) & ~7) << 1;
  const last = blockSize - 1;
  let most = f32x4.splat(LOWEST);
  for (let j = from & ~3; j < blockSize; j += 4) {
    const k0 = keys + <usize>j * row;
    const k1 = keys + <usize>min(j + 1, last) * row;
    const k2 = keys + <usize>min(j + 2, last) * row;
    const k3 = keys + <usize>min(j + 3, last) * row;
    let a = i32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    for (let i: usize = 0; i < row; i += 16) {
      const q0 = v128.load(roundedQuery + i);
      const q1 = v128.load(roundedQuery + padded + i);
      const q2 = v128.load(roundedQuery + 2 * padded + i);
      const q3 = v128.load(roundedQuery + 3 * padded + i);
      a = products(a, k0 + i, q0, q1, q2, q3);
      b = products(b, k1 + i, q0, q1, q2, q3);
      c = products(c, k2 + i, q0, q1, q2, q3);
      d = products(d, k3 + i, q0, q1, q2, q3);
    }
    const dots = f32x4.convert_i32x4_s(wholeSumsOf(a, b, c, d));
    most = putScores(f32x4.mul(f32x4.add(f32x4.mul(dots, unit), offsets), scaling), j, from, blockSize, most);
  }

  // Weights, and their products with the tokens' scales and minima.
  const highest = highestOf(most);
  const top = f32x4.splat(highest);
  const group = kvHead / headsPerGroup(kvHeads, headSize);
  const grids = block + valueScalesAt(INT4, kvHeads, headSize) + (<usize>(group * blockSize) << 2);
  let sums = f32x4.splat(0);
  let minima = sums;
  most = sums;
  for (let j = from & ~3; j < blockSize; j += 4) {
    const at = scores + (<usize>j << 2);
    const s = v128.load(at);
    const attended = f32x4.gt(s, f32x4.splat(LOWEST));
    const e = v128.and(expLanes(f32x4.sub(s, top)), attended);
    const grid = v128.load(grids + (<usize>j << 2));
    const by = gridScales(grid);
    // Behind the last token lie other words, which may be no numbers.
    const scaled = v128.and(f32x4.mul(e, by), attended);
    sums = f32x4.add(sums, e);
    minima = f32x4.add(minima, v128.and(f32x4.mul(e, f32x4.mul(by, gridZeros(grid))), attended));
    most = f32x4.pmax(most, scaled);
    v128.store(at, scaled);
  }
  const largest = highestOf(most);
  const inverse = f32x4.splat(largest > TINY ? WHOLE / largest : 0);
  for (let j = from & ~3; j < blockSize; j += 4) {
    const w = rounded(f32x4.mul(v128.load(scores + (<usize>j << 2)), inverse));
    v128.store64_lane(wholes + (<usize>j << 1), i16x8.narrow_i32x4_s(w, w), 0);
  }
  const before = load<f32>(state, HIGHEST);
  const factor = factorOf(before, highest);
  const above = highest > before;
  if (above) store<f32>(state, highest, HIGHEST);
  const shrink: f32 = above ? factor : 1;
  const weight: f32 = above ? 1 : factor;
  store<f32>(state, load<f32>(state, SUM) * shrink + sumOf(sums) * weight, SUM);
  addValues(
    block + valuesAt(INT4, kvHeads, headSize, blockSize) + <usize>(kvHead * blockSize) * row,
    out,
    from & ~1,
    f32x4.splat(shrink),
    f32x4.splat(largest * ONE_WHOLE * weight),
    f32x4.splat(sumOf(minima) * weight),
  );
}

/** Two tokens at a time, 32 channels: words of both side by side, a nibble of each in a lane of 32 bits. */
function addValues(values: usize, out: usize, from: i32, less: v128, by: v128, plus: v128): void {
  const row = <usize>headSize >> 1;
  const quarter = <usize>headSize;
  const mask = i16x8.splat(15);
  const zero = i32x4.splat(0);
  const last = blockSize - 1;
  for (let i: usize = 0; i < row; i += 16) {
    let a0 = zero;
    let a1 = zero;
    let b0 = zero;
    let b1 = zero;
    let c0 = zero;
    let c1 = zero;
    let d0 = zero;
    let d1 = zero;
    for (let j = from; j < blockSize; j += 2) {
      const w = v128.load32_splat(wholes + (<usize>j << 1));
      const x = v128.load(values + <usize>j * row + i);
      const y = v128.load(values + <usize>min(j + 1, last) * row + i);
      const low = v128.shuffle<i16>(x, y, 0, 8, 1, 9, 2, 10, 3, 11);
      const high = v128.shuffle<i16>(x, y, 4, 12, 5, 13, 6, 14, 7, 15);
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(w, v128.and(low, mask)));
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(w, v128.and(i16x8.shr_u(low, 4), mask)));
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(w, v128.and(i16x8.shr_u(low, 8), mask)));
      d0 = i32x4.add(d0, i32x4.dot_i16x8_s(w, i16x8.shr_u(low, 12)));
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(w, v128.and(high, mask)));
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(w, v128.and(i16x8.shr_u(high, 4), mask)));
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(w, v128.and(i16x8.shr_u(high, 8), mask)));
      d1 = i32x4.add(d1, i32x4.dot_i16x8_s(w, i16x8.shr_u(high, 12)));
    }
    // Channels of this vector: words i / 2 on, of each quarter; the last may be two only.
    const place = out + 2 * i;
    const left = quarter - 2 * i;
    add(place, a0, left, less, by, plus);
    add(place + quarter, b0, left, less, by, plus);
    add(place + 2 * quarter, c0, left, less, by, plus);
    add(place + 3 * quarter, d0, left, less, by, plus);
    if (left <= 16) continue;
    add(place + 16, a1, left - 16, less, by, plus);
    add(place + quarter + 16, b1, left - 16, less, by, plus);
    add(place + 2 * quarter + 16, c1, left - 16, less, by, plus);
    add(place + 3 * quarter + 16, d1, left - 16, less, by, plus);
  }
}

/** @param left bytes of the quarter from `place` on */
// @ts-ignore: decorator
@inline
function add(place: usize, sum: v128, left: usize, less: v128, by: v128, plus: v128): void {
  const whole = left >= 16;
  const before = whole ? v128.load(place) : v128.load64_zero(place);
  const more = f32x4.mul(f32x4.convert_i32x4_s(sum), by);
  const after = f32x4.add(f32x4.add(f32x4.mul(before, less), more), plus);
  if (whole) v128.store(place, after);
  else v128.store64_lane(place, after, 0);
}
