import { describe, expect, it } from 'vitest';
import { POLICY_NAMES, policyNamed } from '../maestro/policies/catalogue.js';
import type { Policy } from '../maestro/decision.js';
import { seededRandom } from '../random.js';
import type { SimulatedNode } from './node.js';
import { MODEL_SHAPES, profileNamed } from './profiles.js';
import { agentScenario } from './scenario.js';
import { simulate, type SimulatedNodeSpec } from './simulator.js';
import { atLoad, type Workload, type WorkloadStage } from './workload.js';

const scenario = agentScenario({ workflows: 60 });
/** About twice what the cluster can do. */
const busy = atLoad(scenario.workload(1), 0.4);

/** No node has ever more than its memory. */
function withinMemory(nodes: readonly SimulatedNode[]): void {
  for (const { view } of nodes) {
    const held = view.weightBytes + view.committedBytes + view.idleBytes;
    if (held > view.deviceBytes + 1) throw new Error(`${held} of ${view.deviceBytes} B`);
  }
}

const everything = ({ unfinished, all }: ReturnType<typeof simulate>): number => unfinished * 1e6 + all.shed * 1000;

const single = (
  stages: readonly (Partial<WorkloadStage> & { readonly id: string })[],
  arrival = 0,
  more: object = {},
): Workload['workflows'][number] => ({
  ...{ id: `w${arrival}-${stages[0]!.id}`, arrival },
  ...more,
  stages: stages.map((stage) => ({
    ...{ role: 'r', model: 'qwen2.5-3b', promptTokens: 100, outputTokens: 50, maxTokens: 4096 },
    ...stage,
  })),
});
const small = MODEL_SHAPES.find(({ name }) => name === 'qwen2.5-3b')!;
const nodes = (count: number, more: Partial<SimulatedNodeSpec> = {}): SimulatedNodeSpec[] =>
  Array.from({ length: count }, () => ({ profile: profileNamed('a100-40gb'), ...more }));

describe('the simulator', () => {
  it.each(POLICY_NAMES)('brings everything to an end under %s, within memory', (name) => {
    const result = simulate({ workload: busy, nodes: scenario.nodes, policy: policyNamed(name), check: withinMemory });
    expect(result.unfinished).toBe(0);
    expect(result.stages).toBeGreaterThan(200);
    if (name !== 'maestro') expect(everything(result)).toBe(0);
  });

  it.each(['fcfs', 'srpt', 'maestro'])('gives the same for the same, under %s', (name) => {
    const run = () => simulate({ workload: busy, nodes: scenario.nodes, policy: policyNamed(name) });
    expect(run()).toEqual(run());
  });

  it.each(['fcfs', 'fcfs-max-length', 'kv-routing'])(
    'takes many iterations at once and means the same by it as one by one, under %s',
    (name) => {
      const workload = atLoad(scenario.workload(2), 0.2);
      const run = (mostIterations: number) =>
        simulate({ ...{ workload, nodes: scenario.nodes, mostIterations }, policy: policyNamed(name) });
      const [many, one] = [run(1e9), run(1)];
      expect(many.stages).toBe(one.stages);
      expect(many.tokens).toBe(one.tokens);
      expect(Math.abs(many.all.latency.mean / one.all.latency.mean - 1)).toBeLessThan(0.03);
      expect(Math.abs(many.utilisation / one.utilisation - 1)).toBeLessThan(0.03);
    },
  );

  it('takes the time that its cost model says', () => {
    const profile = profileNamed('a100-40gb');
    const workload = {
      name: 'one',
      models: [small],
      workflows: [single([{ id: 'a', promptTokens: 1, outputTokens: 101 }])],
    };
    const { all } = simulate({ workload, nodes: nodes(1), policy: policyNamed('fcfs') });
    // 100 iterations after the first: the weights once each, and the keys and values of the sequence.
    const weights = small.weightBytes / (profile.bytesPerSecond * profile.memoryEfficiency);
    expect(all.latency.mean).toBeGreaterThan(101 * (weights + profile.iterationSeconds));
    expect(all.latency.mean).toBeLessThan(1.02 * 101 * (weights + profile.iterationSeconds));
  });

  it('shares beginnings: a second call of a session computes what is new alone', () => {
    const first = single([
      { id: 'a', promptTokens: 1000, outputTokens: 48 },
      {
        ...{ id: 'b', promptTokens: 1100, parents: ['a'], hidden: true, toolSeconds: 1 },
        prefix: { stage: 'a', tokens: 1048 },
      },
    ]);
    const { reusedTokens } = simulate({
      ...{ workload: { name: 's', models: [small], workflows: [first] }, nodes: nodes(1) },
      policy: policyNamed('fcfs'),
    });
    // The last token of an answer is never read back, and blocks are of 16.
    expect(reusedTokens).toBeGreaterThan(1000);
    expect(reusedTokens).toBeLessThanOrEqual(1048);
  });
});

