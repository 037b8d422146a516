/** Whole workflows on real engines: one node and several, too little memory, nodes that die, models that take turns. */
import { expect, it, describe } from 'vitest';
import { createMaestro, type Maestro, type MaestroNode } from '../../host/maestro/index.js';
import { POLICY_NAMES, policyNamed } from '../../host/maestro/policies/catalogue.js';
import { seededRandom } from '../../host/random.js';
import type { Action, Ticket } from '../../host/maestro/decision.js';
import { alone, bytesWith, OPENINGS, policyWith, source, textOf, wasm } from './fixture.js';

const stories = { stories: { source } };
const asked = (length = 60) => OPENINGS.map((prompt, k) => ({ prompt, maxTokens: length + 5 * (k % 4) }));

/** Every opening as a workflow of two stages: what it answers, and a second part. */
async function tell(maestro: Maestro, requests = asked(), model = 'stories'): Promise<string[]> {
  return Promise.all(
    requests.map(async (request) => {
      const workflow = maestro.workflow({ application: 'tales' });
      const first = workflow.stage({ role: 'writer', model, ...request });
      const second = workflow.stage({
        ...{ role: 'finisher', model, parents: [first], maxTokens: 20 },
        prompt: (answers) => `${request.prompt}${answers.get('writer')}`,
      });
      const texts = [await first.text(), await second.text()];
      await workflow.end();
      return texts.join('|');
    }),
  );
}

async function tellAlone(requests = asked()): Promise<string[]> {
  const first = await alone(requests);
  const second = await alone(requests.map(({ prompt }, k) => ({ prompt: prompt + first[k], maxTokens: 20 })));
  return first.map((text, k) => `${text}|${second[k]}`);
}

function expectIdle(maestro: Maestro): void {
  for (const node of maestro.report().nodes) {
    expect(node).toMatchObject({ running: 0, usedBytes: 0, committedBytes: 0 });
  }
}

describe('every policy', () => {
  it('runs workflows on two nodes, each stage with the text of the engine alone', async () => {
    const expected = await tellAlone();
    for (const policy of POLICY_NAMES) {
      const devices = [await wasm(), await wasm()];
      const maestro = await createMaestro({ policy, nodes: devices.map((device) => ({ device, models: stories })) });
      expect(await tell(maestro), policy).toEqual(expected);
      const { nodes, workflows, stages } = maestro.report();
      expect(workflows).toEqual({ open: 0, ended: OPENINGS.length, shed: 0 });
      expect(stages).toHaveLength(2 * OPENINGS.length);
      for (const node of nodes) expect(node.admitted, policy).toBeGreaterThan(0);
      expectIdle(maestro);
      await maestro.close();
      for (const device of devices) {
        expect(device.memory.inUse).toBe(0);
        await device.close();
      }
    }
  });
});

describe('too little memory', () => {
  it.each(['maestro', 'fcfs', 'fcfs-max-length', 'plas'])('%s loses no stage and changes no text', async (policy) => {
    const requests = asked(120);
    const expected = await tellAlone(requests);
    const device = await wasm(await bytesWith(48));
    const maestro = await createMaestro({ policy, nodes: [{ device, models: { stories: { source, blocks: 8 } } }] });
    expect(await tell(maestro, requests)).toEqual(expected);
    expectIdle(maestro);
    await maestro.close();
    expect(device.memory.inUse).toBe(0);
    await device.close();
  });

  it('the policy says who makes room', async () => {
    const requests = asked(150).slice(0, 6);
    const expected = await tellAlone(requests);
    const device = await wasm(await bytesWith(40));
    // Reserves next to nothing, so that everything has to grow.
    const policy = policyNamed('maestro', {
      provisioning: {
        name: 'careless',
        reserve: (ticket) => ticket.generated + 1,
        headRoom: () => 0,
        victim: (_node, _running, worst) => worst && { ticket: worst, keep: true },
      },
    });
    const maestro = await createMaestro({ policy, nodes: [{ device, models: { stories: { source, blocks: 8 } } }] });
    expect(await tell(maestro, requests)).toEqual(expected);
    const [node] = maestro.report().nodes;
    expect(node!.overflows).toBeGreaterThan(0);
    expect(node!.kept).toBeGreaterThan(0);
    expect(maestro.report().stages.some(({ interruptions }) => interruptions > 0)).toBe(true);
    expectIdle(maestro);
    await maestro.close();
    await device.close();
  });
});

