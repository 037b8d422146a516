/**
 * Notices that a role no longer answers as it did: the Page-Hinkley test on errors, both ways. Errors are measured in deviations, so that one threshold fits all roles.
 */

export interface SavedDrift {
  readonly roles: readonly (readonly [string, readonly number[]])[];
}

export interface DriftDetector {
  /** `error` in deviations, positive when the answer was longer than expected. True when the role has changed; it then starts anew. */
  watch(role: string, error: number): boolean;
  save(): SavedDrift;
}

/** Deviations that go unnoticed, and the sum of others that is a change. */
const TOLERANCE = 0.3;
const THRESHOLD = 25;
/** One wild answer is no change. */
const MOST = 3;
const MOST_ROLES = 1024;

export function createDriftDetector(saved?: SavedDrift): DriftDetector {
  /** Of each role: sums of errors above and below what is tolerated, from their lowest point. */
  const roles = new Map<string, [number, number]>(
    (saved?.roles ?? []).map(([role, [up, down]]) => [role, [up ?? 0, down ?? 0]]),
  );
  return {
    watch(role, error) {
      const sums = roles.get(role) ?? [0, 0];
      if (!roles.has(role)) {
        if (roles.size >= MOST_ROLES) return false;
        roles.set(role, sums);
      }
      const bounded = Math.max(-MOST, Math.min(MOST, error));
      sums[0] = Math.max(0, sums[0] + bounded - TOLERANCE);
      sums[1] = Math.max(0, sums[1] - bounded - TOLERANCE);
      if (Math.max(...sums) < THRESHOLD) return false;
      sums.fill(0);
      return true;
    },
    save: () => ({ roles: [...roles].map(([role, sums]) => [role, [...sums]] as const) }),
  };
}