describe('what goes wrong', () => {
  it.each(['fcfs', 'edf-preemptive', 'plas', 'maestro'])(
    'a node dies mid-stage and nothing is lost, under %s',
    (name) => {
      const workload = { ...busy, workflows: busy.workflows.map(({ deadlineSeconds: _, ...rest }) => rest) };
      const failing = scenario.nodes.map((node, k) =>
        k === 0 ? { ...node, failures: [{ at: 60 }] } : k === 1 ? { ...node, failures: [{ at: 90, back: 150 }] } : node,
      );
      const result = simulate({ workload, nodes: failing, policy: policyNamed(name), check: withinMemory });
      expect(everything(result)).toBe(0);
      const whole = simulate({ workload, nodes: scenario.nodes, policy: policyNamed(name) });
      expect(result.stages).toBe(whole.stages);
    },
  );

  it('no node is left: what has not ended is counted, not forgotten', () => {
    const failing = scenario.nodes.map((node) => ({ ...node, failures: [{ at: 5 }] }));
    const result = simulate({ workload: busy, nodes: failing, policy: policyNamed('fcfs') });
    expect(result.unfinished).toBeGreaterThan(0);
    expect(result.unfinished + result.all.shed + result.latencies.length).toBe(busy.workflows.length);
  });

  it.each(['kv-routing', 'maestro'])(
    'a node lies about its load, views are old, and nothing is lost, under %s',
    (name) => {
      const workload = { ...busy, workflows: busy.workflows.map(({ deadlineSeconds: _, ...rest }) => rest) };
      const lying = scenario.nodes.map((node, k) => (k === 0 ? { ...node, lies: 0.1 } : node));
      const result = simulate({
        ...{ workload, nodes: lying, staleness: 2, check: withinMemory },
        policy: policyNamed(name),
      });
      expect(everything(result)).toBe(0);
    },
  );

  it.each(POLICY_NAMES)('a stage that fits no node is given up and says why, and others go on, under %s', (name) => {
    const workload = {
      ...{ name: 'large', models: [small] },
      workflows: [single([{ id: 'huge', promptTokens: 3_000_000 }]), single([{ id: 'fine' }], 1)],
    };
    const result = simulate({ workload, nodes: nodes(2), policy: policyNamed(name) });
    expect(result.unfinished).toBe(0);
    expect(result.all.shed).toBe(1);
    expect(Object.keys(result.reasons).join()).toMatch(/memory|GB/);
  });

  it.each(['fcfs', 'maestro'])('answers that outgrow all memory are paused, not lost, under %s', (name) => {
    const long = { promptTokens: 20_000, outputTokens: 8000, maxTokens: 16_000 };
    const workflows = Array.from({ length: 40 }, (_, k) => single([{ id: `s${k}`, ...long }], k / 100));
    const result = simulate({
      ...{ workload: { name: 'outgrow', models: [small], workflows }, nodes: nodes(1), check: withinMemory },
      policy: policyNamed(name),
    });
    expect(everything(result)).toBe(0);
    expect(result.stages).toBe(40);
  });

  it.each(['fcfs', 'maestro'])('everything comes at once, and no node promises more than it has, under %s', (name) => {
    const models = ['llama-3.1-8b', 'qwen2.5-7b', 'qwen2.5-3b', 'qwen2.5-1.5b'];
    const crowded = agentScenario({ workflows: 400, nodes: 3, models });
    const workload = atLoad(crowded.workload(1000), 1e4);
    const bare = { ...workload, workflows: workload.workflows.map(({ deadlineSeconds: _, ...rest }) => rest) };
    const result = simulate({
      ...{ workload: bare, nodes: crowded.nodes, check: withinMemory },
      policy: policyNamed(name),
    });
    expect(result.unfinished).toBe(0);
    expect(result.stages).toBeGreaterThan(2000);
    // Nothing else is given up than what one node cannot hold beside its weights.
    for (const reason of Object.keys(result.reasons)) expect(reason).toMatch(/memory|GB/);
  });

  it('a chain of thousands of stages runs to its end', () => {
    const stages = Array.from({ length: 8000 }, (_, k) => ({
      ...{ id: `s${k}`, promptTokens: 8, outputTokens: 1 },
      ...(k > 0 && { parents: [`s${k - 1}`] }),
    }));
    const workload = { name: 'chain', models: [small], workflows: [single(stages, 0, { deadlineSeconds: 1e5 })] };
    const result = simulate({ workload, nodes: nodes(1), policy: policyNamed('maestro') });
    expect(result.stages).toBe(8000);
  });

  it('a policy that goes round in circles is stopped by name', () => {
    const circles: Policy = {
      name: 'circles',
      decide({ changes, nodes: [node] }) {
        for (const change of changes) {
          if (change.kind === 'queued') {
            return [{ kind: 'admit', ticket: change.ticket, node: node!.index, reserveTokens: 1 }];
          }
          if (change.kind === 'started') return [{ kind: 'pause', ticket: change.ticket, keep: false }];
        }
        return [];
      },
    };
    const workload = { name: 'c', models: [small], workflows: [single([{ id: 'a' }])] };
    expect(() => simulate({ workload, nodes: nodes(1), policy: circles })).toThrow(/circles does not come to an end/);
  });

  it('a policy that only ever loads and parks comes to an end, and what it did not run is counted', () => {
    let other = false;
    const restless: Policy = {
      name: 'restless',
      decide() {
        other = !other;
        const [model, node] = [0, 0];
        return other ? [{ kind: 'park', node, model }] : [{ kind: 'load', node, model, park: [] }];
      },
    };
    const workload = { name: 'c', models: [small], workflows: [single([{ id: 'a' }])] };
    expect(simulate({ workload, nodes: nodes(1), policy: restless }).unfinished).toBe(1);
  });
});

