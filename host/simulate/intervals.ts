/** Means over seeds, and how far they can be trusted. */
import { seededRandom } from '../random.js';

export interface Interval {
  readonly mean: number;
  /** Half the width of the 95 % interval of the mean (Student's t). */
  readonly half: number;
}

/** 97.5 % points of Student's t for 1 .. 30 degrees of freedom. */
const T = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

export function studentInterval(values: readonly number[]): Interval {
  const n = values.length;
  if (n === 0) return { mean: Number.NaN, half: Number.NaN };
  const mean = values.reduce((sum, v) => sum + v, 0) / n;
  if (n === 1) return { mean, half: Number.NaN };
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1);
  return { mean, half: (T[n - 2] ?? 1.96) * Math.sqrt(variance / n) };
}

/** The 95 % interval of any statistic by resampling (Efron 1979), percentiles of `rounds` resamples. */
export function bootstrapInterval(
  values: readonly number[],
  statistic: (sample: readonly number[]) => number,
  seed: number,
  rounds = 1000,
): { readonly low: number; readonly high: number } {
  const random = seededRandom(seed);
  const found = Array.from({ length: rounds }, () =>
    statistic(Array.from({ length: values.length }, () => values[random.below(values.length)]!)),
  ).sort((a, b) => a - b);
  return { low: quantileOf(found, 0.025), high: quantileOf(found, 0.975) };
}

/** Of ascending values, between the neighbours. */
export function quantileOf(sorted: ArrayLike<number>, level: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = level * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!);
}
