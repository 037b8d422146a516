// What the attention of a block in any format has in common: the shape, the scratch of a thread, the state of a token's head, and its softmax.
import { expF32 } from '../tensor/exp';
import { LOWEST, expLanes } from './lanes';

/** State of a token's head: the highest score, the sum of weights, what 1 of a rounded query stands for; behind the header the rounded query. */
export const HIGHEST: usize = 0;
export const SUM: usize = 4;
export const UNIT: usize = 8;
export const HEADER: usize = 16;

// Of the call that runs; each thread has its own.
export let kvHeads: i32 = 0;
export let headSize: i32 = 0;
export let blockSize: i32 = 0;
export let scale: f32 = 0;
/** Scores of a block's tokens, then their weights. */
export let scores: usize = 0;
/** Weights as whole numbers of 16 bits. */
export let wholes: usize = 0;
/** A rounded query of int4. */
export let roundedQuery: usize = 0;
let cap: f32 = 0;
let twoOverCap: f32 = 0;

/** Lays the scratch out, and returns its end: at most 896 bytes on, with blocks of 64 and heads of 256. */
export function setShape(
  scratch: usize,
  ofKvHeads: i32,
  ofHeadSize: i32,
  ofBlockSize: i32,
  ofScale: f32,
  ofCap: f32,
): usize {
  kvHeads = ofKvHeads;
  headSize = ofHeadSize;
  blockSize = ofBlockSize;
  scale = ofScale;
  cap = ofCap;
  twoOverCap = <f32>2 / ofCap;
  const tokens = <usize>((ofBlockSize + 7) & ~7);
  scores = scratch;
  wholes = scores + 4 * tokens;
  roundedQuery = wholes + 2 * tokens;
  // Quarters of a head are padded to whole vectors.
  return roundedQuery + <usize>(((ofHeadSize >> 2) + 7) & ~7) * 8;
}

/** Which of tokens j .. j + 3 are `from` to `to` - 1. */
// @ts-ignore: decorator
@inline
export function within(j: i32, from: i32, to: i32): v128 {
  const index = i32x4.add(i32x4.splat(j), i32x4(0, 1, 2, 3));
  return v128.and(i32x4.ge_s(index, i32x4.splat(from)), i32x4.lt_s(index, i32x4.splat(to)));
}

/** Stores the scores of tokens j .. j + 3 and returns the highest so far. */
// @ts-ignore: decorator
@inline
export function putScores(raw: v128, j: i32, from: i32, to: i32, most: v128): v128 {
  let s = raw;
  if (cap > 0) {
    const e = expLanes(f32x4.mul(s, f32x4.splat(twoOverCap)));
    const one = f32x4.splat(1);
    const tanh = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(e, one)));
    s = f32x4.mul(f32x4.splat(cap), tanh);
  }
  s = v128.bitselect(s, f32x4.splat(LOWEST), within(j, from, to));
  v128.store(scores + (<usize>j << 2), s);
  return f32x4.pmax(most, s);
}

/** Raises the highest score of a state to that of a block; returns by how much what was summed before shrinks. */
// @ts-ignore: decorator
@inline
export function raise(state: usize, most: f32): f32 {
  const highest = load<f32>(state, HIGHEST);
  if (most <= highest) return 1;
  store<f32>(state, most, HIGHEST);
  return expF32(highest - most);
}

/** As `raise`, for weights relative to the block's own highest score: returns the factor, of what was before where `above`, else of the block. */
// @ts-ignore: decorator
@inline
export function factorOf(highest: f32, most: f32): f32 {
  return expF32(most > highest ? highest - most : most - highest);
}
