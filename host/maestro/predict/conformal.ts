/**
 * Makes "90 %" mean 90 %: each level has a correction, for all roles and for each of them, that rises when an answer came out longer than its quantile and falls a little when
 * it did not (q <- q + eta (1[y > q] - (1 - level))). In the long run the share above is 1 - level whatever the predictor does. A role's own part starts at
 * nothing and learns less from each answer the fewer it has had, so that a rare role keeps what holds for all.
 */

export interface SavedCalibration {
  readonly all: readonly number[];
  readonly roles: readonly (readonly [string, { readonly count: number; readonly offsets: readonly number[] }])[];
}

export interface Calibration {
  /** What to add to the quantile at the place `k` of the levels. */
  offset(k: number, role: string): number;
  /** `target` came out where `predicted` (uncorrected, one for each level) was said. `boost` above 1 learns faster. */
  learn(role: string, target: number, predicted: Float64Array, boost?: number): void;
  /** Starts with the exact corrections of answers that were set aside: `scores[k]` holds target - predicted at level k. */
  fit(roles: readonly string[], scores: readonly Float64Array[]): void;
  save(): SavedCalibration;
}

export interface CalibrationOptions {
  /** How far one answer moves a correction, in log(1 + tokens). */
  readonly rate: number;
  /** So many answers of a role weigh as much as all roles. */
  readonly shrinkage: number;
}

const MOST_ROLES = 1024;

export function createCalibration(
  levels: readonly number[],
  options: CalibrationOptions,
  saved?: SavedCalibration,
): Calibration {
  const { rate, shrinkage } = options;
  const all = Float64Array.from(saved?.all ?? levels.map(() => 0));
  const roles = new Map<string, { count: number; offsets: Float64Array }>(
    (saved?.roles ?? []).map(([role, { count, offsets }]) => [role, { count, offsets: Float64Array.from(offsets) }]),
  );
  return {
    offset: (k, role) => all[k]! + (roles.get(role)?.offsets[k] ?? 0),
    learn(role, target, predicted, boost = 1) {
      let own = roles.get(role);
      if (!own && roles.size < MOST_ROLES)
        roles.set(role, (own = { count: 0, offsets: new Float64Array(levels.length) }));
      if (own) own.count++;
      const share = own ? own.count / (own.count + shrinkage) : 0;
      levels.forEach((level, k) => {
        const said = predicted[k]! + all[k]! + (own?.offsets[k] ?? 0);
        // A level in the tail needs large steps up for its rare misses, and few answers tell of it: steps grow with its distance from the data.
        const move = boost * rate * ((target > said ? 1 : 0) - (1 - level));
        all[k] = all[k]! + (1 - share) * move;
        if (own) own.offsets[k] = own.offsets[k]! + share * move;
      });
    },
    fit(of, scores) {
      const places = new Map<string, number[]>();
      of.forEach((role, k) => places.set(role, [...(places.get(role) ?? []), k]));
      levels.forEach((level, k) => {
        const whole = (all[k] = upperQuantile(scores[k]!.slice(), level));
        for (const [role, at] of places) {
          const own = roles.get(role) ?? { count: at.length, offsets: new Float64Array(levels.length) };
          roles.set(role, own);
          const theirs = upperQuantile(
            Float64Array.from(at, (place) => scores[k]![place]!),
            level,
          );
          own.offsets[k] = (at.length / (at.length + shrinkage)) * (theirs - whole);
        }
      });
    },
    save: () => ({
      all: [...all],
      roles: [...roles].map(([role, { count, offsets }]) => [role, { count, offsets: [...offsets] }] as const),
    }),
  };
}

/** The conformal quantile: one answer more is to come, so of n the ceil((n + 1) level)-th. */
function upperQuantile(scores: Float64Array, level: number): number {
  if (scores.length === 0) return 0;
  scores.sort();
  return scores[Math.min(scores.length, Math.ceil((scores.length + 1) * level)) - 1]!;
}
