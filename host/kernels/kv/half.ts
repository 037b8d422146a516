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
    bits:
      (((power >>> 13) - (113 << 10) + Math.abs(multiple)) | (multiple === 0 && rounding !== nearest ? 0 : sign)) >>> 0,
    value: multiple * number[0],
  };
}

/** The value of 16 bits. */
export function halfValue(half: number): number {
  bits[0] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
  return number[0]! * 2 ** 112;
}

/** A scale and a minimum for whole numbers 0 to `steps` that cover low .. high: the minimum is rounded down, the scale up. */
export interface ScaleAndMinimum {
  /** Scale in the low half, minimum in the high half. */
  readonly word: number;
  readonly scale: number;
  readonly minimum: number;
}

export function coverRange(low: number, high: number): ScaleAndMinimum {
  const minimum = roundHalf(low, Math.floor);
  const scale = roundHalf(f(f(high - minimum.value) * f(1 / 15)), Math.ceil);
  return { word: (scale.bits | (minimum.bits << 16)) >>> 0, scale: scale.value, minimum: minimum.value };
}
export const pairOf = (word: number): { readonly scale: number; readonly minimum: number } => ({
  scale: halfValue(word & 0xffff),
  minimum: halfValue(word >>> 16),
});
