// Products with panels: eight rows of a matrix side by side, so that two vectors hold eight results, each summed in the order of its elements. Sums are taken up from
// memory and put back, which costs little next to what is between, and lets linear layers, convolutions and attention share one loop.

/** Bytes between the sums of neighbouring rows: of a block of 64 keys. */
export const SUMS: usize = 256;

/** Adds the products of `count` elements of four rows to their sums. */
export function fourRows(x0: usize, x1: usize, x2: usize, x3: usize, panel: usize, count: i32, sums: usize): void {
  let a = v128.load(sums);
  let b = v128.load(sums, 16);
  let c = v128.load(sums, SUMS);
  let d = v128.load(sums, SUMS + 16);
  let e = v128.load(sums, 2 * SUMS);
  let f = v128.load(sums, 2 * SUMS + 16);
  let g = v128.load(sums, 3 * SUMS);
  let h = v128.load(sums, 3 * SUMS + 16);
  const end = panel + (<usize>count << 5);
  // The other rows are reached from the first, so that one address counts up.
  for (; panel < end; panel += 32) {
    const v = v128.load(panel);
    const w = v128.load(panel, 16);
    let x = v128.load32_splat(x0);
    a = f32x4.add(a, f32x4.mul(x, v));
    b = f32x4.add(b, f32x4.mul(x, w));
    x = v128.load32_splat(x1);
    c = f32x4.add(c, f32x4.mul(x, v));
    d = f32x4.add(d, f32x4.mul(x, w));
    x = v128.load32_splat(x2);
    e = f32x4.add(e, f32x4.mul(x, v));
    f = f32x4.add(f, f32x4.mul(x, w));
    x = v128.load32_splat(x3);
    g = f32x4.add(g, f32x4.mul(x, v));
    h = f32x4.add(h, f32x4.mul(x, w));
    x0 += 4;
    x1 += 4;
    x2 += 4;
    x3 += 4;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, SUMS);
  v128.store(sums, d, SUMS + 16);
  v128.store(sums, e, 2 * SUMS);
  v128.store(sums, f, 2 * SUMS + 16);
  v128.store(sums, g, 3 * SUMS);
  v128.store(sums, h, 3 * SUMS + 16);
}

/** The same of one row. */
export function oneRow(x: usize, panel: usize, count: i32, sums: usize): void {
  let a = v128.load(sums);
  let b = v128.load(sums, 16);
  const end = panel + (<usize>count << 5);
  for (; panel < end; panel += 32, x += 4) {
    const value = v128.load32_splat(x);
    a = f32x4.add(a, f32x4.mul(value, v128.load(panel)));
    b = f32x4.add(b, f32x4.mul(value, v128.load(panel, 16)));
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
}

// @ts-ignore: decorator
@inline
export function clearSums(sums: usize, rows: i32): void {
  const zero = f32x4.splat(0);
  for (let r = 0; r < rows; r++) {
    v128.store(sums + <usize>r * SUMS, zero);
    v128.store(sums + <usize>r * SUMS, zero, 16);
  }
}

/** The first `count` of eight numbers, which lie in two vectors. */
// @ts-ignore: decorator
@inline
export function storeSome(target: usize, low: v128, high: v128, count: i32, scratch: usize): void {
  if (count >= 8) {
    v128.store(target, low);
    v128.store(target, high, 16);
    return;
  }
  v128.store(scratch, low);
  v128.store(scratch, high, 16);
  memory.copy(target, scratch, <usize>count << 2);
}

/** The first `count` of eight numbers; what is behind them in memory may belong to another thread and is not looked at. */
// @ts-ignore: decorator
@inline
export function loadSome(from: usize, count: i32, scratch: usize): void {
  if (count >= 8) {
    v128.store(scratch, v128.load(from));
    v128.store(scratch, v128.load(from, 16), 16);
    return;
  }
  v128.store(scratch, f32x4.splat(0));
  v128.store(scratch, f32x4.splat(0), 16);
  memory.copy(scratch, from, <usize>count << 2);
}
