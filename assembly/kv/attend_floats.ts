// Blocks in f32 and f16: products of numbers, in a stated order.
import { loadHalves } from './half';
import { LOWEST, expLanes, highestOf, sumOf, sumsOf } from './lanes';
import { HIGHEST, SUM, blockSize, headSize, kvHeads, putScores, raise, scale, scores } from './softmax';

/** Tokens `from` to `to` - 1 of a block. */
export function attendF32Block(
  block: usize,
  kvHead: i32,
  q: usize,
  out: usize,
  state: usize,
  from: i32,
  to: i32,
): void {
  const row = <usize>headSize << 2;
  const keys = block + <usize>(kvHead * blockSize) * row;
  let most = f32x4.splat(LOWEST);
  for (let j = from & ~3; j < to; j += 4) {
    const k0 = keys + <usize>j * row;
    const k1 = keys + <usize>min(j + 1, to - 1) * row;
    const k2 = keys + <usize>min(j + 2, to - 1) * row;
    const k3 = keys + <usize>min(j + 3, to - 1) * row;
    let a = f32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    for (let i: usize = 0; i < row; i += 16) {
      const x = v128.load(q + i);
      a = f32x4.add(a, f32x4.mul(x, v128.load(k0 + i)));
      b = f32x4.add(b, f32x4.mul(x, v128.load(k1 + i)));
      c = f32x4.add(c, f32x4.mul(x, v128.load(k2 + i)));
      d = f32x4.add(d, f32x4.mul(x, v128.load(k3 + i)));
    }
    most = putScores(f32x4.mul(sumsOf(a, b, c, d), f32x4.splat(scale)), j, from, to, most);
  }
  const shrink = weigh(state, most, from, to);
  const factor = f32x4.splat(shrink);
  const values = block + <usize>((kvHeads + kvHead) * blockSize) * row;
  const start = values + <usize>from * row;
  const end = values + <usize>to * row;
  let i: usize = 0;
  for (; i + 64 <= row; i += 64) {
    let a = f32x4.mul(v128.load(out + i), factor);
    let b = f32x4.mul(v128.load(out + i, 16), factor);
    let c = f32x4.mul(v128.load(out + i, 32), factor);
    let d = f32x4.mul(v128.load(out + i, 48), factor);
    let weights = scores + (<usize>from << 2);
    for (let v = start + i; v < end; v += row, weights += 4) {
      const p = v128.load32_splat(weights);
      a = f32x4.add(a, f32x4.mul(p, v128.load(v)));
      b = f32x4.add(b, f32x4.mul(p, v128.load(v, 16)));
      c = f32x4.add(c, f32x4.mul(p, v128.load(v, 32)));
      d = f32x4.add(d, f32x4.mul(p, v128.load(v, 48)));
    }
    v128.store(out + i, a);
    v128.store(out + i, b, 16);
    v128.store(out + i, c, 32);
    v128.store(out + i, d, 48);
  }
  for (; i < row; i += 16) {
    let a = f32x4.mul(v128.load(out + i), factor);
    let weights = scores + (<usize>from << 2);
    for (let v = start + i; v < end; v += row, weights += 4) {
      a = f32x4.add(a, f32x4.mul(v128.load32_splat(weights), v128.load(v)));
    }
    v128.store(out + i, a);
  }
}

export function attendF16Block(
  block: usize,
  kvHead: i32,
  q: usize,
  out: usize,
  state: usize,
  from: i32,
  to: i32,
): void {
  const row = <usize>headSize << 1;
  const keys = block + <usize>(kvHead * blockSize) * row;
  let most = f32x4.splat(LOWEST);
  for (let j = from & ~3; j < to; j += 4) {
    const k0 = keys + <usize>j * row;
    const k1 = keys + <usize>min(j + 1, to - 1) * row;
    const k2 = keys + <usize>min(j + 2, to - 1) * row;
    const k3 = keys + <usize>min(j + 3, to - 1) * row;
    let a = f32x4.splat(0);
    let b = a;
    let c = a;
    let d = a;
    for (let i: usize = 0; i < row; i += 8) {
      const x = v128.load(q + 2 * i);
      a = f32x4.add(a, f32x4.mul(x, loadHalves(k0 + i)));
      b = f32x4.add(b, f32x4.mul(x, loadHalves(k1 + i)));
      c = f32x4.add(c, f32x4.mul(x, loadHalves(k2 + i)));
      d = f32x4.add(d, f32x4.mul(x, loadHalves(k3 + i)));
    }
    most = putScores(f32x4.mul(sumsOf(a, b, c, d), f32x4.splat(scale)), j, from, to, most);
  }
  const shrink = weigh(state, most, from, to);
  const factor = f32x4.splat(shrink);
  const values = block + <usize>((kvHeads + kvHead) * blockSize) * row;
  const start = values + <usize>from * row;
  const end = values + <usize>to * row;
  let i: usize = 0;
  for (; i + 32 <= row; i += 32) {
    const place = out + 2 * i;
    let a = f32x4.mul(v128.load(place), factor);
    let b = f32x4.mul(v128.load(place, 16), factor);
    let c = f32x4.mul(v128.load(place, 32), factor);
    let d = f32x4.mul(v128.load(place, 48), factor);
    let weights = scores + (<usize>from << 2);
    for (let v = start + i; v < end; v += row, weights += 4) {
      const p = v128.load32_splat(weights);
      a = f32x4.add(a, f32x4.mul(p, loadHalves(v)));
      b = f32x4.add(b, f32x4.mul(p, loadHalves(v + 8)));
      c = f32x4.add(c, f32x4.mul(p, loadHalves(v + 16)));
      d = f32x4.add(d, f32x4.mul(p, loadHalves(v + 24)));
    }
    v128.store(place, a);
    v128.store(place, b, 16);
    v128.store(place, c, 32);
    v128.store(place, d, 48);
  }
  for (; i < row; i += 8) {
    const place = out + 2 * i;
    let a = f32x4.mul(v128.load(place), factor);
    let weights = scores + (<usize>from << 2);
    for (let v = start + i; v < end; v += row, weights += 4) {
      a = f32x4.add(a, f32x4.mul(v128.load32_splat(weights), loadHalves(v)));
    }
    v128.store(place, a);
  }
}

/** Scores become weights, their sum is added to the state's; returns by how much what was summed before shrinks. */
function weigh(state: usize, most: v128, from: i32, to: i32): f32 {
  const shrink = raise(state, highestOf(most));
  const highest = f32x4.splat(load<f32>(state, HIGHEST));
  let sums = f32x4.splat(0);
  for (let j = from & ~3; j < to; j += 4) {
    const at = scores + (<usize>j << 2);
    const s = v128.load(at);
    const e = v128.and(expLanes(f32x4.sub(s, highest)), f32x4.gt(s, f32x4.splat(LOWEST)));
    v128.store(at, e);
    sums = f32x4.add(sums, e);
  }
  store<f32>(state, load<f32>(state, SUM) * shrink + sumOf(sums), SUM);
  return shrink;
}
