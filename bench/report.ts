/**
 * What every benchmark of the project shares: the machine it ran on, medians over interleaved repeats, a table for people,
 * and with --json one object on standard output: { machine, results, bars: [{ name, goal, value, unit, ok }] }.
 * Everything but that object goes to standard error, so `--json` output can be piped.
 */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
  readonly commit: string | undefined;
}

export interface Bar {
  readonly name: string;
  readonly goal: string;
  /** undefined when the run could not measure it (the reason is in `results`). */
  readonly value: number | undefined;
  readonly unit: string;
  readonly ok: boolean;
}

export type Cell = string | number | undefined;

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** What was run, and what a reader must know to trust the figures. */
  readonly note?: string;
}

export interface BenchContext {
  readonly quick: boolean;
  /** Folder of the larger data sets (TUTTI_DATA). */
  readonly data: string;
  /** Shows one line of progress on standard error. */
  say(line: string): void;
  table(table: Table): void;
  /** Records a bar: `value` against "at least" or "at most" `limit`. */
  bar(name: string, relation: '>=' | '<=', limit: number, value: number | undefined, unit: string): void;
}

export function describeMachine(): Machine {
  let commit: string | undefined;
  try {
    commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    commit = undefined; // not a git checkout
  }
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
    node: process.version,
    commit,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs every contestant once per round, in turn, so that a drift of the machine's speed hits all alike; returns each one's values. */
export async function interleaved<K extends string>(
  rounds: number,
  contestants: Readonly<Record<K, () => Promise<number> | number>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(contestants) as K[];
  const values = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) values[name].push(await contestants[name]());
  }
  return values;
}

export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (size >= 1e4) return Math.round(value).toLocaleString('en-US');
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toPrecision(3);
}

function render(table: Table): string {
  const cells = table.rows.map((row) =>
    row.map((c) => (c === undefined ? '-' : typeof c === 'number' ? figure(c) : c)),
  );
  const widths = table.columns.map((name, i) => Math.max(name.length, ...cells.map((row) => (row[i] ?? '').length)));
  const line = (row: readonly string[]): string =>
    '  ' + row.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ');
  const parts = [`\n${table.title}`, line(table.columns), line(widths.map((w) => '-'.repeat(w))), ...cells.map(line)];
  if (table.note) parts.push(`  ${table.note}`);
  return parts.join('\n');
}

/** Runs a benchmark program and reports it. Sets a non-zero exit code when it throws; a missed bar is a figure, not a failure. */
export async function runBenchmark(name: string, main: (context: BenchContext) => Promise<void>): Promise<void> {
  const json = process.argv.includes('--json');
  const tables: Table[] = [];
  const bars: Bar[] = [];
  const machine = describeMachine();
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  say(`${name} on ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}`);
  await main({
    quick: process.argv.includes('--quick'),
    data: process.env.TUTTI_DATA ?? '../shared/data',
    say,
    table(table) {
      tables.push(table);
      (json ? process.stderr : process.stdout).write(`${render(table)}\n`);
    },
    bar(bar, relation, limit, value, unit) {
      const ok = value !== undefined && (relation === '>=' ? value >= limit : value <= limit);
      bars.push({ name: bar, goal: `${relation} ${limit}`, value, unit, ok });
    },
  });
  const summary: Table = {
    title: 'Bars',
    columns: ['bar', 'goal', 'value', 'unit', ''],
    rows: bars.map((b) => [
      b.name,
      b.goal,
      b.value === undefined ? 'not measured' : b.value,
      b.unit,
      b.ok ? 'ok' : 'MISSED',
    ]),
  };
  if (json) process.stdout.write(`${JSON.stringify({ machine, results: tables, bars })}\n`);
  else process.stdout.write(`${render(summary)}\n`);
}
