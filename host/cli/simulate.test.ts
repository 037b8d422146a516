import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from './program.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tutti-simulate-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cli = (...argv: readonly string[]): ReturnType<typeof run> => run('simulate', 'maestro', ...argv);

async function run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, {
    out: (text) => void (out += stripVTControlCharacters(text)),
    err: (text) => void (err += stripVTControlCharacters(text)),
  });
  return { code, out, err };
}
const trace = 'test/data/traces/chatdev.jsonl';

describe('tutti simulate maestro', () => {
  it('compares policies on a trace, and writes figures and a report', async () => {
    const [html, json] = [join(folder, 'report.html'), join(folder, 'report.json')];
    const { code, out } = await cli(
      ...['--trace', trace, '--policies', 'fcfs,maestro', '--loads', '1', '--seeds', '2'],
      ...['--html', html, '--json', json],
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^fcfs +[\d.]+/m);
    expect(out).toMatch(/^maestro +[\d.]+/m);
    expect(out).toContain(`report: ${html}`);
    const report = JSON.parse(readFileSync(json, 'utf8')) as { cells: { name: string; results: unknown[] }[] };
    expect(report.cells.map(({ name, results }) => [name, results.length])).toEqual([
      ['fcfs', 2],
      ['maestro', 2],
    ]);
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('new uPlot(');
    // It needs nothing from anywhere.
    expect(page).not.toMatch(/(src|href)="http/);
  });

  it('takes what was measured on this machine', async () => {
    const file = join(folder, 'here.json');
    const measured = await run('profile', '--out', file, '--name', 'here');
    expect(measured.code).toBe(0);
    expect(measured.out).toMatch(/^for each token of a prompt +[\d.]+$/m);
    expect(measured.out).toMatch(/off on \d+ iterations that were not fitted: [\d.]+ % median/);
    const { code, out } = await cli(
      ...['--device', file, '--trace', trace, '--policies', 'fcfs', '--loads', '1', '--seeds', '1'],
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^fcfs +[\d.]+/m);
    const damaged = join(folder, 'damaged.json');
    const profile = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(damaged, JSON.stringify({ ...profile, measured: { m: { fixed: -1 } } }));
    const refused = await cli('--device', damaged, '--seeds', '1');
    expect(refused.err).toMatch(/is not a device profile: measured.m.fixed must be a number of at least 0/);
  });

  it.each<[string, readonly string[], number, RegExp]>([
    ['an unknown policy', ['--policies', 'best'], 1, /no policy "best"; there are fcfs/],
    ['an unknown device', ['--device', 'abacus'], 1, /no device profile "abacus"; there are a100-40gb/],
    ['an unknown model', ['--models', 'm'], 1, /no model shape "m"; there are llama/],
    ['a load that is none', ['--loads', '1,x'], 2, /like 0.5,1,1.5/],
    ['no seeds', ['--seeds', '0'], 2, /whole number of at least 1/],
    ['a file that is not there', ['--trace', 'nowhere.csv'], 1, /nowhere.csv cannot be read; check the path/],
    ['a file that is no trace', ['--trace', 'package.json'], 1, /is no trace that is known/],
    [
      'a folder that is not there',
      ['--trace', trace, '--seeds', '1', '--policies', 'fcfs', '--html', 'no/where.html'],
      1,
      /no\/where.html cannot be written/,
    ],
  ])('tells about %s', async (_, argv, expected, message) => {
    const { code, err } = await cli(...argv);
    expect(code).toBe(expected);
    expect(err).toMatch(message);
  });
});
