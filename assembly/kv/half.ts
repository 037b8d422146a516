// Half precision without instructions for it, operation for operation that of host/kernels/kv/half.ts.

const POWER: i32 = 0x7f800000;
/** 2^-14: below it the quantum no longer shrinks. */
const SMALLEST_POWER: i32 = 0x38800000;
const LARGEST: f32 = 65504;
/** Of the inverse of a power's quantum, by subtraction. */
const INVERSE: i32 = 0x7f000000 + (10 << 23);
const QUANTUM: i32 = 10 << 23;
/** 2^23, above which numbers are whole. */
const WHOLES: f32 = 8388608;
const TO_F32: f32 = reinterpret<f32>((127 + 112) << 23);
const FROM_F32: f32 = reinterpret<f32>((127 - 112) << 23);

/** Bits of the nearest halves, one to a lane of 32 bits. */
// @ts-ignore: decorator
@inline
export function halfLanes(x: v128): v128 {
  const most = f32x4.pmin(f32x4.splat(LARGEST), f32x4.abs(x));
  const power = i32x4.max_s(v128.and(most, i32x4.splat(POWER)), i32x4.splat(SMALLEST_POWER));
  const multiple = f32x4.add(f32x4.mul(most, i32x4.sub(i32x4.splat(INVERSE), power)), f32x4.splat(WHOLES));
  const bits = i32x4.add(i32x4.shr_u(power, 13), i32x4.sub(multiple, i32x4.splat(0x4b000000 + (113 << 10))));
  return v128.or(bits, v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000)));
}

/** Of 8 bytes: four halves. */
// @ts-ignore: decorator
@inline
export function loadHalves(address: usize): v128 {
  return shifted(i32x4.shl(v128.load16x4_s(address), 13));
}
// @ts-ignore: decorator
@inline
function shifted(bits: v128): v128 {
  return f32x4.mul(v128.and(bits, i32x4.splat(0x8fffe000)), f32x4.splat(TO_F32));
}

// Grids of int4: multiples of a scale, a half in the low 16 bits of a word, from zero times it on, a whole number in the high ones.

const OF_RANGE: f32 = <f32>((<f64>1 + <f64>1 / 512) / 15);
const OF_SIZE: f32 = <f32>((<f64>1 + <f64>1 / 512) / 32768);

/** The scales of grids that cover low .. high: halves, rounded up. */
// @ts-ignore: decorator
@inline
export function scalesOver(low: v128, high: v128): v128 {
  const size = f32x4.mul(f32x4.pmax(f32x4.abs(low), f32x4.abs(high)), f32x4.splat(OF_SIZE));
  const wish = f32x4.pmax(f32x4.mul(f32x4.sub(high, low), f32x4.splat(OF_RANGE)), size);
  const clamped = f32x4.pmin(f32x4.splat(LARGEST), wish);
  const power = i32x4.max_s(v128.and(clamped, i32x4.splat(POWER)), i32x4.splat(SMALLEST_POWER));
  const multiple = f32x4.ceil(f32x4.mul(clamped, i32x4.sub(i32x4.splat(INVERSE), power)));
  return f32x4.mul(multiple, i32x4.sub(power, i32x4.splat(QUANTUM)));
}
/** 1 / scale, 0 for 0. */
// @ts-ignore: decorator
@inline
export function inversesOf(scale: v128): v128 {
  return v128.and(f32x4.div(f32x4.splat(1), scale), f32x4.gt(scale, f32x4.splat(0)));
}
/** Words of grids; `zero` has the rounder added. 2^-112 makes an exponent that of a half. */
// @ts-ignore: decorator
@inline
export function gridWords(scale: v128, zero: v128): v128 {
  const half = i32x4.shr_u(f32x4.mul(scale, f32x4.splat(FROM_F32)), 13);
  // The rounder's low half is 0.
  return v128.or(half, i32x4.shl(zero, 16));
}
/** Scales of grids. */
// @ts-ignore: decorator
@inline
export function gridScales(words: v128): v128 {
  return f32x4.mul(i32x4.shr_u(i32x4.shl(words, 16), 3), f32x4.splat(TO_F32));
}
/** Zeros of grids, as numbers. */
// @ts-ignore: decorator
@inline
export function gridZeros(words: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.shr_s(words, 16));
}
