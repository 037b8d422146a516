import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWorkflow, type StageSpec, type WorkflowSpec } from './workflow.js';

const stage = (id: string, more: Partial<StageSpec> = {}): StageSpec => ({
  ...{ id, role: 'writer', model: 'm', promptTokens: 10 },
  ...more,
});
const spec = (stages: readonly StageSpec[], more: Partial<WorkflowSpec> = {}): WorkflowSpec => ({
  ...{ id: 'w', arrival: 0, stages },
  ...more,
});
const limits = { models: new Set(['m']), now: 100 };

describe('workflows', () => {
  it('know what follows what, in whatever order stages are given', () => {
    const workflow = createWorkflow(
      spec([stage('c', { parents: ['a', 'b'] }), stage('a'), stage('b', { parents: ['a'] })]),
      limits,
    );
    expect([...workflow.stages.keys()]).toEqual(['a', 'b', 'c']);
    expect(workflow.childrenOf('a').map(({ id }) => id)).toEqual(['b', 'c']);
    expect(workflow.stages.get('c')!.depth).toBe(2);
    workflow.add([stage('d', { parents: ['c'] })]);
    expect(workflow.childrenOf('c').map(({ id }) => id)).toEqual(['d']);
  });

  it.each<[string, WorkflowSpec, string, RegExp]>([
    [
      'a circle',
      spec([stage('a', { parents: ['b'] }), stage('b', { parents: ['a'] })]),
      'INPUT_INVALID',
      /circle|cycl/,
    ],
    ['itself as a parent', spec([stage('a', { parents: ['a'] })]), 'INPUT_INVALID', /a/],
    ['an unknown parent', spec([stage('a', { parents: ['z'] })]), 'INPUT_INVALID', /z/],
    [
      'an unknown model',
      spec([stage('a', { model: 'gpt' })]),
      'INPUT_INVALID',
      /"gpt", which there is not; there are m/,
    ],
    ['one name twice', spec([stage('a'), stage('a')]), 'INPUT_INVALID', /a/],
    ['a negative deadline', spec([stage('a')], { deadlineSeconds: -1 }), 'INPUT_INVALID', /deadlineSeconds.*above 0/],
    [
      'a deadline that is none',
      spec([stage('a')], { deadlineSeconds: Number.NaN }),
      'INPUT_INVALID',
      /deadlineSeconds/,
    ],
    ['a deadline that has passed', spec([stage('a')], { deadlineSeconds: 50 }), 'INPUT_INVALID', /has passed 50 s ago/],
    ['an arrival that is no time', spec([stage('a')], { arrival: Number.NaN }), 'INPUT_INVALID', /arrival/],
    ['NaN tokens', spec([stage('a', { promptTokens: Number.NaN })]), 'INPUT_INVALID', /promptTokens.*NaN/],
    ['half a token', spec([stage('a', { maxTokens: 1.5 })]), 'INPUT_INVALID', /maxTokens/],
    ['negative tool time', spec([stage('a', { toolSeconds: -1 })]), 'INPUT_INVALID', /toolSeconds/],
    ['an unknown class', spec([stage('a', { class: 'vip' as 'batch' })]), 'INPUT_INVALID', /class/],
    ['no prompt', spec([{ id: 'a', role: 'r', model: 'm' }]), 'INPUT_INVALID', /prompt/],
    ['an empty role', spec([stage('a', { role: '' })]), 'INPUT_INVALID', /role/],
    ['no name', spec([stage('a')], { id: '' }), 'INPUT_INVALID', /id/],
  ])('are refused with %s', (_, given, code, message) => {
    let error: unknown;
    try {
      createWorkflow(given, limits);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  it('are refused when an agent asks for more than there may be, and say how much that is', () => {
    const asked = spec([stage('a', { maxTokens: 1_000_000 })]);
    expect(() => createWorkflow(asked, { ...limits, contextTokens: 131_072 })).toThrow(
      expect.objectContaining({ code: 'INPUT_INVALID', message: expect.stringMatching(/maxTokens.*131072/) as string }),
    );
    const both = spec([stage('a', { promptTokens: 100_000, maxTokens: 100_000 })]);
    expect(() => createWorkflow(both, { ...limits, contextTokens: 131_072 })).toThrow(
      expect.objectContaining({ code: 'LIMIT_EXCEEDED', message: expect.stringMatching(/200000 tokens/) as string }),
    );
  });

  it('that never end are stopped at their limit, and what was there stays', () => {
    const workflow = createWorkflow(spec([stage('s0')]), { ...limits, stages: 20 });
    const grow = (): void => {
      for (let k = 1; ; k++) workflow.add([stage(`s${k}`, { parents: [`s${k - 1}`] })]);
    };
    expect(grow).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }));
    expect(workflow.stages.size).toBe(20);
  });

  it('take all of what is added or none', () => {
    const workflow = createWorkflow(spec([stage('a')]), limits);
    expect(() => workflow.add([stage('b'), stage('c', { parents: ['nowhere'] })])).toThrow();
    expect([...workflow.stages.keys()]).toEqual(['a']);
    expect(workflow.childrenOf('a')).toEqual([]);
  });

  it('accept every graph without circles and refuse every other', () => {
    const graph = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 14 });
    fc.assert(
      fc.property(graph, (edges) => {
        const parents = Array.from({ length: 8 }, (_, k) => [
          ...new Set(edges.filter(([, to]) => to === k).map(([from]) => `s${from}`)),
        ]);
        const stages = parents.map((own, k) => stage(`s${k}`, { parents: own }));
        // By removing what waits for nobody until nothing is left.
        const left = new Set(stages.map(({ id }) => id));
        for (let before = -1; before !== left.size;) {
          before = left.size;
          for (const { id, parents: own } of stages) if (!own!.some((parent) => left.has(parent))) left.delete(id);
        }
        if (left.size > 0) expect(() => createWorkflow(spec(stages), limits)).toThrow();
        else expect(createWorkflow(spec(stages), limits).stages.size).toBe(8);
      }),
    );
  });
});
