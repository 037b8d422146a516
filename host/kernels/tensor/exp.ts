/**
 * The exponential function of every oracle and Wasm body, in single precision and the same to the bit: `2^n` by the exponent's bits,
 * and a polynomial of degree 7 for the rest (|r| <= ln 2 / 2; the coefficients of Cephes). Relative error below 2e-7 in -87 .. 88, to which
 * arguments are clamped.
 */
const f = Math.fround;
const bits = new Int32Array(1);
const power = new Float32Array(bits.buffer);

const COEFFICIENTS = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
].map(f);
/** Adding and subtracting it rounds to a whole number, halves to even. */
const ROUNDER = 12_582_912;
const LOG2_E = f(1.44269504);
const LN2_HIGH = f(0.693359375);
const LN2_LOW = f(-2.1219444e-4);

export function expF32(argument: number): number {
  const x = Math.min(88, Math.max(-87, f(argument)));
  const n = f(f(f(x * LOG2_E) + ROUNDER) - ROUNDER);
  const r = f(f(x - f(n * LN2_HIGH)) - f(n * LN2_LOW));
  let p = COEFFICIENTS[0]!;
  for (let k = 1; k < COEFFICIENTS.length; k++) p = f(f(p * r) + COEFFICIENTS[k]!);
  bits[0] = (n + 127) << 23;
  return f(f(f(f(p * f(r * r)) + r) + 1) * power[0]!);
}
