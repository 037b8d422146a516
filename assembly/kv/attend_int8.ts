// Blocks in int8: the query, and the weights of a block's tokens, are whole numbers of 16 bits, so sums are exact.
import {
  LOWEST,
  ONE_WHOLE,
  TINY,
  WHOLE,
  expLanes,
  highestOf,
  rounded,
  wholeSumsOf,
} from './lanes';
import { INT8, keysAt } from './layout';
import {
  HEADER,
  HIGHEST,
  SUM,
  UNIT,
  blockSize,
  factorOf,
  headSize,
  kvHeads,
  putScores,
  scale,
  scores,
  wholes,
} from './softmax';

/** Rounds a query into its state; once for all blocks. */
export function roundQuery(q: usize, state: usize): void {
  const row = <usize>headSize << 2;
  let most = f32x4.splat(0);
  for (let i: usize = 0; i < row; i += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(q + i)));
  const largest = highestOf(most);
  const inverse = f32x4.splat(largest > TINY ? WHOLE / largest : 0);
  for (let i: usize = 0; i < row; i += 32) {
    const a = rounded(f32x4.mul(v128.load(q + i), inverse));
    const b = i + 16 < row ? rounded(f32x4.mul(v128.load(q + i, 16), inverse)) : i32x4.splat(0);
    v128.store(state + HEADER + (i >> 1), i16x8.narrow_i32x4_s(a, b));
  }
  store<f32>(state, largest * ONE_WHOLE * scale, UNIT);
}

/** Tokens from `from` on of a block. */
export function attendInt8Block(block: usize, kvHead: i32, out: usize, state: usize, from: i32): void {
  const row = <usize>headSize;
  const data = block + keysAt(INT8, kvHeads, headSize, blockSize);
  const keys = data + <usize>(kvHead * blockSize) * row;
  const values = data + <usize>((kvHeads + kvHead) * blockSize) * row;
  const unit = f32x4.splat(load<f32>(state, UNIT) * load<f32>(block + (<usize>kvHead << 2)));
  const q = state + HEADER;
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
    for (let i: usize = 0; i < row; i += 8) {
      const x = v128.load(q + 2 * i);
      a = i32x4.add(a, i32x4.dot_i16x8_s(x, v128.load8x8_s(k0 + i)));
      b = i32x4.add(b, i32x4.dot_i16x8_s(x, v128.load8x8_s(k1 + i)));
      c = i32x4.add(c, i32x4.dot_i16x8_s(x, v128.load8x8_s(k2 + i)));
      d = i32x4.add(d, i32x4.dot_i16x8_s(x, v128.load8x8_s(k3 + i)));
    }
    most = putScores(f32x4.mul(f32x4.convert_i32x4_s(wholeSumsOf(a, b, c, d)), unit), j, from, blockSize, most);
  }

  const highest = highestOf(most);
  const top = f32x4.splat(highest);
  let total = i32x4.splat(0);
  for (let j = from & ~3; j < blockSize; j += 4) {
    const s = v128.load(scores + (<usize>j << 2));
    const e = rounded(f32x4.mul(expLanes(f32x4.sub(s, top)), f32x4.splat(WHOLE)));
    const w = v128.and(e, f32x4.gt(s, f32x4.splat(LOWEST)));
    total = i32x4.add(total, w);
    v128.store64_lane(wholes + (<usize>j << 1), i16x8.narrow_i32x4_s(w, w), 0);
  }
  const before = load<f32>(state, HIGHEST);
  const factor = factorOf(before, highest);
  const above = highest > before;
  if (above) store<f32>(state, highest, HIGHEST);
  const shrink: f32 = above ? factor : 1;
  const one = (above ? <f32>1 : factor) * ONE_WHOLE;
  const sum =
    i32x4.extract_lane(total, 0) +
    i32x4.extract_lane(total, 1) +
    (i32x4.extract_lane(total, 2) + i32x4.extract_lane(total, 3));
  store<f32>(state, load<f32>(state, SUM) * shrink + <f32>sum * one, SUM);

  const by = f32x4.splat(one * load<f32>(block + (<usize>(kvHeads + kvHead) << 2)));
  const less = f32x4.splat(shrink);
  const start = from & ~1;
  for (let i: usize = 0; i < row; i += 16) {
    let a = i32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    for (let j = start; j < blockSize; j += 2) {
      const w = v128.load32_splat(wholes + (<usize>j << 1));
      const v0 = values + <usize>j * row + i;
      const v1 = values + <usize>min(j + 1, last) * row + i;
      const x = v128.load8x8_s(v0);
      const y = v128.load8x8_s(v1);
      a = i32x4.add(a, i32x4.dot_i16x8_s(w, v128.shuffle<i16>(x, y, 0, 8, 1, 9, 2, 10, 3, 11)));
      b = i32x4.add(b, i32x4.dot_i16x8_s(w, v128.shuffle<i16>(x, y, 4, 12, 5, 13, 6, 14, 7, 15)));
      if (i + 8 < row) {
        const z = v128.load8x8_s(v0, 8);
        const u = v128.load8x8_s(v1, 8);
        c = i32x4.add(c, i32x4.dot_i16x8_s(w, v128.shuffle<i16>(z, u, 0, 8, 1, 9, 2, 10, 3, 11)));
        d = i32x4.add(d, i32x4.dot_i16x8_s(w, v128.shuffle<i16>(z, u, 4, 12, 5, 13, 6, 14, 7, 15)));
      }
    }
    const place = out + (i << 2);
    const left = row - i;
    add(place, a, less, by);
    if (left > 4) add(place + 16, b, less, by);
    if (left > 8) add(place + 32, c, less, by);
    if (left > 12) add(place + 48, d, less, by);
  }
}

// @ts-ignore: decorator
@inline
function add(place: usize, sum: v128, less: v128, by: v128): void {
  v128.store(place, f32x4.add(f32x4.mul(v128.load(place), less), f32x4.mul(f32x4.convert_i32x4_s(sum), by)));
}