describe('pauses and moves', () => {
  it.each([
    ['kept, on the same node', true, 0],
    ['dropped, on the same node', false, 0],
    ['kept, on the other node', true, 1],
    ['dropped, on the other node', false, 1],
  ])('a stage that is paused goes on: %s', async (_name, keep, to) => {
    const requests = [
      { prompt: 'Once upon a time', maxTokens: 80, temperature: 0.8, seed: 4 },
      { prompt: 'The dog', maxTokens: 80 },
    ];
    const expected = await alone(requests);
    const devices = [await wasm(), await wasm()];
    const paused = new Set<Ticket>();
    const started = new Set<Ticket>();
    const policy = policyWith(policyNamed('fcfs'), ({ changes }) => {
      const actions: Action[] = [];
      for (const change of changes) {
        if (change.kind === 'started') started.add(change.ticket);
        if (change.kind !== 'queued') continue;
        const { ticket } = change;
        if (paused.has(ticket) && ticket.kept && to === 1) actions.push({ kind: 'migrate', ticket, node: 1 });
        actions.push({ kind: 'admit', ticket, node: paused.has(ticket) ? to : 0, reserveTokens: 60 });
      }
      for (const ticket of started) {
        if (paused.has(ticket) || ticket.generated === 0) continue;
        paused.add(ticket);
        actions.push({ kind: 'pause', ticket, keep });
      }
      return actions;
    });
    const maestro = await createMaestro({ policy, nodes: devices.map((device) => ({ device, models: stories })) });
    const workflow = maestro.workflow();
    const stages = requests.map((request) => workflow.stage({ role: 'writer', model: 'stories', ...request }));
    expect(await Promise.all(stages.map((stage) => textOf(stage)))).toEqual(expected);
    await workflow.end();
    const { nodes, stages: reports } = maestro.report();
    expect(paused.size).toBe(2);
    expect(nodes[0]).toMatchObject({ pauses: 2, kept: keep ? 2 : 0 });
    expect(nodes[1]!.moved).toBe(keep && to === 1 ? 2 : 0);
    expect(reports.map(({ node, interruptions }) => [node, interruptions])).toEqual([
      [`node-${to}`, 1],
      [`node-${to}`, 1],
    ]);
    expectIdle(maestro);
    await maestro.close();
    for (const device of devices) await device.close();
  });
});

it.each([1, 2, 3])('a policy that pauses, keeps, drops and moves at random changes no text (seed %i)', async (seed) => {
  const requests = asked(90).map((request, k) => (k % 3 ? request : { ...request, temperature: 1, seed: k }));
  const expected = await tellAlone(requests);
  const random = seededRandom(seed);
  const running = new Set<Ticket>();
  let left = 80;
  const policy = policyWith(policyNamed('fcfs-round-robin'), ({ changes }) => {
    for (const change of changes) {
      if (change.kind === 'started') running.add(change.ticket);
      else if ('ticket' in change) running.delete(change.ticket);
    }
    const [ticket] = [...running].filter(() => random.uniform() < 0.3);
    if (!ticket || ticket.generated === 0 || left === 0) return undefined;
    left--;
    return [{ kind: 'pause', ticket, keep: random.uniform() < 0.6 }];
  });
  const devices = [await wasm(await bytesWith(60)), await wasm()];
  const maestro = await createMaestro({ policy, nodes: devices.map((device) => ({ device, models: stories })) });
  expect(await tell(maestro, requests)).toEqual(expected);
  const { nodes } = maestro.report();
  expect(nodes.reduce((sum, { pauses }) => sum + pauses, 0)).toBeGreaterThan(10);
  expectIdle(maestro);
  await maestro.close();
  for (const device of devices) {
    expect(device.memory.inUse).toBe(0);
    await device.close();
  }
});

