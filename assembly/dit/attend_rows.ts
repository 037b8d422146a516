// Attention of rows of queries to keys in panels, softmax on the run over blocks of 64 keys. Queries are taken in fours, which share the keys and values that are read. Threads share
// the fours of queries of all sequences and heads.
import { scratchOf } from '../scratch';
import { expF32, expF32x4 } from '../tensor/exp';
import { clearSums, fourRows, oneRow, SUMS } from './panels';

const BLOCK = 64;
const LOWEST: f32 = -3.0e38;

let scale: f32 = 0;

/**
 * Scores of a block to weights, in place. Updates highest score and sum of weights in `state`, and returns by how much what was summed before shrinks.
 * `scores` has room for a multiple of four.
 */
function weigh(scores: usize, count: i32, state: usize): f32 {
  const highest = load<f32>(state);
  const factor = f32x4.splat(scale);
  let maxima = f32x4.splat(highest);
  const whole = <usize>(count & ~3) << 2;
  for (let j: usize = 0; j < whole; j += 16) {
    const s = f32x4.mul(v128.load(scores + j), factor);
    v128.store(scores + j, s);
    maxima = f32x4.pmax(maxima, s);
  }
  let most = max<f32>(
    max<f32>(f32x4.extract_lane(maxima, 0), f32x4.extract_lane(maxima, 1)),
    max<f32>(f32x4.extract_lane(maxima, 2), f32x4.extract_lane(maxima, 3)),
  );
  for (let j = count & ~3; j < count; j++) {
    const s = load<f32>(scores + (<usize>j << 2)) * scale;
    store<f32>(scores + (<usize>j << 2), s);
    most = max<f32>(most, s);
  }
  const top = f32x4.splat(most);
  let lanes = f32x4.splat(0);
  for (let j: usize = 0; j < whole; j += 16) {
    const w = expF32x4(f32x4.sub(v128.load(scores + j), top));
    v128.store(scores + j, w);
    lanes = f32x4.add(lanes, w);
  }
  if (count & 3) {
    const index = i32x4.add(i32x4.splat(count & ~3), i32x4(0, 1, 2, 3));
    const inside = i32x4.lt_s(index, i32x4.splat(count));
    const w = v128.and(expF32x4(f32x4.sub(v128.load(scores + whole), top)), inside);
    v128.store(scores + whole, w);
    lanes = f32x4.add(lanes, w);
  }
  const sum: f32 =
    f32x4.extract_lane(lanes, 0) +
    f32x4.extract_lane(lanes, 1) +
    (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3));
  const shrink = expF32(highest - most);
  store<f32>(state, most);
  store<f32>(state, load<f32>(state, 4) * shrink + sum, 4);
  return shrink;
}

/** Eight elements of four results: what was there, shrunk, and the values of a block by their weights. */
function fourValues(
  out: usize,
  rowBytes: usize,
  weights: usize,
  values: usize,
  stride: usize,
  count: i32,
  s0: f32,
  s1: f32,
  s2: f32,
  s3: f32,
): void {
  const o1 = out + rowBytes;
  const o2 = o1 + rowBytes;
  const o3 = o2 + rowBytes;
  let a = f32x4.mul(v128.load(out), f32x4.splat(s0));
  let b = f32x4.mul(v128.load(out, 16), f32x4.splat(s0));
  let c = f32x4.mul(v128.load(o1), f32x4.splat(s1));
  let d = f32x4.mul(v128.load(o1, 16), f32x4.splat(s1));
  let e = f32x4.mul(v128.load(o2), f32x4.splat(s2));
  let f = f32x4.mul(v128.load(o2, 16), f32x4.splat(s2));
  let g = f32x4.mul(v128.load(o3), f32x4.splat(s3));
  let h = f32x4.mul(v128.load(o3, 16), f32x4.splat(s3));
  const end = weights + (<usize>count << 2);
  for (; weights < end; weights += 4, values += stride) {
    const v = v128.load(values);
    const w = v128.load(values, 16);
    let x = v128.load32_splat(weights);
    a = f32x4.add(a, f32x4.mul(x, v));
    b = f32x4.add(b, f32x4.mul(x, w));
    x = v128.load32_splat(weights, SUMS);
    c = f32x4.add(c, f32x4.mul(x, v));
    d = f32x4.add(d, f32x4.mul(x, w));
    x = v128.load32_splat(weights, 2 * SUMS);
    e = f32x4.add(e, f32x4.mul(x, v));
    f = f32x4.add(f, f32x4.mul(x, w));
    x = v128.load32_splat(weights, 3 * SUMS);
    g = f32x4.add(g, f32x4.mul(x, v));
    h = f32x4.add(h, f32x4.mul(x, w));
  }
  v128.store(out, a);
  v128.store(out, b, 16);
  v128.store(o1, c);
  v128.store(o1, d, 16);
  v128.store(o2, e);
  v128.store(o2, f, 16);
  v128.store(o3, g);
  v128.store(o3, h, 16);
}

