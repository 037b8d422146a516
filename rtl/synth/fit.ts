/** Fits the resource model's coefficients to Yosys runs: least squares of the relative errors, no coefficient below 0. */
import { writeFileSync } from 'node:fs';
import { memoryCosts } from '../../host/fpga/memory-map.js';
import { resourceFeatures } from '../../host/fpga/resources.js';
import type { Run } from './runs.js';

export type Coefficients = Readonly<Record<string, number>>;

/** What does not belong to memories. */
export const TARGETS = {
  luts: ({ luts, machine }: Run): number => luts - memoryCosts(machine).luts,
  flipFlops: ({ flipFlops, machine }: Run): number => flipFlops - memoryCosts(machine).flipFlops,
} as const;

export function fit(runs: readonly Run[], target: keyof typeof TARGETS): Coefficients {
  const names = Object.keys(resourceFeatures(runs[0]!.machine));
  const rows = runs.map((run) => {
    const features = resourceFeatures(run.machine);
    return names.map((name) => features[name]! / TARGETS[target](run));
  });
  // Coordinate descent: each step puts one coefficient where it is best while the others stay.
  const coefficients = names.map(() => 0);
  const left = runs.map(() => 1);
  const squares = names.map((_, k) => rows.reduce((sum, row) => sum + row[k]! ** 2, 0));
  for (let sweep = 0; sweep < 50_000; sweep++) {
    for (let k = 0; k < names.length; k++) {
      const slope = rows.reduce((sum, row, r) => sum + row[k]! * left[r]!, 0);
      const next = Math.max(0, coefficients[k]! + slope / squares[k]!);
      const change = next - coefficients[k]!;
      if (change === 0) continue;
      coefficients[k] = next;
      rows.forEach((row, r) => (left[r]! -= change * row[k]!));
    }
  }
  return Object.fromEntries(
    names.map((name, k) => [name, Math.round(100 * coefficients[k]!) / 100] as const).filter(([, value]) => value > 0),
  );
}

export function writeCoefficients(runs: readonly Run[]): void {
  const text = (coefficients: Coefficients): string =>
    Object.entries(coefficients)
      .map(([name, value]) => `  ${/^\w+$/.test(name) ? name : `'${name}'`}: ${value},\n`)
      .join('');
  writeFileSync(
    'host/fpga/resource-coefficients.ts',
    [
      '/** Generated from rtl/synth/runs.json by `npm run rtl:synth -- --fit`; do not edit. Without what belongs to memories. */',
      `export const LUT_COEFFICIENTS: Readonly<Record<string, number>> = {\n${text(fit(runs, 'luts'))}};`,
      `export const FLIP_FLOP_COEFFICIENTS: Readonly<Record<string, number>> = {\n${text(fit(runs, 'flipFlops'))}};`,
      '',
    ].join('\n'),
  );
}

/** Relative error of each run when the model is fitted to all others. */
export function leaveOneOut(runs: readonly Run[], target: keyof typeof TARGETS): number[] {
  return runs.map((run, k) => {
    const coefficients = fit(
      runs.filter((_, other) => other !== k),
      target,
    );
    const features = resourceFeatures(run.machine);
    const value = Object.entries(coefficients).reduce((sum, [name, each]) => sum + each * features[name]!, 0);
    return value / TARGETS[target](run) - 1;
  });
}
