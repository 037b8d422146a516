/**
 * What to expect of a role before it has answered often: what roles with similar names, system prompts and tools did, and all roles together where none is
 * similar. Its own answers weigh more with each.
 */
import type { History } from './history.js';
import type { StageFeatures } from './predictor.js';
import { addTextFeatures } from './text-features.js';

export interface Expectation {
  /** Of log(1 + tokens). */
  readonly median: number;
  readonly high: number;
  readonly spread: number;
  /** Answers of the role itself. */
  readonly count: number;
}

export interface SavedNeighbours {
  readonly roles: readonly (readonly [string, readonly number[]])[];
}

export interface Neighbours {
  expect(features: StageFeatures, history: History): Expectation;
  learn(features: StageFeatures): void;
  save(): SavedNeighbours;
}

const WIDTH = 32;
const MOST_ROLES = 256;
/** So many answers of its own weigh as much as those of its neighbours. */
const PRIOR_WEIGHT = 8;
/** How much all roles together weigh among the neighbours, and what a role of the very same text weighs. */
const EVERYBODY = 0.3;
const NOTHING_KNOWN: Expectation = { median: Math.log1p(200), high: Math.log1p(900), spread: 0.8, count: 0 };

export function createNeighbours(saved?: SavedNeighbours): Neighbours {
  const roles = new Map<string, Float64Array>((saved?.roles ?? []).map(([role, at]) => [role, Float64Array.from(at)]));
  const place = new Float64Array(WIDTH);
  const locate = (features: StageFeatures): void => {
    const { role, systemPrompt, tools } = features;
    addTextFeatures(`${role} ${systemPrompt ?? ''} ${tools?.join(' ') ?? ''}`, place, 0, WIDTH);
  };
  return {
    expect(features, history) {
      const own = history.of('role', features);
      const all = history.of('all', features);
      if (!all) return NOTHING_KNOWN;
      let prior: Expectation = { median: all.median, high: all.high, spread: all.spread, count: 0 };
      const count = own?.count ?? 0;
      // With enough answers of its own, neighbours would change nothing that is worth their search.
      if (count < 4 * PRIOR_WEIGHT && roles.size > 0) {
        locate(features);
        let [weight, median, high, spread] = [
          EVERYBODY,
          EVERYBODY * all.median,
          EVERYBODY * all.high,
          EVERYBODY * all.spread,
        ];
        for (const [role, at] of roles) {
          if (role === features.role) continue;
          let likeness = 0;
          for (let k = 0; k < WIDTH; k++) likeness += at[k]! * place[k]!;
          if (likeness < 0.2) continue;
          const theirs = history.of('role', { ...features, role });
          if (!theirs) continue;
          const w = likeness ** 2 * Math.min(1, theirs.count / PRIOR_WEIGHT);
          weight += w;
          median += w * theirs.median;
          high += w * theirs.high;
          spread += w * theirs.spread;
        }
        prior = { median: median / weight, high: high / weight, spread: spread / weight, count: 0 };
      }
      if (!own) return prior;
      const share = count / (count + PRIOR_WEIGHT);
      const mix = (mine: number, other: number): number => share * mine + (1 - share) * other;
      return {
        ...{ median: mix(own.median, prior.median), high: mix(own.high, prior.high) },
        ...{ spread: mix(own.spread, prior.spread), count },
      };
    },
    learn(features) {
      if (roles.has(features.role) || roles.size >= MOST_ROLES) return;
      locate(features);
      roles.set(features.role, place.slice());
    },
    save: () => ({ roles: [...roles].map(([role, at]) => [role, [...at]] as const) }),
  };
}
