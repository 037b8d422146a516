import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../errors.js';
import { createWorkflow } from '../../maestro/workflow.js';
import { seededRandom } from '../../random.js';
import { openTrace } from '../traces/open-trace.js';
import { generateWorkload, WORKFLOW_SHAPES } from './generate.js';
import { drawsTogether, GENERATED_ROLES, MARGINAL_LEVELS, marginalAt, marginalMean, marginalsOf } from './marginals.js';
import { PUBLISHED_MARGINALS } from './published-marginals.js';

const model = (
  name: string,
): { name: string; weightBytes: number; activeParameters: number; kvBytesPerToken: number } => ({
  ...{ name, weightBytes: 1e9, activeParameters: 5e8, kvBytesPerToken: 1024 },
});
const models = [model('small'), model('middle'), model('large')];

describe('generated workloads', () => {
  const workload = generateWorkload({ seed: 4, workflows: 400, models, rate: 2, slack: [2, 5], tenants: 3 });

  it('are the same for one seed and differ for another', () => {
    const again = generateWorkload({ seed: 4, workflows: 400, models, rate: 2, slack: [2, 5], tenants: 3 });
    expect(again).toEqual(workload);
    expect(generateWorkload({ seed: 5, workflows: 400, models }).workflows[0]).not.toEqual(workload.workflows[0]);
  });

  it('are workflows that the scheduler takes, of every shape, on several models', () => {
    const names = new Set(models.map(({ name }) => name));
    for (const workflow of workload.workflows) createWorkflow(workflow, { models: names, now: workflow.arrival });
    expect(new Set(workload.workflows.map(({ application }) => application))).toEqual(new Set(WORKFLOW_SHAPES));
    expect(new Set(workload.workflows.flatMap(({ stages }) => stages.map((stage) => stage.model)))).toEqual(names);
    expect(workload.workflows.some(({ stages }) => stages.some((stage) => stage.hidden))).toBe(true);
  });

  it('arrive in order, at the rate that was asked for', () => {
    const times = workload.workflows.map(({ arrival }) => arrival);
    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(400 / times.at(-1)!).toBeGreaterThan(1.5);
    expect(400 / times.at(-1)!).toBeLessThan(2.7);
  });

  it('keep the lengths of each role', () => {
    const of = (role: string): number[] =>
      workload.workflows
        .flatMap(({ stages }) => stages.flatMap((stage) => (stage.role === role ? [stage.outputTokens] : [])))
        .sort((a, b) => a - b);
    for (const role of ['coder', 'critic', 'writer'] as const) {
      const lengths = of(role);
      const expected = marginalAt(PUBLISHED_MARGINALS.roles[role].output, 0.5);
      expect(lengths[lengths.length >> 1]! / expected).toBeGreaterThan(0.75);
      expect(lengths[lengths.length >> 1]! / expected).toBeLessThan(1.3);
    }
  });

  it('refuse what cannot be', () => {
    const bad = [
      { workflows: 0 },
      { models: [] },
      { rate: -1 },
      { shapes: { chain: -1 } },
      { shapes: {} },
      { seed: -1 },
    ];
    for (const more of bad) {
      expect(() => generateWorkload({ seed: 1, workflows: 3, models, ...more })).toThrow(TuttiError);
    }
  });
});

it('marginals come from traces', async () => {
  const file = (name: string): string => `test/data/traces/${name}`;
  const [azure, chatdev, agents] = await Promise.all(
    ['azure-conv.csv', 'chatdev.jsonl', 'agent-sessions.jsonl.gz'].map((name) => openTrace(file(name))),
  );
  const marginals = marginalsOf(azure!, chatdev!, agents!);
  for (const role of GENERATED_ROLES) {
    const { output, prompt } = marginals.roles[role];
    for (const marginal of [output, prompt]) {
      expect(marginal).toHaveLength(MARGINAL_LEVELS.length);
      expect([...marginal].sort((a, b) => a - b)).toEqual(marginal);
    }
  }
  expect(generateWorkload({ seed: 1, workflows: 20, models, marginals }).workflows).toHaveLength(20);
  expect(() => marginalsOf(azure!, azure!, agents!)).toThrow(TuttiError);
});

it('draws of one workflow go together and keep their marginal', () => {
  const random = seededRandom(2);
  const { output } = PUBLISHED_MARGINALS.roles.coder;
  const pairs = Array.from({ length: 4000 }, () => {
    const draw = drawsTogether(random);
    return [draw(output), draw(output)] as const;
  });
  const mean = pairs.reduce((sum, [a]) => sum + a, 0) / pairs.length;
  expect(mean / marginalMean(output)).toBeCloseTo(1, 1);
  const both = pairs.filter(([a, b]) => a > mean === b > mean).length / pairs.length;
  expect(both).toBeGreaterThan(0.6);
});
