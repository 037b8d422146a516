/**
 * What a predictor remembers of the answers that ended: of each program, role, step, model, and of all. Everything decays, so that it speaks of now. The
 * features of a stage are read from here before its own answer goes in, when the predictor is trained as when it is used; so no feature knows its answer.
 */
import type { StageFeatures, StageOutcome } from './predictor.js';

/** Decaying statistics of log(1 + tokens). */
export interface LengthStatistics {
  count: number;
  mean: number;
  /** Mean absolute deviation. */
  spread: number;
  /** Share that called a tool; -1 before it is known of any. */
  tools: number;
  /** Running quantiles at 0.5 and 0.9. */
  median: number;
  high: number;
  /** The last lengths, latest first. */
  last: number[];
  /** By how much the prompts before those grew, and the gaps before them: log(1 + tokens), log(1 + seconds); -1 where not known. */
  grew: number[];
  gaps: number[];
}

export interface SavedHistory {
  readonly statistics: readonly (readonly [string, LengthStatistics])[];
}

export interface History {
  /** Undefined before the first answer of this kind. */
  of(scope: HistoryScope, features: StageFeatures): LengthStatistics | undefined;
  learn(features: StageFeatures, outputTokens: number, outcome: StageOutcome | undefined): void;
  /** Forgets all but a share of what is known of a role, so that what comes next weighs more. */
  forget(role: string, share: number): void;
  save(): SavedHistory;
}

export const HISTORY_SCOPES = ['all', 'role', 'step', 'model', 'program', 'programRole', 'after', 'tool'] as const;
export type HistoryScope = (typeof HISTORY_SCOPES)[number];

/** Programs whose memory is kept; those that were silent longest go first. */
const MOST_KEPT = 4096;
export const LAST = 6;

/** How many answers each kind of memory spans. */
const SPAN: Readonly<Record<HistoryScope, number>> = {
  ...{ all: 2000, role: 400, step: 200, model: 1000, program: 12, programRole: 6, after: 200, tool: 400 },
};

function keyOf(scope: HistoryScope, f: StageFeatures): string | undefined {
  switch (scope) {
    case 'all':
      return 'a';
    case 'role':
      return `r\n${f.role}`;
    case 'step':
      return `s\n${f.role}\n${f.step ?? ''}`;
    case 'model':
      return f.model === undefined ? undefined : `m\n${f.model}`;
    case 'program':
      return f.program === undefined ? undefined : `p\n${f.program}`;
    case 'programRole':
      return f.program === undefined ? undefined : `q\n${f.program}\n${f.role}\n${f.step ?? ''}`;
    case 'after':
      return f.parents.length === 0 ? undefined : `f\n${f.role}\n${f.step ?? ''}\n${f.parents.at(-1)!.role}`;
    case 'tool':
      return `t\n${f.role}\n${f.tool ?? ''}`;
  }
}

export function createHistory(saved?: SavedHistory): History {
  const known = new Map<string, LengthStatistics>((saved?.statistics ?? []).map(([key, value]) => [key, copy(value)]));
  return {
    of(scope, features) {
      const key = keyOf(scope, features);
      return key === undefined ? undefined : known.get(key);
    },
    learn(features, outputTokens, outcome) {
      const length = Math.log1p(outputTokens);
      for (const scope of HISTORY_SCOPES) {
        const key = keyOf(scope, features);
        if (key === undefined) continue;
        const entry = known.get(key);
        // Taken out and put in again: the map's order is that of last use.
        if (entry) known.delete(key);
        else if (known.size >= 4 * MOST_KEPT) known.delete(known.keys().next().value!);
        known.set(key, learned(entry, length, features, outcome, SPAN[scope]));
      }
    },
    forget(role, share) {
      for (const [key, value] of known) {
        const [kind, of] = key.split('\n');
        if (of === role && (kind === 'r' || kind === 's' || kind === 'f' || kind === 't')) value.count *= share;
      }
    },
    save: () => ({ statistics: [...known].map(([key, value]) => [key, copy(value)] as const) }),
  };
}

function copy(of: LengthStatistics): LengthStatistics {
  return { ...of, last: [...of.last], grew: [...of.grew], gaps: [...of.gaps] };
}

/** Tokens that came into the prompt besides the last answer: a tool's result, or what a person wrote. */
export function promptGrowth({ promptTokens, sharedTokens, parents }: StageFeatures): number | undefined {
  if (sharedTokens === undefined) return undefined;
  return Math.max(0, promptTokens - sharedTokens - (parents.at(-1)?.tokens ?? 0));
}

function learned(
  entry: LengthStatistics | undefined,
  length: number,
  features: StageFeatures,
  outcome: StageOutcome | undefined,
  span: number,
): LengthStatistics {
  const called = outcome === undefined ? -1 : outcome.calledTool === undefined ? 0 : 1;
  const logOf = (value: number | undefined): number => (value === undefined ? -1 : Math.log1p(value));
  const [grew, gap] = [logOf(promptGrowth(features)), logOf(features.gapSeconds)];
  if (!entry) {
    return {
      ...{ grew: [grew], gaps: [gap] },
      count: 1,
      mean: length,
      spread: 0.7,
      tools: called,
      median: length,
      high: length + 0.8,
      last: [length],
    };
  }
  entry.count = Math.min(span, entry.count + 1);
  const rate = 1 / entry.count;
  const off = length - entry.mean;
  entry.mean += rate * off;
  entry.spread += rate * (Math.abs(off) - entry.spread);
  if (called >= 0) entry.tools = entry.tools < 0 ? called : entry.tools + rate * (called - entry.tools);
  const step = 2 * Math.max(0.05, entry.spread) * Math.max(rate, 1 / span);
  entry.median += step * (length > entry.median ? 0.5 : -0.5);
  entry.high += step * (length > entry.high ? 0.9 : -0.1);
  for (const [list, value] of [
    [entry.last, length],
    [entry.grew, grew],
    [entry.gaps, gap],
  ] as const) {
    list.unshift(value);
    if (list.length > LAST) list.length = LAST;
  }
  return entry;
}
