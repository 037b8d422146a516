/** What a decision costs with so many nodes and stages that wait, and how many stages a second the simulator replays. */
import { policyNamed } from '../../../host/maestro/policies/catalogue.js';
import type { Policy } from '../../../host/maestro/decision.js';
import { agentScenario } from '../../../host/simulate/scenario.js';
import { simulate } from '../../../host/simulate/simulator.js';
import { atLoad } from '../../../host/simulate/workload.js';
import { workloadOfTrace } from '../../../host/simulate/trace-workload.js';
import { openTrace } from '../../../host/simulate/traces/open-trace.js';
import { MODEL_SHAPES, profileNamed } from '../../../host/simulate/profiles.js';
import { join } from 'node:path';
import { median, type BenchContext, type Cell } from '../../report.js';

/** Times decisions while so many stages wait. Everything arrives at once, so that the queue is as long as it gets, and little is ended. */
function decisionCost(
  nodes: number,
  queued: number,
): { readonly median: number; readonly p99: number; readonly mean: number; readonly timed: number } {
  const scenario = agentScenario({ nodes, workflows: queued + 64 * nodes });
  const inner = policyNamed('maestro');
  const times: number[] = [];
  let waiting = 0;
  let counted = 0;
  const policy: Policy = {
    name: inner.name,
    decide(snapshot) {
      for (const change of snapshot.changes) {
        if (change.kind === 'queued') waiting++;
        if (change.kind === 'started') waiting--;
      }
      const begun = performance.now();
      const actions = inner.decide(snapshot);
      const took = performance.now() - begun;
      // Changes are what a decision is about; what follows in the same instant is part of it.
      if (snapshot.now > 1 && waiting >= 0.9 * queued) {
        times.push(1000 * took);
        counted += Math.max(1, snapshot.changes.length);
      }
      if (times.length >= 20_000) throw DONE;
      return actions;
    },
  };
  try {
    simulate({ ...{ nodes: scenario.nodes, policy }, workload: atLoad(scenario.workload(1), 1e6) });
  } catch (error) {
    if (error !== DONE) throw error;
  }
  times.sort((a, b) => a - b);
  const sum = times.reduce((total, time) => total + time, 0);
  return {
    median: median(times),
    p99: times[Math.floor(0.99 * times.length)]!,
    mean: sum / Math.max(1, counted),
    timed: times.length,
  };
}

const DONE = new Error('enough');

export async function benchCost(context: BenchContext): Promise<void> {
  const rows: Cell[][] = [];
  const sizes: readonly (readonly [number, number])[] = context.quick
    ? [
        [4, 100],
        [100, 10_000],
      ]
    : [
        [4, 100],
        [4, 1000],
        [4, 10_000],
        [20, 10_000],
        [100, 1000],
        [100, 10_000],
        [100, 100_000],
      ];
  let bar: number | undefined;
  for (const [nodes, queued] of sizes) {
    context.say(`decisions at ${nodes} nodes, ${queued} stages`);
    const cost = decisionCost(nodes, queued);
    rows.push([nodes, queued, cost.median, cost.mean, cost.p99, cost.timed]);
    if (nodes === 100 && queued === 10_000) bar = cost.mean;
  }
  context.table({
    title: 'Microseconds of a decision (Maestro, all levels)',
    columns: ['nodes', 'stages that wait', 'median', 'mean for each change', '99 %', 'decisions timed'],
    rows,
    note: 'A call of decide(), which takes in what changed and gives the next action or none.',
  });
  context.bar('a decision at 100 nodes and 10,000 stages, mean', '<=', 50, bar, 'us');

  const trace = await openTrace(join(context.data, 'traces/AzureLLMInferenceTrace_conv_2023.csv'));
  const azure = workloadOfTrace(trace, { model: MODEL_SHAPES[0]!, seed: 1 });
  const speeds: Cell[][] = [];
  let fastest: number | undefined;
  const nodes = Array.from({ length: 4 }, () => ({ profile: profileNamed('a100-80gb') }));
  for (const name of ['fcfs', 'edf', 'maestro']) {
    const rates: number[] = [];
    for (let k = 0; k < (context.quick ? 1 : 5); k++) {
      const begun = performance.now();
      const { stages } = simulate({ workload: azure, nodes, policy: policyNamed(name) });
      rates.push((1000 * stages) / (performance.now() - begun));
    }
    speeds.push(['Azure 2023', name, median(rates)]);
    if (name === 'fcfs') fastest = median(rates);
  }
  const agents = agentScenario({ workflows: context.quick ? 400 : 1500 });
  for (const name of ['fcfs', 'maestro']) {
    const workload = atLoad(agents.workload(1), 0.1);
    const begun = performance.now();
    const { stages } = simulate({ workload, nodes: agents.nodes, policy: policyNamed(name) });
    speeds.push(['agents, load about 0.7', name, (1000 * stages) / (performance.now() - begun)]);
  }
  context.table({
    title: 'Stages a second of wall time, one core',
    columns: ['workload', 'policy', 'stages/s'],
    rows: speeds,
  });
  context.bar('stages a second that the simulator replays (Azure 2023, fcfs)', '>=', 200_000, fastest, '/s');
}
