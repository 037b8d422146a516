/**
 * Sine and cosine of every oracle and Wasm body, in single precision and the same to the bit: the nearest multiple of pi / 2 is taken away in three parts (Cody and
 * Waite), polynomials of Cephes do the rest. Off by less than 1e-6 for arguments up to some thousands.
 */
const f = Math.fround;
/** Adding and subtracting it rounds to a whole number, halves to even. */
const ROUNDER = 12_582_912;
const TWO_OVER_PI = f(0.6366197723675814);
/** pi / 2 in parts, the first two of few bits, so that their multiples are exact. */
const HALF_PI = [f(1.5703125), f(4.837512969970703e-4), f(7.54978995489188e-8)] as const;
const SINE = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f);
const COSINE = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(f);

function polynomial(z: number, [a, b, c]: readonly number[]): number {
  return f(f(f(f(a! * z) + b!) * z) + c!);
}

/** Sine of `argument` plus `quarters` quarter turns: 0 is the sine, 1 the cosine. */
export function turnF32(argument: number, quarters: number): number {
  const x = f(argument);
  const n = f(f(f(x * TWO_OVER_PI) + ROUNDER) - ROUNDER);
  const r = f(f(f(x - f(n * HALF_PI[0])) - f(n * HALF_PI[1])) - f(n * HALF_PI[2]));
  const z = f(r * r);
  const quadrant = (n + quarters) & 3;
  const value =
    quadrant & 1
      ? f(f(f(f(polynomial(z, COSINE) * z) * z) - f(0.5 * z)) + 1)
      : f(f(f(polynomial(z, SINE) * z) * r) + r);
  return quadrant & 2 ? -value : value;
}
