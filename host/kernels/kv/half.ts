/**
 * Half precision, operation for operation what the bodies do. A number is a whole multiple of its quantum (2^-10 of its power of two, at least
 * 2^-24), so rounding is rounding of that multiple. What is too large becomes the largest finite number.
 */
const f = Math.fround;
const bits = new Uint32Array(1);
const number = new Float32Array(bits.buffer);

const LARGEST = 65504;
const SMALLEST_POWER = 0x38800000; // 2^-14

type Rounding = (x: number) => number;
/** Halves to even: there is no more precision above 2^23. */
const nearest: Rounding = (x) => f(f(Math.abs(x) + 8_388_608) - 8_388_608) * (x < 0 ? -1 : 1);

export interface Half {
  readonly bits: number;
  readonly value: number;
}

export function roundHalf(x: number, rounding: Rounding = nearest): Half {
  number[0] = Math.min(LARGEST, Math.max(-LARGEST, x));
  const sign = bits[0]! & 0x80000000 ? 0x8000 : 0;
  const clamped = number[0];
  const power = Math.max(bits[0]! & 0x7f800000, SMALLEST_POWER);
  bits[0] = 0x7f000000 + (10 << 23) - power;
  const multiple = rounding(clamped * number[0]);
  bits[0] = power - (10 << 23);
  return {
    bits: (((power >>> 13) - (113 << 10) + Math.abs(multiple)) | sign) >>> 0,
    value: multiple * number[0],
  };
}

/** The value of 16 bits. */
export function halfValue(half: number): number {
  bits[0] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
  return number[0]! * 2 ** 112;
}

/**
 * A grid for whole numbers 0 to 15 that covers low .. high: multiples of `scale` from `zero` times it on. The scale is a half, rounded up, a little larger
 * than a fifteenth of the range, so that no rounding leads beyond 15, and large enough that `zero` has 16 bits.
 */
export interface Grid {
  /** The scale in the low half, `zero` in the high half. */
  readonly word: number;
  readonly scale: number;
  readonly zero: number;
}
/** Adding and subtracting it rounds to a whole number, halves to even. */
export const ROUNDER = 12_582_912;
const OF_RANGE = f((1 + 2 ** -9) / 15);
const OF_SIZE = f((1 + 2 ** -9) / 2 ** 15);

export function gridOf(low: number, high: number): Grid {
  const size = Math.max(Math.abs(low), Math.abs(high));
  const { bits: half, value: scale } = roundHalf(Math.max(f(f(high - low) * OF_RANGE), f(size * OF_SIZE)), Math.ceil);
  const zero = f(f(low * inverseOf(scale)) + ROUNDER) - ROUNDER;
  return { word: (half | (zero << 16)) >>> 0, scale, zero };
}
export const inverseOf = (scale: number): number => (scale > 0 ? f(1 / scale) : 0);
export const gridIn = (word: number): { readonly scale: number; readonly zero: number } => ({
  scale: halfValue(word & 0xffff),
  zero: word >> 16,
});
