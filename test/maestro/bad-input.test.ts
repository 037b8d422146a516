/** What is wrong is said at once, by name; what goes wrong later is told to whom it concerns, and to nobody else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createMaestro, policyNamed, type Maestro, type StageRequest } from '../../host/maestro/index.js';
import { alone, policyWith, source, textOf, wasm } from './fixture.js';

let device: Device;
let maestro: Maestro;
beforeAll(async () => {
  device = await wasm();
  maestro = await createMaestro({ nodes: [{ device, models: { stories: { source } } }], limits: { stages: 8 } });
});
afterAll(async () => {
  expect(maestro.report()).toMatchObject({ workflows: { open: 0 }, nodes: [{ running: 0, committedBytes: 0 }] });
  await maestro.close();
  await device.close();
});

const good: StageRequest = { role: 'writer', model: 'stories', prompt: 'Once', maxTokens: 5 };

describe('a workflow is refused', () => {
  it.each([
    [{ deadlineSeconds: -1 }, 'deadlineSeconds'],
    [{ deadlineSeconds: 0 }, 'deadlineSeconds'],
    [{ deadlineSeconds: NaN }, 'deadlineSeconds'],
    [{ deadlineSeconds: Infinity }, 'deadlineSeconds'],
    [{ class: 'urgent' as 'batch' }, 'class'],
    [{ id: '' }, 'id'],
    [{ tenant: 'x'.repeat(300) }, 'tenant'],
  ])('%j', (options, field) => {
    expect(() => maestro.workflow(options)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }));
    expect(() => maestro.workflow(options)).toThrow(new RegExp(field));
  });

  it('whose name is taken', async () => {
    const first = maestro.workflow({ id: 'mine' });
    expect(() => maestro.workflow({ id: 'mine' })).toThrow(/there is a workflow "mine" already/);
    await first.end();
    await maestro.workflow({ id: 'mine' }).end();
  });
});

describe('a stage is refused, and its workflow goes on', () => {
  it.each<[Partial<Record<keyof StageRequest, unknown>>, string, string]>([
    [{ model: 'gpt' }, 'INPUT_INVALID', 'model'],
    [{ maxTokens: 1_000_000 }, 'LIMIT_EXCEEDED', 'at most 512 are possible'],
    [{ maxTokens: NaN }, 'INPUT_INVALID', 'maxTokens'],
    [{ maxTokens: -3 }, 'INPUT_INVALID', 'maxTokens'],
    [{ latencySeconds: NaN }, 'INPUT_INVALID', 'latencySeconds'],
    [{ firstTokenSeconds: -1 }, 'INPUT_INVALID', 'firstTokenSeconds'],
    [{ toolSeconds: -1 }, 'INPUT_INVALID', 'toolSeconds'],
    [{ fanOut: 0.5 }, 'INPUT_INVALID', 'fanOut'],
    [{ role: '' }, 'INPUT_INVALID', 'role'],
    [{ parents: ['nobody'] }, 'INPUT_INVALID', 'nobody'],
    [{ prompt: undefined }, 'INPUT_INVALID', 'neither'],
    [{ messages: [{ role: 'user', content: '' }] }, 'INPUT_INVALID', 'both'],
  ])('%j', async (wrong, code, says) => {
    const workflow = maestro.workflow();
    const add = (): unknown => workflow.stage({ ...good, ...wrong } as StageRequest);
    expect(add).toThrow(expect.objectContaining({ code }));
    expect(add).toThrow(new RegExp(says));
    expect((await workflow.stage(good).text()).length).toBeGreaterThan(0);
    await workflow.end();
  });

  it('with all others of a circle', async () => {
    const workflow = maestro.workflow();
    const circle = [
      { ...good, id: 'a', parents: ['c'] },
      { ...good, id: 'b', parents: ['a'] },
      { ...good, id: 'c', parents: ['b'] },
    ];
    expect(() => workflow.stages(circle)).toThrow(/wait for each other: a, b, c.*cycles/);
    expect(() => workflow.stage({ ...good, id: 'self', parents: ['self'] })).toThrow(/cycles/);
    const line = workflow.stages([{ ...circle[0]!, parents: [] }, circle[1]!, circle[2]!]);
    expect(await Promise.all(line.map((stage) => stage.text()))).toHaveLength(3);
    await workflow.end();
  });

  it('when there have been too many, in a workflow that never ends', async () => {
    const workflow = maestro.workflow();
    let last = workflow.stage(good);
    for (let k = 1; k < 8; k++) last = workflow.stage({ ...good, parents: [last] });
    expect(() => workflow.stage(good)).toThrow(/would have 9 stages; a workflow has at most 8/);
    await last.text();
    const ended = workflow.end();
    expect(() => workflow.stage(good)).toThrow(/has ended; open another/);
    await ended;
  });
});

describe('what goes wrong later', () => {
  it('is told to the stage and to those that wait for it, and not to others', async () => {
    const workflow = maestro.workflow();
    const long = workflow.stage({ ...good, prompt: 'a b '.repeat(500) });
    const after = workflow.stage({ ...good, parents: [long] });
    const last = workflow.stage({ ...good, parents: [after, workflow.stage(good)] });
    const thrown = workflow.stage({ ...good, prompt: () => Promise.reject(new Error('the tool broke')) });
    const masked = workflow.stage({ ...good, responseFormat: { type: 'json_schema', schema: { pattern: 'x' } } });
    const fine = workflow.stage(good);
    await expect(long.text()).rejects.toMatchObject({ code: 'INPUT_INVALID', message: /prompt has \d+ tokens/ });
    await expect(after.text()).rejects.toMatchObject({ code: 'INPUT_INVALID', message: /waits for writer/ });
    await expect(last.text()).rejects.toMatchObject({ message: /which has no answer/ });
    await expect(thrown.text()).rejects.toThrow('the tool broke');
    await expect(masked.text()).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect((await fine.text()).length).toBeGreaterThan(0);
    await workflow.end();
    const outcomes = maestro
      .report()
      .stages.slice(-7)
      .map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'failed')).toHaveLength(5);
  });

  it('is cancelled by signals, stage by stage or all of it', async () => {
    const all = new AbortController();
    const workflow = maestro.workflow({ signal: all.signal });
    const one = new AbortController();
    const cut = workflow.stage({ ...good, maxTokens: 400, signal: one.signal });
    for await (const chunk of cut) {
      expect(chunk.text).toBeTypeOf('string');
      one.abort(new Error('enough'));
      break;
    }
    await expect(cut.text()).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    expect((await workflow.stage(good).text()).length).toBeGreaterThan(0);
    const running = [400, 300].map((maxTokens) => workflow.stage({ ...good, maxTokens }));
    const waits = workflow.stage({ ...good, parents: running });
    for await (const chunk of running[0]!) {
      expect(chunk.text).toBeTypeOf('string');
      all.abort();
      break;
    }
    for (const stage of [...running, waits]) await expect(stage.text()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(() => workflow.stage(good)).toThrow(expect.objectContaining({ code: 'ABORTED' }));
    expect(() => maestro.workflow({ signal: all.signal })).toThrow(expect.objectContaining({ code: 'ABORTED' }));
    await workflow.end();
  });

  it('is a workflow that is given up: all of its stages are told why', async () => {
    const workflow = maestro.workflow({ id: 'late', deadlineSeconds: 1e-6 });
    const stages = [workflow.stage({ ...good, maxTokens: 400 }), workflow.stage({ ...good, maxTokens: 400 })];
    for (const stage of stages) {
      await expect(stage.text()).rejects.toMatchObject({
        ...{ code: 'WORKFLOW_SHED', workflow: 'late' },
        reason: expect.stringMatching(/deadline cannot be met/) as string,
      });
    }
    expect(() => workflow.stage(good)).toThrow(/late was given up/);
    await workflow.end();
  });
});

it('options are checked', async () => {
  const models = { stories: { source } };
  await expect(createMaestro({ nodes: [] })).rejects.toMatchObject({ code: 'OPTION_INVALID', where: 'nodes' });
  await expect(createMaestro({ nodes: [{ device, models: {} }] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  await expect(createMaestro({ nodes: [{ device, models }], policy: 'best' })).rejects.toThrow(/no policy "best"/);
  const resident = createMaestro({ nodes: [{ device, models, resident: ['other'] }] });
  await expect(resident).rejects.toThrow(/to have other at first/);
  const limits = createMaestro({ nodes: [{ device, models }], limits: { stages: 0 } });
  await expect(limits).rejects.toMatchObject({ where: 'limits.stages' });
  expect(() => maestro.engine('other')).toThrow(/no model "other"; there are stories/);
});

it('a policy that lies, or asks for what cannot be, does no harm', async () => {
  const expected = await alone([{ prompt: 'Once upon a time', maxTokens: 40 }]);
  let asked = 0;
  const policy = policyWith(policyNamed('fcfs'), ({ changes, nodes }) => {
    const ticket = changes.flatMap((change) => ('ticket' in change ? [change.ticket] : []))[0];
    if (!ticket || ++asked > 6) return undefined;
    return [
      { kind: 'load', node: 0, model: 0, park: [0] },
      { kind: 'park', node: 0, model: 0 },
      { kind: 'migrate', ticket, node: 0 },
      { kind: 'pause', ticket, keep: true },
      { kind: 'admit', ticket, node: nodes.length - 1, reserveTokens: 1e9 },
      { kind: 'admit', ticket, node: 0, reserveTokens: -5 },
    ];
  });
  const other = await createMaestro({ policy, nodes: [{ device, models: { stories: { source } } }] });
  const workflow = other.workflow();
  const stage = workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once upon a time', maxTokens: 40 });
  expect([await textOf(stage)]).toEqual(expected);
  await workflow.end();
  await other.close();
});
