/** The programs of examples/agents, unchanged, against a server under the scheduler. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runConversation } from '../../examples/agents/untagged.js';
import { runWriters } from '../../examples/agents/writers.js';
import type { Device } from '../../host/device/device.js';
import { createMaestro, type Maestro } from '../../host/maestro/index.js';
import { serve, type HttpServer } from '../../host/serve/index.js';
import { alone, source, wasm } from './fixture.js';

let devices: Device[];
let maestro: Maestro;
let server: HttpServer;
let baseURL: string;
beforeAll(async () => {
  devices = [await wasm(), await wasm()];
  maestro = await createMaestro({ nodes: devices.map((device) => ({ device, models: { stories260k: { source } } })) });
  server = await serve({ models: { stories260k: maestro.engine('stories260k') }, port: 0 });
  baseURL = `${server.url}/v1`;
});
afterAll(async () => {
  await server.close();
  for (const node of maestro.report().nodes)
    expect(node).toMatchObject({ running: 0, usedBytes: 0, committedBytes: 0 });
  await maestro.close();
  for (const device of devices) await device.close();
});

it('planner, coders in parallel, critic and writer are one workflow that says who they are', async () => {
  const task = 'Once upon a time';
  const runs = await Promise.all(['a', 'b', 'c'].map((workflow) => runWriters(task, { baseURL, workflow })));
  const [plan] = await alone([{ prompt: task, maxTokens: 30 }]);
  for (const run of runs) {
    expect(run.plan).toBe(plan);
    expect(run.drafts).toHaveLength(3);
    expect(run.story.length).toBeGreaterThan(20);
    expect(run).toEqual(runs[0]);
  }
  const { stages } = maestro.report();
  for (const workflow of ['a', 'b', 'c']) {
    const own = stages.filter((stage) => stage.workflow === workflow);
    expect(own.map(({ role }) => role)).toEqual(['planner', 'coder', 'coder', 'coder', 'critic', 'writer']);
    expect(own.every(({ outcome, application }) => outcome === 'ended' && application === 'writers')).toBe(true);
  }
  // What the first runs took has been learned by the time of the next one.
  await runWriters(task, { baseURL, workflow: 'd' });
  const last = maestro.report().stages.filter((stage) => stage.workflow === 'd');
  for (const { predictedTokens, tokens } of last) expect(Math.abs(predictedTokens - tokens)).toBeLessThan(tokens);
});

it('agents that say nothing are put together by what their calls begin with', async () => {
  const before = maestro.report().stages.length;
  const said = await runConversation('Once upon a time there was a little dog.', { baseURL, turns: 4 });
  expect(said).toHaveLength(8);
  const stages = maestro.report().stages.slice(before);
  expect(stages).toHaveLength(4);
  expect(new Set(stages.map(({ workflow }) => workflow)).size).toBe(1);
  expect(stages.slice(1).every(({ cachedTokens }) => cachedTokens > 0)).toBe(true);
});
