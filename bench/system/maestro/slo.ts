/** Workflows that meet what was asked of them, by policy, over a sweep of loads: part `slo`, and with levels switched off: part `ablation`. */
import { onDemand } from '../../../host/maestro/policies/provisioning.js';
import { leastRecentlyUsed } from '../../../host/maestro/policies/residency.js';
import { prefixAffinity } from '../../../host/maestro/policies/routing.js';
import { edf } from '../../../host/maestro/policies/ordering.js';
import { maestroOrdering } from '../../../host/maestro/policies/maestro-ordering.js';
import { maestroResidency } from '../../../host/maestro/policies/maestro-residency.js';
import { cellOf, comparePolicies, type Contender, type ExperimentReport } from '../../../host/simulate/experiment.js';
import { studentInterval } from '../../../host/simulate/intervals.js';
import { agentScenario } from '../../../host/simulate/scenario.js';
import type { BenchContext, Cell } from '../../report.js';

const percent = (part: number): number => Math.round(1000 * part) / 10;

/** Means of a figure over seeds at one load. */
const shown = ({ mean, half }: { readonly mean: number; readonly half: number }): string =>
  `${(100 * mean).toFixed(1)} ±${(100 * half).toFixed(1)}`;

async function sweep(
  { quick, say }: BenchContext,
  contenders: readonly (string | Contender)[] | undefined,
  loads: readonly number[],
): Promise<ExperimentReport> {
  return comparePolicies({
    ...agentScenario({ workflows: quick ? 400 : 1500 }),
    ...(contenders && { contenders }),
    loads,
    seeds: quick ? [1, 2] : [1, 2, 3, 4, 5],
    onProgress: ({ done, all, name }) => {
      if (done % 10 === 0) say(`${done} of ${all}: ${name}`);
    },
  });
}

function attainment(report: ExperimentReport): Cell[][] {
  return report.names.map((name) => [name, ...report.loads.map((load) => shown(cellOf(report, name, load).attained))]);
}

/** What stands behind an option of the command line, commas between. */
function listed(option: string): string[] | undefined {
  const at = process.argv.indexOf(option);
  return at < 0 ? undefined : (process.argv[at + 1] ?? '').split(',');
}

/** `--loads 1,1.5` and `--policies edf,plas,maestro,oracle`: less than all of them, which takes most of an hour. */
export async function benchSlo(context: BenchContext): Promise<void> {
  const loads =
    listed('--loads')?.map(Number) ?? (context.quick ? [0.5, 1, 1.5] : [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]);
  const policies = listed('--policies');
  // What it is measured against is always among them.
  const names = policies && [...new Set([...policies, 'edf', 'plas', 'maestro', 'oracle'])];
  const report = await sweep(context, names, loads);
  context.table({
    title: `Workflows that met their deadlines, %, by load (1 is ${report.capacity.toPrecision(3)} workflows/s)`,
    columns: ['policy', ...loads.map(String)],
    rows: attainment(report),
    note: `Means over seeds and 95 % intervals. 4 devices a100-40gb, 3 models, 4 shapes of workflows. Load 1: what first come first served ends a second when it never runs empty. ${report.note}`,
  });
  const baselines = report.names.filter((name) => name !== 'maestro' && name !== 'oracle');
  const mean = (name: string, load: number): number => cellOf(report, name, load).attained.mean;
  const best = (load: number): string => baselines.reduce((a, b) => (mean(b, load) > mean(a, load) ? b : a));
  context.table({
    title: 'Maestro against the best of the others, points',
    columns: [
      'load',
      'maestro',
      'best other',
      '',
      'over it',
      'over EDF',
      'of the oracle, %',
      'interactive queueing, s',
      "best other's",
    ],
    rows: loads.map((load) => {
      const other = best(load);
      const queueing = (name: string): number =>
        studentInterval(cellOf(report, name, load).results.map(({ interactive }) => interactive.queueing.mean)).mean;
      const [own, edfs] = [mean('maestro', load), mean('edf', load)];
      return [
        ...[
          load,
          percent(own),
          other,
          percent(mean(other, load)),
          percent(own - mean(other, load)),
          percent(own - edfs),
        ],
        ...[percent(own / mean('oracle', load)), queueing('maestro'), queueing(other)],
      ];
    }),
  });
  const over = (load: number, name: string): number => 100 * (mean('maestro', load) - mean(name, load));
  const peak = loads.reduce((a, b) => (over(b, 'edf') > over(a, 'edf') ? b : a));
  context.bar(`points over EDF at load ${peak}`, '>=', 30, over(peak, 'edf'), 'points');
  context.bar(`points over the best other (${best(peak)}) at that load`, '>=', 10, over(peak, best(peak)), 'points');
  context.bar(
    'least lead over the best other at any load',
    '>=',
    -1,
    Math.min(...loads.map((l) => over(l, best(l)))),
    'points',
  );
  const ofOracle = Math.min(...loads.map((load) => mean('maestro', load) / mean('oracle', load)));
  context.bar('least part of what the oracle attains, at any load', '>=', 90, 100 * ofOracle, '%');
  context.bar(
    'workflows lost in all runs',
    '<=',
    0,
    report.cells.flatMap((c) => c.results).reduce((sum, r) => sum + r.unfinished, 0),
    '',
  );
}

export async function benchAblation(context: BenchContext): Promise<void> {
  const loads = context.quick ? [1.5] : [1, 1.5];
  const contenders: readonly Contender[] = [
    { name: 'maestro', policy: 'maestro' },
    { name: 'told the truth', policy: 'maestro', oracle: true },
    { name: 'global level: EDF', policy: 'maestro', instead: () => ({ ordering: edf() }) },
    {
      name: 'global level: stages only',
      policy: 'maestro',
      instead: () => ({ ordering: maestroOrdering({ workflows: false }) }),
    },
    {
      name: 'global level: nobody shed',
      policy: 'maestro',
      instead: () => ({ ordering: maestroOrdering({ sheds: false }) }),
    },
    {
      name: 'global level: late not demoted',
      policy: 'maestro',
      instead: () => ({ ordering: maestroOrdering({ demotes: false }) }),
    },
    { name: 'cluster level: prefix affinity', policy: 'maestro', instead: () => ({ routing: prefixAffinity() }) },
    { name: 'node level: memory on demand', policy: 'maestro', instead: () => ({ provisioning: onDemand() }) },
    { name: 'node level: models by last use', policy: 'maestro', instead: () => ({ residency: leastRecentlyUsed() }) },
    {
      name: 'node level: no balance',
      policy: 'maestro',
      instead: () => ({ residency: maestroResidency({ balance: false }) }),
    },
    {
      name: 'node level: no prefetch',
      policy: 'maestro',
      instead: () => ({ residency: maestroResidency({ prefetch: false }) }),
    },
  ];
  const report = await sweep(context, contenders, loads);
  context.table({
    title: 'Maestro with one part exchanged: workflows that met their deadlines, %',
    columns: ['', ...loads.map((load) => `load ${load}`)],
    rows: attainment(report),
    note: 'Means over seeds and 95 % intervals; the set-up of part slo.',
  });
}