describe('a node that dies in the midst of its stages', () => {
  it.each([
    ['another node takes over', 2, false],
    ['it is opened again', 1, true],
  ])('costs time and nothing else: %s', async (_name, count, reopens) => {
    const requests = asked(100).map((request, k) => (k % 2 ? { ...request, temperature: 0.9, seed: k } : request));
    const expected = await tellAlone(requests);
    let first = await wasm();
    let opened = 0;
    const open = async () => (opened++ === 0 ? first : (first = await wasm()));
    const nodes: MaestroNode[] = [{ device: reopens ? open : first, models: stories }];
    const second = await wasm();
    if (count > 1) nodes.push({ device: second, models: stories });
    const maestro = await createMaestro({ nodes });
    const reader = maestro.workflow();
    const watched = reader.stage({ role: 'writer', model: 'stories', ...requests[0]! });
    const all = tell(maestro, requests);
    let text = '';
    let chunks = 0;
    for await (const chunk of watched) {
      text += chunk.text;
      if (++chunks === 10) await first.close();
    }
    expect(text).toBe(expected[0]!.split('|')[0]);
    expect(await all).toEqual(expected);
    expect(maestro.report().nodes[0]).toMatchObject({ losses: 1, alive: reopens });
    await reader.end();
    expect(maestro.report().workflows).toMatchObject({ open: 0, shed: 0 });
    expectIdle(maestro);
    await maestro.close();
    await second.close();
    await first.close();
  });

  it('says so when no node is left', async () => {
    const device = await wasm();
    const maestro = await createMaestro({ nodes: [{ device, models: stories }] });
    const workflow = maestro.workflow();
    const stage = workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once', maxTokens: 100 });
    const after = workflow.stage({ role: 'critic', model: 'stories', prompt: () => 'x', parents: [stage] });
    for await (const chunk of stage) {
      expect(chunk.text).toBeTypeOf('string');
      break;
    }
    await device.close();
    await expect(stage.text()).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: /no node is left that can run the model stories/,
    });
    await expect(after.text()).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE', message: /waits for writer/ });
    await workflow.end();
    await maestro.close();
  });
});

it('two models take turns under a budget for one', async () => {
  const requests = asked(40).slice(0, 6);
  const expected = await tellAlone(requests);
  const device = await wasm(Math.ceil(1.5 * (await bytesWith(40))));
  const models = { one: { source, blocks: 32 }, two: { source, blocks: 32 } };
  const maestro = await createMaestro({ nodes: [{ device, models, resident: ['one'] }] });
  const [ones, twos] = await Promise.all([tell(maestro, requests, 'one'), tell(maestro, requests, 'two')]);
  expect(ones).toEqual(expected);
  expect(twos).toEqual(expected);
  const again = await tell(maestro, requests, 'one');
  expect(again).toEqual(expected);
  const [node] = maestro.report().nodes;
  expect(node!.loads).toBeGreaterThan(2);
  expect(node!.parks).toBeGreaterThan(1);
  expectIdle(maestro);
  await maestro.close();
  expect(device.memory.inUse).toBe(0);
  await device.close();
});

it('what the report says is set aside is what the pool has set aside', async () => {
  const device = await wasm();
  const lengths = [20, 50, 90, 130];
  const policy = policyWith(policyNamed('fcfs'), ({ changes }) => {
    const queued = changes.flatMap((change) => (change.kind === 'queued' ? [change.ticket] : []));
    return queued.map((ticket) => ({ kind: 'admit', ticket, node: 0, reserveTokens: ticket.stage.maxTokens }) as const);
  });
  const maestro = await createMaestro({ policy, nodes: [{ device, models: stories }] });
  const workflow = maestro.workflow();
  const stages = lengths.map((maxTokens, k) =>
    workflow.stage({ role: 'writer', model: 'stories', prompt: OPENINGS[k]!, maxTokens }),
  );
  // When each has begun, memory for prompt and answer of all is set aside, in whole blocks.
  await Promise.all(stages.map((stage) => stage[Symbol.asyncIterator]().next()));
  const { nodes, stages: running } = maestro.report();
  const due = running
    .filter(({ outcome }) => outcome === 'running')
    .map(({ promptTokens, reservedTokens }) => Math.floor((promptTokens + reservedTokens) / 16) * 16 * 1280);
  expect(due.length).toBeGreaterThan(2);
  expect(nodes[0]!.committedBytes).toBe(due.reduce((sum, bytes) => sum + bytes, 0));
  expect(nodes[0]!.usedBytes).toBeLessThan(nodes[0]!.committedBytes);
  await Promise.all(stages.map((stage) => stage.text()));
  await workflow.end();
  const { reservation } = maestro.report();
  expect(reservation.used).toBeLessThanOrEqual(reservation.committed);
  expect(reservation.committed).toBeLessThanOrEqual(reservation.maxLength);
  expectIdle(maestro);
  await maestro.close();
  await device.close();
});
