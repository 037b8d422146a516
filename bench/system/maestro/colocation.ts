/** Several models on devices that do not hold them all: how often a stage finds its model there, and what bringing models costs. */
import { maestroResidency } from '../../../host/maestro/policies/maestro-residency.js';
import { fixedModels, leastRecentlyUsed } from '../../../host/maestro/policies/residency.js';
import { comparePolicies, cellOf, type Contender } from '../../../host/simulate/experiment.js';
import { studentInterval } from '../../../host/simulate/intervals.js';
import type { SimulationResult } from '../../../host/simulate/metrics.js';
import { agentScenario } from '../../../host/simulate/scenario.js';
import type { BenchContext } from '../../report.js';

export async function benchColocation(context: BenchContext): Promise<void> {
  const contenders: readonly Contender[] = [
    { name: 'models stay where they are', policy: 'maestro', instead: () => ({ residency: fixedModels() }) },
    { name: 'least recently used', policy: 'maestro', instead: () => ({ residency: leastRecentlyUsed() }) },
    {
      name: 'maestro, nothing brought ahead',
      policy: 'maestro',
      instead: () => ({ residency: maestroResidency({ prefetch: false }) }),
    },
    { name: 'maestro', policy: 'maestro' },
  ];
  const scenario = agentScenario({
    ...{ workflows: context.quick ? 300 : 1000, nodes: 3 },
    models: ['llama-3.1-8b', 'qwen2.5-7b', 'qwen2.5-3b', 'qwen2.5-1.5b'],
  });
  const loads = [0.5, 1];
  const report = await comparePolicies({
    ...scenario,
    contenders,
    loads,
    seeds: context.quick ? [1] : [1, 2, 3, 4, 5],
  });
  const mean = (name: string, load: number, pick: (result: SimulationResult) => number): number =>
    studentInterval(cellOf(report, name, load).results.map(pick)).mean;
  context.table({
    title: 'Four models (41 GB of weights) on three devices of 36 GB',
    columns: [
      'models',
      'load',
      'stages begun at once, %',
      'loads',
      'of them from host memory',
      'interactive queueing, s',
      'met deadlines, %',
    ],
    rows: report.names.flatMap((name) =>
      loads.map((load) => [
        ...[name, load, mean(name, load, (r) => 100 * r.warmStages), mean(name, load, (r) => r.loads)],
        ...[mean(name, load, (r) => r.hostLoads), mean(name, load, (r) => r.interactive.queueing.mean)],
        mean(name, load, (r) => 100 * r.all.attained),
      ]),
    ),
    note: 'Maestro with the choice of models exchanged; means over seeds.',
  });
}
