/**
 * Maestro on a real engine, and the simulator on a profile that was measured just before: the same workflows, arriving at the same times, with answers as long as they turned out live.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createWasmDevice } from '../../../host/index.js';
import { fileSource } from '../../../host/llm/index.js';
import { createMaestro } from '../../../host/maestro/index.js';
import { policyNamed } from '../../../host/maestro/policies/catalogue.js';
import { seededRandom } from '../../../host/random.js';
import { quantileOf } from '../../../host/simulate/intervals.js';
import { measureProfile } from '../../../host/simulate/measure-profile.js';
import { simulate } from '../../../host/simulate/simulator.js';
import type { Workload, WorkloadStage } from '../../../host/simulate/workload.js';
import { fileOf } from '../llm/contestant.js';
import { median, type BenchContext, type Cell } from '../../report.js';

const MODEL = 'm';
const VOCABULARY = 32_000;
const ROLES = ['planner', 'coder', 'critic', 'writer'];

interface Drawn {
  readonly arrival: number;
  readonly stages: readonly { readonly prompt: readonly number[]; readonly maxTokens: number }[];
}

/** Chains of one to four stages; arrivals a second apart in the mean. */
function draw(seed: number, count: number): Drawn[] {
  const random = seededRandom(seed);
  let arrival = 0;
  return Array.from({ length: count }, () => {
    arrival += -Math.log(1 - random.uniform());
    return {
      arrival,
      stages: Array.from({ length: 1 + random.below(4) }, () => ({
        prompt: Array.from({ length: 20 + random.below(80) }, () => 300 + random.below(VOCABULARY - 300)),
        maxTokens: 10 + Math.min(120, Math.round(-40 * Math.log(1 - random.uniform()))),
      })),
    };
  });
}

function workloadOf(
  drawn: readonly Drawn[],
  scale: number,
  shape: Workload['models'][number],
  outputs?: readonly (readonly number[])[],
): Workload {
  const workflows = drawn.map(({ arrival, stages }, w) => ({
    ...{ id: `w${w}`, application: 'chain', arrival: arrival * scale },
    stages: stages.map(({ prompt, maxTokens }, s): WorkloadStage => ({
      ...{ id: `s${s}`, role: ROLES[s]!, model: shape.name, promptTokens: prompt.length, maxTokens },
      outputTokens: outputs?.[w]![s] ?? maxTokens,
      ...(s > 0 && { parents: [`s${s - 1}`] }),
    })),
  }));
  return { name: 'live', models: [shape], workflows };
}

export async function benchLive(context: BenchContext): Promise<void> {
  const path = await fileOf('15m', 'Q8_0');
  const source = await fileSource(path);
  const count = context.quick ? 40 : 60;
  const rows: Cell[][] = [];
  const off: { mean: number[]; p95: number[] } = { mean: [], p95: [] };
  let live: { reserved: number; used: number; most: number } = { reserved: 0, used: 0, most: 0 };
  for (const load of context.quick ? [0.5] : [0.3, 0.6]) {
    for (const seed of context.quick ? [1] : [1, 2, 3]) {
      context.say(`load ${load}, seed ${seed}`);
      const probe = await createWasmDevice({ threads: 1, memoryBudget: 2 ** 30 });
      const { profile, shape, fit } = await measureProfile({ device: probe, source, name: 'here', model: MODEL });
      await probe.close();
      const drawn = draw(seed, count);
      const nodes = [{ profile, resident: [MODEL] }];
      const policy = () => policyNamed('maestro');
      // Seconds between arrivals at which the node is busy for that part of the time.
      const { seconds, utilisation } = simulate({ workload: workloadOf(drawn, 1e-6, shape), nodes, policy: policy() });
      const scale = (seconds * utilisation) / load / drawn.at(-1)!.arrival;

      const device = await createWasmDevice({ threads: 1, memoryBudget: 2 ** 30 });
      const maestro = await createMaestro({
        nodes: [{ device, models: { [MODEL]: { source, context: 256 } }, resident: [MODEL] }],
      });
      const begun = performance.now();
      const latencies: number[] = [];
      const outputs: number[][] = [];
      await Promise.all(
        drawn.map(async ({ arrival, stages }, w) => {
          await sleep(Math.max(0, arrival * scale * 1000 - (performance.now() - begun)));
          const came = performance.now();
          const workflow = maestro.workflow({ id: `w${w}`, application: 'chain' });
          const handles = [];
          for (const [s, { prompt, maxTokens }] of stages.entries()) {
            handles.push(
              workflow.stage({
                ...{ id: `s${s}`, role: ROLES[s]!, model: MODEL, prompt, maxTokens, temperature: 0 },
                ...(s > 0 && { parents: [`s${s - 1}`] }),
              }),
            );
          }
          await workflow.end();
          latencies.push((performance.now() - came) / 1000);
        }),
      );
      const report = maestro.report();
      drawn.forEach(
        ({ stages }, w) =>
          (outputs[w] = stages.map(
            (_, s) => report.stages.find((stage) => stage.workflow === `w${w}` && stage.stage === `s${s}`)!.tokens,
          )),
      );
      await maestro.close();
      await device.close();
      const { committed, used, maxLength } = report.reservation;
      live = { reserved: live.reserved + committed, used: live.used + used, most: live.most + maxLength };

      const result = simulate({ workload: workloadOf(drawn, scale, shape, outputs), nodes, policy: policy() });
      latencies.sort((a, b) => a - b);
      const mean = latencies.reduce((sum, value) => sum + value, 0) / latencies.length;
      const p95 = quantileOf(latencies, 0.95);
      off.mean.push(100 * Math.abs(result.all.latency.mean / mean - 1));
      off.p95.push(100 * Math.abs(result.all.latency.p95 / p95 - 1));
      rows.push([
        load,
        seed,
        1000 * mean,
        1000 * result.all.latency.mean,
        1000 * p95,
        1000 * result.all.latency.p95,
        100 * fit.median,
      ]);
    }
  }
  await source.close();
  context.table({
    title: `Latency of ${count} workflows, ms: live and simulated`,
    columns: ['load', 'seed', 'mean live', 'simulated', '95 % live', 'simulated', 'fit off, median %'],
    rows,
    note: 'Chains of one to four stages on a 15M-parameter model of random weights, Q8_0, one Wasm device of one thread, policy maestro. The profile is measured anew before each run.',
  });
  context.bar('mean latency, simulated against live, median of runs', '<=', 15, median(off.mean), '%');
  context.bar('95 % latency, simulated against live, median of runs', '<=', 15, median(off.p95), '%');
  context.bar(
    'live: memory set aside, less than prompt + longest answer',
    '>=',
    0,
    100 * (1 - live.reserved / live.most),
    '%',
  );
}
