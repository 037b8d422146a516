/** A stage as a row of numbers: what its caller says, what is remembered, and its text. NaN where nothing is known. */
import { LAST, promptGrowth, type History, type HistoryScope } from './history.js';
import type { Expectation } from './neighbours.js';
import type { StageFeatures } from './predictor.js';
import { addTextFeatures } from './text-features.js';

const TEXT_WIDTH = 16;

const STATED = [
  ...['promptTokens', 'newTokens', 'sharedShare', 'stageIndex', 'callsOfRole', 'previousTokensOfRole', 'parents'],
  ...['parentTokens', 'parentMost', 'gap', 'tool', 'tools', 'maxTokens', 'thinking', 'fanOut', 'depth', 'growth'],
  ...['systemTokens', 'toolTokens', 'streaming', 'previousText', 'previousThinking', 'previousTool'],
] as const;
const KINDS = ['text', 'thinking', 'tool_use'] as const;
const EXPECTED = ['median', 'high', 'spread', 'count'] as const;
/** What is remembered, of which scope and as what. */
const REMEMBERED: readonly (readonly [
  HistoryScope,
  readonly ('mean' | 'spread' | 'median' | 'high' | 'tools' | 'count')[],
])[] = [
  ['all', ['mean']],
  ['step', ['mean', 'spread', 'median', 'high', 'count']],
  ['model', ['mean', 'high']],
  ['program', ['mean', 'spread', 'median', 'high', 'tools', 'count']],
  ['programRole', ['mean', 'high', 'count']],
  ['after', ['mean', 'median', 'high']],
  ['tool', ['mean', 'high']],
];
const RECENT = (['last', 'grew', 'gaps'] as const).flatMap((name) =>
  Array.from({ length: LAST }, (_, k) => `${name}${k}`),
);

export const FEATURE_NAMES: readonly string[] = [
  ...STATED,
  ...EXPECTED.map((name) => `role.${name}`),
  ...REMEMBERED.flatMap(([scope, names]) => names.map((name) => `${scope}.${name}`)),
  ...RECENT,
  'lastMost',
  ...Array.from({ length: TEXT_WIDTH }, (_, k) => `system${k}`),
  ...Array.from({ length: TEXT_WIDTH }, (_, k) => `prompt${k}`),
];

const logOf = (value: number | undefined): number =>
  value === undefined ? Number.NaN : Math.log1p(Math.max(0, value));

/** Fills the first `FEATURE_NAMES.length` places of `row`. */
export function fillFeatureRow(row: Float64Array, f: StageFeatures, history: History, expected: Expectation): void {
  let at = 0;
  const fresh = f.promptTokens - Math.min(f.promptTokens, f.sharedTokens ?? 0);
  let [parentTokens, parentMost] = [0, 0];
  for (const parent of f.parents) {
    parentTokens += parent.tokens;
    parentMost = Math.max(parentMost, parent.tokens);
  }
  row[at++] = logOf(f.promptTokens);
  row[at++] = f.sharedTokens === undefined ? Number.NaN : Math.log1p(fresh);
  row[at++] = f.sharedTokens === undefined ? Number.NaN : 1 - fresh / Math.max(1, f.promptTokens);
  row[at++] = logOf(f.stageIndex);
  row[at++] = logOf(f.callsOfRole);
  row[at++] = logOf(f.previousTokensOfRole);
  row[at++] = f.parents.length;
  row[at++] = Math.log1p(parentTokens);
  row[at++] = Math.log1p(parentMost);
  row[at++] = logOf(f.gapSeconds);
  row[at++] = f.tool === undefined ? 0 : 1;
  row[at++] = f.tools === undefined ? Number.NaN : f.tools.length;
  row[at++] = logOf(f.maxTokens);
  row[at++] = f.thinking === undefined ? Number.NaN : Number(f.thinking);
  row[at++] = f.fanOut ?? Number.NaN;
  row[at++] = f.depth ?? Number.NaN;
  row[at++] = logOf(promptGrowth(f));
  row[at++] = logOf(f.systemTokens);
  row[at++] = logOf(f.toolTokens);
  row[at++] = f.streaming === undefined ? Number.NaN : Number(f.streaming);
  for (const kind of KINDS) {
    row[at++] = f.previousKinds === undefined ? Number.NaN : Number(f.previousKinds.includes(kind));
  }
  row[at++] = expected.median;
  row[at++] = expected.high;
  row[at++] = expected.spread;
  row[at++] = Math.min(100, expected.count);
  for (const [scope, names] of REMEMBERED) {
    const known = history.of(scope, f);
    for (const name of names) {
      const value = known?.[name];
      row[at++] = value === undefined || (name === 'tools' && value < 0) ? Number.NaN : value;
    }
  }
  const recent = history.of('program', f);
  let most = Number.NaN;
  for (let k = 0; k < LAST; k++) {
    const value = recent?.last[k];
    row[at++] = value ?? Number.NaN;
    if (value !== undefined && !(value <= most)) most = value;
  }
  for (const list of [recent?.grew, recent?.gaps]) {
    for (let k = 0; k < LAST; k++) row[at++] = list?.[k] ?? Number.NaN;
  }
  row[at++] = most;
  for (const text of [f.systemPrompt, f.prompt]) {
    if (text === undefined) row.fill(Number.NaN, at, at + TEXT_WIDTH);
    else addTextFeatures(text, row, at, TEXT_WIDTH);
    at += TEXT_WIDTH;
  }
}
