// Vectors of four numbers. The order of additions is that of the oracle: lanes 0 + 1, and 2 + 3, and their sum.

/** The bits of 2^23 + 2^22: adding it as a number rounds to a whole number, halves to even; its bits subtracted are that number. */
export const ROUNDER: f32 = 12582912;
export const ROUNDER_BITS: i32 = 0x4b400000;
/** Below it everything is 0: its inverse would be no number. */
export const TINY: f32 = 1e-30;
export const WHOLE: f32 = 32767;
export const ONE_WHOLE: f32 = <f32>1 / <f32>32767;
export const LOWEST: f32 = -3.0e38;

// @ts-ignore: decorator
@inline
export function sumOf(a: v128): f32 {
  return (
    f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 1) + (f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3))
  );
}
// @ts-ignore: decorator
@inline
export function highestOf(a: v128): f32 {
  const b = f32x4.pmax(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(b, v128.shuffle<i32>(b, b, 1, 0, 3, 2)), 0);
}
// @ts-ignore: decorator
@inline
export function lowestOf(a: v128): f32 {
  const b = f32x4.pmin(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmin(b, v128.shuffle<i32>(b, b, 1, 0, 3, 2)), 0);
}

/** The sums of the lanes of a, b, c and d. */
// @ts-ignore: decorator
@inline
export function sumsOf(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  return f32x4.add(
    f32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3)),
    f32x4.add(v128.shuffle<i64>(abHigh, cdHigh, 0, 2), v128.shuffle<i64>(abHigh, cdHigh, 1, 3)),
  );
}
// @ts-ignore: decorator
@inline
export function wholeSumsOf(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/** Rounded to whole numbers. */
// @ts-ignore: decorator
@inline
export function rounded(a: v128): v128 {
  return i32x4.sub(f32x4.add(a, f32x4.splat(ROUNDER)), i32x4.splat(ROUNDER_BITS));
}

/** expF32 of assembly/tensor/exp.ts, four at a time. */
// @ts-ignore: decorator
@inline
export function expLanes(argument: v128): v128 {
  const x = f32x4.pmin(f32x4.splat(88), f32x4.pmax(f32x4.splat(-87), argument));
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504)), f32x4.splat(ROUNDER));
  const n = f32x4.sub(shifted, f32x4.splat(ROUNDER));
  const r = f32x4.sub(
    f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))),
    f32x4.mul(n, f32x4.splat(-2.1219444e-4)),
  );
  let p = f32x4.splat(1.987569150e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  const power = i32x4.shl(i32x4.sub(shifted, i32x4.splat(ROUNDER_BITS - 127)), 23);
  return f32x4.mul(f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1)), power);
}