describe('nobody starves', () => {
  it('under Maestro, though more urgent stages never stop coming', () => {
    const random = seededRandom(5);
    // One node, twice as much urgent work as it can do, all of it short, with deadlines, of a tenant that has had nothing.
    const urgent = Array.from({ length: 3000 }, (_, k) =>
      single([{ id: `u${k}`, promptTokens: 4000, outputTokens: 60 + random.below(60) }], k * 0.15, {
        ...{ class: 'interactive', deadlineSeconds: 30, tenant: `t${k}` },
      }),
    );
    const patient = Array.from({ length: 5 }, (_, k) =>
      single([{ id: `p${k}`, promptTokens: 8000, outputTokens: 1500 }], 1 + k, { class: 'batch', tenant: 'patient' }),
    );
    const workflows = [...urgent, ...patient].sort((a, b) => a.arrival - b.arrival);
    const profile = { ...profileNamed('a100-40gb'), sequences: 4 };
    const result = simulate({
      ...{ workload: { name: 'starve', models: [small], workflows }, nodes: [{ profile }], trace: true },
      policy: policyNamed('maestro'),
    });
    expect(result.unfinished).toBe(0);
    // It is first in line 600 s after it could run; what runs then has to end.
    expect(result.batch.queueing.most).toBeLessThan(660);
    expect(result.batch.shed).toBe(0);
  });
});