function oneValue(out: usize, weights: usize, values: usize, stride: usize, count: i32, shrink: f32): void {
  let a = f32x4.mul(v128.load(out), f32x4.splat(shrink));
  let b = f32x4.mul(v128.load(out, 16), f32x4.splat(shrink));
  const end = weights + (<usize>count << 2);
  for (; weights < end; weights += 4, values += stride) {
    const x = v128.load32_splat(weights);
    a = f32x4.add(a, f32x4.mul(x, v128.load(values)));
    b = f32x4.add(b, f32x4.mul(x, v128.load(values, 16)));
  }
  v128.store(out, a);
  v128.store(out, b, 16);
}

/**
 * args: q, panels, values, state, out, sequences, queries, keys, heads, headSize, qSequence, qFirst, qStride, qBegin, vSequence, vFirst, vStride, vBegin,
 * oSequence, oFirst, oStride, oBegin, begins, ends, scale
 */
export function attendRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const q = load<u32>(args);
  const panels = load<u32>(args, 4);
  const values = load<u32>(args, 8);
  const states = load<u32>(args, 12);
  const out = load<u32>(args, 16);
  const sequences = load<i32>(args, 20);
  const queries = load<i32>(args, 24);
  const keys = load<i32>(args, 28);
  const heads = load<i32>(args, 32);
  const headSize = load<i32>(args, 36);
  const qSequence = load<i32>(args, 40);
  const qFirst = load<i32>(args, 44);
  const qStride = <usize>load<i32>(args, 48) << 2;
  const qBegin = load<i32>(args, 52);
  const vSequence = load<i32>(args, 56);
  const vFirst = load<i32>(args, 60);
  const vStride = <usize>load<i32>(args, 64) << 2;
  const vBegin = load<i32>(args, 68);
  const oSequence = load<i32>(args, 72);
  const oFirst = load<i32>(args, 76);
  const oStride = <usize>load<i32>(args, 80) << 2;
  const oBegin = load<i32>(args, 84);
  const begins = load<i32>(args, 88) != 0;
  const ends = load<i32>(args, 92) != 0;
  scale = load<f32>(args, 96);
  const scores = scratchOf(thread, threads);
  const headBytes = <usize>headSize << 2;
  const panelBytes = <usize>headSize << 5;
  const ofHead = <usize>((keys + 7) >> 3) * panelBytes;
  const stateStride = <usize>heads << 3;
  const fours = (queries + 3) >> 2;
  const items = sequences * heads * fours;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const pair = item / fours;
    const t = (item - pair * fours) << 2;
    const s = pair / heads;
    const h = pair - s * heads;
    const count = min(4, queries - t);
    const query = q + <usize>(s * qSequence + qFirst + t) * qStride + (<usize>(qBegin + h * headSize) << 2);
    const result = out + <usize>(s * oSequence + oFirst + t) * oStride + (<usize>(oBegin + h * headSize) << 2);
    const state = states + (<usize>((s * queries + t) * heads + h) << 3);
    const value = values + <usize>(s * vSequence + vFirst) * vStride + (<usize>(vBegin + h * headSize) << 2);
    const panel = panels + <usize>pair * ofHead;
    if (begins) {
      for (let r: usize = 0; r < <usize>count; r++) {
        store<f32>(state + r * stateStride, LOWEST);
        store<f32>(state + r * stateStride, 0, 4);
        memory.fill(result + r * oStride, 0, headBytes);
      }
    }
    for (let first = 0; first < keys; first += BLOCK) {
      const some = min(BLOCK, keys - first);
      const here = panel + <usize>(first >> 3) * panelBytes;
      const v = value + <usize>first * vStride;
      if (count == 4) {
        for (let p: usize = 0; p < <usize>((some + 7) >> 3); p++) {
          clearSums(scores + (p << 5), 4);
          fourRows(
            query,
            query + qStride,
            query + 2 * qStride,
            query + 3 * qStride,
            here + p * panelBytes,
            headSize,
            scores + (p << 5),
          );
        }
        const s0 = weigh(scores, some, state);
        const s1 = weigh(scores + SUMS, some, state + stateStride);
        const s2 = weigh(scores + 2 * SUMS, some, state + 2 * stateStride);
        const s3 = weigh(scores + 3 * SUMS, some, state + 3 * stateStride);
        for (let i: usize = 0; i < headBytes; i += 32) {
          fourValues(result + i, oStride, scores, v + i, vStride, some, s0, s1, s2, s3);
        }
      } else {
        for (let r: usize = 0; r < <usize>count; r++) {
          for (let p: usize = 0; p < <usize>((some + 7) >> 3); p++) {
            clearSums(scores + (p << 5), 1);
            oneRow(query + r * qStride, here + p * panelBytes, headSize, scores + (p << 5));
          }
          const shrink = weigh(scores, some, state + r * stateStride);
          for (let i: usize = 0; i < headBytes; i += 32) {
            oneValue(result + r * oStride + i, scores, v + i, vStride, some, shrink);
          }
        }
      }
    }
    if (!ends) continue;
    for (let r: usize = 0; r < <usize>count; r++) {
      const share = f32x4.splat(<f32>1 / load<f32>(state + r * stateStride, 4));
      for (let i: usize = 0; i < headBytes; i += 16) {
        const at = result + r * oStride + i;
        v128.store(at, f32x4.mul(v128.load(at), share));
      }
    }
  }
}
