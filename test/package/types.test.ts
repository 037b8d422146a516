/** The packed package's declarations in a strict TypeScript project that has neither Node's nor WebGPU's types. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createConsumer, type Consumer } from './consumer.js';

const tsc = resolve(import.meta.dirname, '../../node_modules/typescript/bin/tsc');
let consumer: Consumer;

const program = `
import { createRuntime, createWasmDevice, describeDevices, TuttiError, type Device, type DevicePool } from 'tutti';
import { createEngine, defineNetwork, encodeLatency, type RunResult, type SpikingNetwork } from 'tutti/snn';
import { bytesSource } from 'tutti/llm';
import { createMaestro, type MaestroReport, type ParentAnswers, type StageHandle } from 'tutti/maestro';

export const network: SpikingNetwork = defineNetwork({
  numeric: 'fixed',
  populations: [
    { name: 'in', model: 'input', size: 3 },
    { name: 'out', model: 'if', size: 1, threshold: 2 },
  ],
  projections: [{ from: 'in', to: 'out', kind: 'dense', weights: Int8Array.of(1, 1, 1) }],
});

export async function classify(device: Device, pool: DevicePool): Promise<RunResult> {
  const engine = await createEngine(network, { device }, { batch: 2, signal: AbortSignal.timeout(1000) });
  const elsewhere = await createEngine(network, { pool });
  await elsewhere.close();
  const input = encodeLatency([1, 0.6, 0.3], { steps: 4 });
  try {
    return await engine.run({ inputs: { in: input }, record: { final: ['out'] } });
  } catch (error) {
    if (error instanceof TuttiError && error.code === 'ABORTED') throw error;
    throw new Error('failed', { cause: error });
  }
}

export async function main(): Promise<void> {
  const runtime = await createRuntime({ devices: 'auto' });
  const device = await createWasmDevice({ threads: 'auto' });
  const result = await classify(device, runtime.pool);
  const counts: Uint32Array | undefined = result.spikeCounts['out'];
  for (const { kind, available } of await describeDevices()) console.log(kind, available, counts);
  await device[Symbol.asyncDispose]();
  await runtime.close();
}

export async function agents(device: Device, model: Uint8Array): Promise<MaestroReport> {
  const models = { small: { source: bytesSource(model) } };
  const maestro = await createMaestro({ nodes: [{ device, models }], policy: 'maestro' });
  const workflow = maestro.workflow({ application: 'writing', deadlineSeconds: 60 });
  const plan: StageHandle = workflow.stage({ role: 'planner', model: 'small', prompt: 'Plan', maxTokens: 20 });
  workflow.stage({ role: 'coder', model: 'small', parents: [plan], prompt: (answers: ParentAnswers) => answers.get('planner') ?? '' });
  // @ts-expect-error a class that does not exist
  workflow.stage({ role: 'critic', model: 'small', prompt: '', class: 'urgent' });
  await workflow.end();
  return maestro.report();
}

// @ts-expect-error a model that does not exist
defineNetwork({ numeric: 'fixed', populations: [{ name: 'in', model: 'inptu', size: 3 }] });
// @ts-expect-error an option that does not exist
void createWasmDevice({ thread: 2 });
`;

beforeAll(async () => {
  consumer = await createConsumer();
}, 180_000);
afterAll(() => consumer?.remove());

it.each([
  { moduleResolution: 'bundler', module: 'ESNext' },
  { moduleResolution: 'nodenext', module: 'NodeNext' },
])(
  'compiles with moduleResolution $moduleResolution',
  async ({ moduleResolution, module }) => {
    mkdirSync(join(consumer.folder, moduleResolution), { recursive: true });
    consumer.write(join(moduleResolution, 'program.ts'), program);
    const compilerOptions = {
      ...{ target: 'ES2022', lib: ['ES2022', 'DOM'], types: [], module, moduleResolution },
      ...{
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false,
        noEmit: true,
      },
    };
    consumer.write(
      join(moduleResolution, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['program.ts'] }),
    );
    expect(await consumer.run(process.execPath, tsc, '-p', moduleResolution)).toBe('');
  },
  120_000,
);
