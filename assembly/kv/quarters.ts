// Rows of a head in quarters, which int4 packs side by side: word i of a row, of 16 bits, has channels i, i + n, i + 2n, i + 3n with n a quarter of
// the head, so that neighbouring channels are packed, and read, as vectors.

// Bytes of a quarter of a token's head, for the usual heads, whose distances the compiler then knows: loads have them built in.
export class Quarter64 {
  a: v128;
  b: v128;
  c: v128;
  d: v128;
}
export class Quarter128 {
  a: v128;
  b: v128;
  c: v128;
  d: v128;
  e: v128;
  f: v128;
  g: v128;
  h: v128;
}
export class AnyQuarter {}

// The vector that is a number of quarters on.
// @ts-ignore: decorator
@inline
export function on1<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, offsetof<T>());
  return v128.load(at + quarter);
}
// @ts-ignore: decorator
@inline
export function on2<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 2 * offsetof<T>());
  return v128.load(at + 2 * quarter);
}
// @ts-ignore: decorator
@inline
export function on3<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 3 * offsetof<T>());
  return v128.load(at + 3 * quarter);
}
// @ts-ignore: decorator
@inline
export function on4<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 4 * offsetof<T>());
  return v128.load(at + 4 * quarter);
}
// @ts-ignore: decorator
@inline
export function on5<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 5 * offsetof<T>());
  return v128.load(at + 5 * quarter);
}
// @ts-ignore: decorator
@inline
export function on6<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 6 * offsetof<T>());
  return v128.load(at + 6 * quarter);
}
// @ts-ignore: decorator
@inline
export function on7<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 7 * offsetof<T>());
  return v128.load(at + 7 * quarter);
}
// @ts-ignore: decorator
@inline
export function on8<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 8 * offsetof<T>());
  return v128.load(at + 8 * quarter);
}
// @ts-ignore: decorator
@inline
export function on12<T>(at: usize, quarter: usize): v128 {
  if (offsetof<T>() > 0) return v128.load(at, 12 * offsetof<T>());
  return v128.load(at + 12 * quarter);
}

/** Stores words of two tokens. */
// @ts-ignore: decorator
@inline
export function storeBoth<T>(at: usize, rowTarget: usize, a: v128, b: v128): void {
  const words = lowWords(a, b);
  v128.store64_lane(at, words, 0);
  if (offsetof<T>() > 0) v128.store64_lane(at, words, 1, offsetof<T>() / 2);
  else v128.store64_lane(at + rowTarget, words, 1);
}

/** A number on its grid, with the rounder added, which `plus` has. */
// @ts-ignore: decorator
@inline
export function scaled(x: v128, by: v128, plus: v128): v128 {
  return f32x4.add(f32x4.mul(x, by), plus);
}

/** The rounder's bits are 0 in the low half, so that whole numbers can be put together; what is above is not wanted. */
// @ts-ignore: decorator
@inline
export function together(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.or(v128.or(a, i32x4.shl(b, 4)), v128.or(i32x4.shl(c, 8), i32x4.shl(d, 12)));
}
// @ts-ignore: decorator
@inline
export function lowWords(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}

/** A channel of each quarter. */
// @ts-ignore: decorator
@inline
export function gather(at: usize, quarter: usize): v128 {
  let x = v128.load32_zero(at);
  x = v128.load32_lane(at + quarter, x, 1);
  x = v128.load32_lane(at + 2 * quarter, x, 2);
  return v128.load32_lane(at + 3 * quarter, x, 3);
}
/** Of such channels. */
// @ts-ignore: decorator
@inline
export function wordOf(x: v128): u16 {
  return <u16>(
    (i32x4.extract_lane(x, 0) |
      (i32x4.extract_lane(x, 1) << 4) |
      (i32x4.extract_lane(x, 2) << 8) |
      (i32x4.extract_lane(x, 3) << 12))
  );
}
