import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createWasmDevice } from '../../device/wasm.js';
import { bytesSource } from '../../llm/byte-source.js';
import { openLanguageModel } from '../../llm/engine/engine.js';
import { createMaestro } from './maestro.js';

const source = bytesSource(new Uint8Array(readFileSync('models/stories260k/stories260k-f32.gguf')));

it('runs a workflow on one node, each stage with the text that the engine alone gives', async () => {
  const device = await createWasmDevice({ threads: 1 });
  const alone = await openLanguageModel(source, { device });
  const textOf = async (prompt: string, maxTokens: number): Promise<string> => {
    let text = '';
    for await (const chunk of alone.generate({ prompt, maxTokens })) text += chunk.text;
    return text;
  };
  const plan = await textOf('Once upon a time', 30);
  const codes = await Promise.all(['The dog', 'The cat', 'A boy'].map((start) => textOf(`${start} ${plan}`, 40)));
  const end = await textOf(codes.join(' ').slice(0, 300), 20);
  await alone.close();

  const maestro = await createMaestro({ nodes: [{ device, models: { stories: { source } } }] });
  const workflow = maestro.workflow({ application: 'story', deadlineSeconds: 600 });
  const planner = workflow.stage({ role: 'planner', model: 'stories', prompt: 'Once upon a time', maxTokens: 30 });
  const coders = ['The dog', 'The cat', 'A boy'].map((start) =>
    workflow.stage({
      ...{ role: 'coder', model: 'stories', parents: [planner], maxTokens: 40 },
      prompt: (answers) => `${start} ${answers.get('planner')}`,
    }),
  );
  const critic = workflow.stage({
    ...{ role: 'critic', model: 'stories', parents: coders, maxTokens: 20 },
    prompt: (answers) => [...answers.values()].join(' ').slice(0, 300),
  });
  expect(await planner.text()).toBe(plan);
  expect(await Promise.all(coders.map((coder) => coder.text()))).toEqual(codes);
  expect(await critic.text()).toBe(end);
  await workflow.end();
  const report = maestro.report();
  expect(report.stages.map(({ stage, outcome, tokens }) => [stage, outcome, tokens])).toEqual([
    ['planner', 'ended', 30],
    ['coder', 'ended', 40],
    ['coder-2', 'ended', 40],
    ['coder-3', 'ended', 40],
    ['critic', 'ended', 20],
  ]);
  expect(report).toMatchObject({
    workflows: { open: 0, ended: 1, shed: 0 },
    nodes: [{ usedBytes: 0, committedBytes: 0 }],
  });
  await maestro.close();
  expect(device.memory.inUse).toBe(0);
  await device.close();
});
