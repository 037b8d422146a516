/** A distribution known at a few levels: values between them, and beyond, by way of the normal distribution's own quantiles. */

/** Levels at which lengths are predicted. */
export const LEVELS = [0.1, 0.5, 0.75, 0.9, 0.95, 0.99] as const;
export const MEDIAN_AT = 1;

const Z = LEVELS.map(normalQuantile);

/** `values` of log(1 + tokens) at LEVELS, made to grow with them. */
export function makeMonotone(values: Float64Array): void {
  // From the median outwards: what is surest stays.
  for (let k = MEDIAN_AT - 1; k >= 0; k--) values[k] = Math.min(values[k]!, values[k + 1]!);
  for (let k = MEDIAN_AT + 1; k < values.length; k++) values[k] = Math.max(values[k]!, values[k - 1]!);
}

export function curveAt(values: Float64Array, level: number): number {
  const z = normalQuantile(Math.max(1e-6, Math.min(1 - 1e-6, level)));
  let k = 0;
  while (k < Z.length - 2 && z > Z[k + 1]!) k++;
  const share = (z - Z[k]!) / (Z[k + 1]! - Z[k]!);
  return values[k]! + share * (values[k + 1]! - values[k]!);
}

/** Mean of the tokens: areas under the curve between the levels. */
export function curveMean(values: Float64Array): number {
  let sum = LEVELS[0] * Math.expm1(values[0]!) * 0.8;
  for (let k = 1; k < values.length; k++) {
    sum += ((LEVELS[k]! - LEVELS[k - 1]!) * (Math.expm1(values[k]!) + Math.expm1(values[k - 1]!))) / 2;
  }
  return Math.max(0, sum + (1 - LEVELS.at(-1)!) * Math.expm1(values.at(-1)!) * 1.3);
}

/** Acklam's rational approximation of the inverse normal distribution; relative error below 1.2e-9. */
export function normalQuantile(p: number): number {
  const a = [
    -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239,
  ];
  const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
  const c = [
    -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
    2.938163982698783,
  ];
  const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
  const along = (of: readonly number[], x: number): number => of.reduce((sum, factor) => sum * x + factor, 0);
  if (p > 0.97575) return -normalQuantile(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p));
    return along(c, q) / (along(d, q) * q + 1);
  }
  const q = p - 0.5;
  return (along(a, q * q) * q) / (along(b, q * q) * q * q + 1);
}
