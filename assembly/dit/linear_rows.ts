// Linear layers over weights in panels, plain and as a gated residual. Threads share the rows, or the panels where rows are few; rows are taken in blocks, so that a
// block of x stays near while panels pass by.
import { scratchOf } from '../scratch';
import { activate } from './activation';
import { clearSums, fourRows, loadSome, oneRow, storeSome, SUMS } from './panels';

/** Rows that go with a panel before the next is taken. */
const BLOCK = 32;

/** Place of row t among sequences of `sequence` rows, of which it is `first` on. */
// @ts-ignore: decorator
@inline
function placeOf(t: i32, tokens: i32, sequence: i32, first: i32): usize {
  const s = t / tokens;
  return <usize>s * <usize>sequence + <usize>(first + t - s * tokens);
}

let x: usize = 0;
let weights: usize = 0;
let bias: usize = 0;
let gates: usize = 0;
let y: usize = 0;
let inner: i32 = 0;
let outer: i32 = 0;
let tokens: i32 = 0;
let xSequence: i32 = 0;
let xFirst: i32 = 0;
let ySequence: i32 = 0;
let yFirst: i32 = 0;
let activation: i32 = 0;
let gateStride: i32 = 0;
let gateFirst: i32 = 0;

// @ts-ignore: decorator
@inline
function row(t: i32): usize {
  return x + placeOf(t, tokens, xSequence, xFirst) * (<usize>inner << 2);
}

/** From sums to results: of row t, the panel that begins at column n. */
// @ts-ignore: decorator
@inline
function finish(t: i32, n: i32, sums: usize, gated: bool): void {
  const count = min(8, outer - n);
  // Numbers of this panel go through the space behind the sums' second vector.
  const room = sums + 32;
  loadSome(bias + (<usize>n << 2), count, room);
  let low = f32x4.add(v128.load(sums), v128.load(room));
  let high = f32x4.add(v128.load(sums, 16), v128.load(room, 16));
  if (gated) {
    loadSome(gates + (<usize>((t / tokens) * gateStride + gateFirst + n) << 2), count, room);
    low = f32x4.mul(v128.load(room), low);
    high = f32x4.mul(v128.load(room, 16), high);
    const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
    loadSome(target, count, room);
    storeSome(target, f32x4.add(v128.load(room), low), f32x4.add(v128.load(room, 16), high), count, room);
  } else {
    const target = y + ((placeOf(t, tokens, ySequence, yFirst) * <usize>outer + <usize>n) << 2);
    storeSome(target, activate(low, activation), activate(high, activation), count, room);
  }
}

// @ts-ignore: decorator
@inline
function product(rows: i32, thread: i32, threads: i32, gated: bool): void {
  const sums = scratchOf(thread, threads);
  const panels = (outer + 7) >> 3;
  const byRows = rows >= 4 * threads;
  const from = byRows ? <i32>((<i64>rows * thread) / threads) : 0;
  const to = byRows ? <i32>((<i64>rows * (thread + 1)) / threads) : rows;
  const lastPanel = byRows ? panels : <i32>((<i64>panels * (thread + 1)) / threads);
  const firstPanel = byRows ? 0 : <i32>((<i64>panels * thread) / threads);
  for (let first = from; first < to; first += BLOCK) {
    const end = min(first + BLOCK, to);
    for (let p = firstPanel; p < lastPanel; p++) {
      const panel = weights + ((<usize>p * <usize>inner) << 5);
      let t = first;
      for (; t + 3 < end; t += 4) {
        clearSums(sums, 4);
        fourRows(row(t), row(t + 1), row(t + 2), row(t + 3), panel, inner, sums);
        for (let r = 0; r < 4; r++) finish(t + r, p << 3, sums + <usize>r * SUMS, gated);
      }
      for (; t < end; t++) {
        clearSums(sums, 1);
        oneRow(row(t), panel, inner, sums);
        finish(t, p << 3, sums, gated);
      }
    }
  }
}

/** args: x, weights, bias, y, rows, inner, outer, tokens, xSequence, xFirst, ySequence, yFirst, activation */
export function linearRows(args: usize, step: i32, thread: i32, threads: i32): void {
  x = load<u32>(args);
  weights = load<u32>(args, 4);
  bias = load<u32>(args, 8);
  y = load<u32>(args, 12);
  const rows = load<i32>(args, 16);
  inner = load<i32>(args, 20);
  outer = load<i32>(args, 24);
  tokens = load<i32>(args, 28);
  xSequence = load<i32>(args, 32);
  xFirst = load<i32>(args, 36);
  ySequence = load<i32>(args, 40);
  yFirst = load<i32>(args, 44);
  activation = load<i32>(args, 48);
  product(rows, thread, threads, false);
}

/** args: x, weights, bias, gates, y, rows, inner, outer, tokens, xSequence, xFirst, gateStride, gateFirst */
export function gatedLinearRows(args: usize, step: i32, thread: i32, threads: i32): void {
  x = load<u32>(args);
  weights = load<u32>(args, 4);
  bias = load<u32>(args, 8);
  gates = load<u32>(args, 12);
  y = load<u32>(args, 16);
  const rows = load<i32>(args, 20);
  inner = load<i32>(args, 24);
  outer = load<i32>(args, 28);
  tokens = load<i32>(args, 32);
  xSequence = load<i32>(args, 36);
  xFirst = load<i32>(args, 40);
  gateStride = load<i32>(args, 44);
  gateFirst = load<i32>(args, 48);
  product(rows, thread, threads, true);
}
