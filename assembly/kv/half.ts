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

/** Numbers of the halves in the low 16 bits of the lanes. */
// @ts-ignore: decorator
@inline
export function lowHalves(words: v128): v128 {
  return shifted(i32x4.shr_s(i32x4.shl(words, 16), 3));
}
/** Of those in the high 16 bits. */
// @ts-ignore: decorator
@inline
export function highHalves(words: v128): v128 {
  return shifted(i32x4.shr_s(words, 3));
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

// Scales and minima of int4: the minimum rounded down, the scale up.

/** The largest halves that are at most x, as numbers. */
// @ts-ignore: decorator
@inline
export function halvesBelow(x: v128): v128 {
  const clamped = f32x4.pmin(f32x4.splat(LARGEST), f32x4.pmax(f32x4.splat(-LARGEST), x));
  const power = powerOf(clamped);
  const multiple = f32x4.floor(f32x4.mul(clamped, i32x4.sub(i32x4.splat(INVERSE), power)));
  return f32x4.mul(multiple, i32x4.sub(power, i32x4.splat(QUANTUM)));
}
/** The smallest halves that are at least x, which is not negative. */
// @ts-ignore: decorator
@inline
export function halvesAbove(x: v128): v128 {
  const clamped = f32x4.pmin(f32x4.splat(LARGEST), x);
  const power = powerOf(clamped);
  const multiple = f32x4.ceil(f32x4.mul(clamped, i32x4.sub(i32x4.splat(INVERSE), power)));
  return f32x4.mul(multiple, i32x4.sub(power, i32x4.splat(QUANTUM)));
}
// @ts-ignore: decorator
@inline
function powerOf(x: v128): v128 {
  return i32x4.max_s(v128.and(x, i32x4.splat(POWER)), i32x4.splat(SMALLEST_POWER));
}

/** Bits of numbers that are halves; 0 has no sign. */
// @ts-ignore: decorator
@inline
export function bitsOfHalves(x: v128): v128 {
  const bits = halfLanes(x);
  return v128.and(bits, f32x4.ne(x, f32x4.splat(0)));
}

/** Scales in the low halves of words, minima in the high ones. */
// @ts-ignore: decorator
@inline
export function pairWords(scale: v128, minimum: v128): v128 {
  return v128.or(halfLanes(scale), i32x4.shl(bitsOfHalves(minimum), 16));
}
/** 1 / scale, 0 for 0. */
// @ts-ignore: decorator
@inline
export function inverses(scale: v128): v128 {
  return v128.and(f32x4.div(f32x4.splat(1), scale), f32x4.gt(scale, f32x4.splat(0)));
}
