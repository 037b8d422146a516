// Full blocks into the formats that have no more than a scale per head; int4 is in pack_int4.ts.
import { halfLanes } from './half';
import { ROUNDER, ROUNDER_BITS, TINY, highestOf } from './lanes';
import { F16, F32, INT8, NO_BLOCK, blockBytes, keysAt } from './layout';

/** args: tail, pairs, pool, count, kvHeads, headSize, blockSize */
export function kvPackF32(args: usize, step: i32, thread: i32, threads: i32): void {
  packFloats(args, thread, threads, F32);
}

/** args as kvPackF32's */
export function kvPackF16(args: usize, step: i32, thread: i32, threads: i32): void {
  packFloats(args, thread, threads, F16);
}

/** Threads share halves of blocks: keys, values. */
function packFloats(args: usize, thread: i32, threads: i32, format: i32): void {
  const tail = load<u32>(args);
  const pairs = load<u32>(args, 4);
  const pool = load<u32>(args, 8);
  const items = load<i32>(args, 12) * 2;
  const half = <usize>(load<i32>(args, 16) * load<i32>(args, 20) * load<i32>(args, 24)) << 2;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const pair = pairs + (<usize>(item >> 1) << 3);
    const from = load<u32>(pair);
    const target = load<u32>(pair, 4);
    if (from == NO_BLOCK || target == NO_BLOCK) continue;
    const source = tail + <usize>(2 * from + (item & 1)) * half;
    const place = <usize>(2 * target + (item & 1)) * half;
    if (format == F32) memory.copy(pool + place, source, half);
    else toHalves(source, pool + (place >> 1), half);
  }
}

function toHalves(source: usize, target: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 32 <= bytes; i += 32, target += 16) {
    const a = halfLanes(v128.load(source + i));
    const b = halfLanes(v128.load(source + i, 16));
    v128.store(target, i16x8.narrow_i32x4_u(a, b));
  }
  if (i < bytes) {
    const a = halfLanes(v128.load(source + i));
    v128.store64_lane(target, i16x8.narrow_i32x4_u(a, a), 0);
  }
}

/**
 * args as kvPackF32's. Threads share the groups of values that have a scale. The largest of the next group is looked for while this one
 * is packed: memory is read without a pause, and packing reads from the cache.
 */
export function kvPackInt8(args: usize, step: i32, thread: i32, threads: i32): void {
  const tail = load<u32>(args);
  const pairs = load<u32>(args, 4);
  const pool = load<u32>(args, 8);
  const count = load<i32>(args, 12);
  const kvHeads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const blockSize = load<i32>(args, 24);
  const groups = 2 * kvHeads;
  const elements = <usize>(blockSize * headSize);
  const bytes = blockBytes(INT8, kvHeads, headSize, blockSize);
  const keys = keysAt(INT8, kvHeads, headSize, blockSize);
  const items = count * groups;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  let item = skip(pairs, <i32>((<i64>items * thread) / threads), to, groups);
  if (item >= to) return;
  let source = tail + sourceOf(pairs, item, groups) * (elements << 2);
  let highest = largest(source, elements << 2);
  while (item < to) {
    const next = skip(pairs, item + 1, to, groups);
    const nextSource = next < to ? tail + sourceOf(pairs, next, groups) * (elements << 2) : source;
    const k = item / groups;
    const g = <usize>(item - k * groups);
    const target = pool + <usize>load<u32>(pairs + (<usize>k << 3), 4) * bytes;
    store<f32>(target + (g << 2), highest > TINY ? highest * (<f32>1 / <f32>127) : 0);
    const inverse: f32 = highest > TINY ? <f32>127 / highest : 0;
    highest = packGroup(source, target + keys + g * elements, elements, inverse, nextSource);
    source = nextSource;
    item = next;
  }
}

/** The first item from `item` on whose pair is not to be skipped. */
export function skip(pairs: usize, item: i32, to: i32, groups: i32): i32 {
  while (item < to) {
    const pair = pairs + (<usize>(item / groups) << 3);
    if (load<u32>(pair) != NO_BLOCK && load<u32>(pair, 4) != NO_BLOCK) break;
    item += groups - (item % groups);
  }
  return item;
}

// @ts-ignore: decorator
@inline
function sourceOf(pairs: usize, item: i32, groups: i32): usize {
  const k = item / groups;
  return <usize>load<u32>(pairs + (<usize>k << 3)) * groups + (item - k * groups);
}

function largest(source: usize, bytes: usize): f32 {
  let most = f32x4.splat(0);
  for (let i: usize = 0; i < bytes; i += 16) most = f32x4.pmax(most, f32x4.abs(v128.load(source + i)));
  return highestOf(most);
}

/** Packs a group, and returns the largest |x| of another one. */
function packGroup(source: usize, target: usize, elements: usize, inverse: f32, next: usize): f32 {
  const by = f32x4.splat(inverse);
  const rounder = f32x4.splat(ROUNDER);
  const whole = i32x4.splat(ROUNDER_BITS);
  let m = f32x4.splat(0);
  let n = m;
  const end = target + elements;
  for (; target + 16 <= end; target += 16, source += 64, next += 64) {
    const a = i32x4.sub(f32x4.add(f32x4.mul(v128.load(source), by), rounder), whole);
    const b = i32x4.sub(f32x4.add(f32x4.mul(v128.load(source, 16), by), rounder), whole);
    const c = i32x4.sub(f32x4.add(f32x4.mul(v128.load(source, 32), by), rounder), whole);
    const d = i32x4.sub(f32x4.add(f32x4.mul(v128.load(source, 48), by), rounder), whole);
    v128.store(target, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(next)));
    n = f32x4.pmax(n, f32x4.abs(v128.load(next, 16)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(next, 32)));
    n = f32x4.pmax(n, f32x4.abs(v128.load(next, 48)));
  }
  for (; target < end; target += 4, source += 16, next += 16) {
    const a = i32x4.sub(f32x4.add(f32x4.mul(v128.load(source), by), rounder), whole);
    const b = i16x8.narrow_i32x4_s(a, a);
    v128.store32_lane(target, i8x16.narrow_i16x8_s(b, b), 0);
    m = f32x4.pmax(m, f32x4.abs(v128.load(next)));
  }
  return highestOf(f32x4.pmax(m, n));
}
