/** The packed package in Node: from a module, from a worker thread, as a command, with and without its optional peer. */
import { existsSync, readFileSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createConsumer, tinyNetwork, tinyResult, type Consumer } from './consumer.js';

const root = resolve(import.meta.dirname, '../..');
let consumer: Consumer;

beforeAll(async () => {
  consumer = await createConsumer();
  consumer.write('tiny.js', tinyNetwork);
}, 180_000);
afterAll(() => consumer?.remove());

const node = async (name: string, text: string): Promise<unknown> => {
  consumer.write(name, text);
  return JSON.parse(await consumer.run(process.execPath, name));
};

const onWasm = `
  import * as tutti from 'tutti';
  import * as snn from 'tutti/snn';
  import { tinyNetwork } from './tiny.js';
  const run = async (threads) => {
    const device = await tutti.createWasmDevice({ threads });
    try {
      return await tinyNetwork(snn, device);
    } finally {
      await device.close();
    }
  };
`;

describe('the installed package', () => {
  it('holds what it needs and nothing of its workshop', () => {
    for (const file of ['LICENSE', 'dist/cli/cli.js', 'dist/browser/snn.js', 'dist/types/snn/index.d.ts']) {
      expect(existsSync(join(consumer.installed, file)), file).toBe(true);
    }
    for (const file of ['host', 'assembly', 'test', 'build', 'bench']) {
      expect(existsSync(join(consumer.installed, file)), file).toBe(false);
    }
    expect(statSync(join(consumer.installed, 'dist/cli/cli.js')).mode & 0o111).not.toBe(0);
    expect(existsSync(join(consumer.folder, 'node_modules', 'webgpu'))).toBe(false);
  });

  it('runs a network from a module, on one thread and on two', async () => {
    const text = `${onWasm} console.log(JSON.stringify([await run(1), await run(2)]));`;
    expect(await node('module.mjs', text)).toEqual([
      { ...tinyResult, threads: 1, notices: [] },
      { ...tinyResult, threads: 2, notices: [] },
    ]);
  });

  it('runs a network from a worker thread', async () => {
    consumer.write(
      'worker.mjs',
      `${onWasm} import { parentPort } from 'node:worker_threads'; parentPort.postMessage([await run(1), await run(2)]);`,
    );
    const text = `
      import { Worker } from 'node:worker_threads';
      const worker = new Worker(new URL('./worker.mjs', import.meta.url));
      worker.on('message', (answer) => console.log(JSON.stringify(answer)));
      worker.on('error', (error) => { throw error; });
    `;
    expect(await node('main.mjs', text)).toEqual([
      { ...tinyResult, threads: 1, notices: [] },
      { ...tinyResult, threads: 2, notices: [] },
    ]);
  });

  it('shares its errors between entry points', async () => {
    const text = `
      import { TuttiError } from 'tutti';
      import { defineNetwork } from 'tutti/snn';
      try {
        defineNetwork({ numeric: 'fixed', populations: [] });
      } catch (error) {
        console.log(JSON.stringify([error instanceof TuttiError, error.code, error.where]));
      }
    `;
    expect(await node('errors.mjs', text)).toEqual([true, 'NETWORK_INVALID', 'populations']);
  });

  it('tells a story', async () => {
    const text = `
      import { createWasmDevice } from 'tutti';
      import { fileSource, openLanguageModel } from 'tutti/llm';
      import { fileURLToPath } from 'node:url';
      const file = new URL('models/stories260k/stories260k-f32.gguf', import.meta.resolve('tutti/package.json'));
      const model = await openLanguageModel(await fileSource(fileURLToPath(file)), { device: await createWasmDevice() });
      let story = '';
      for await (const { text } of model.generate({ prompt: 'Once upon a time', maxTokens: 8 })) story += text;
      console.log(JSON.stringify(story));
      await model.close();
    `;
    expect(await node('story.mjs', text)).toBe(', there was a little girl');
  });

  it('runs a workflow', async () => {
    const text = `
      import { createWasmDevice } from 'tutti';
      import { fileSource } from 'tutti/llm';
      import { createMaestro } from 'tutti/maestro';
      import { fileURLToPath } from 'node:url';
      const file = new URL('models/stories260k/stories260k-f32.gguf', import.meta.resolve('tutti/package.json'));
      const device = await createWasmDevice({ threads: 1 });
      const models = { stories: { source: await fileSource(fileURLToPath(file)) } };
      const maestro = await createMaestro({ nodes: [{ device, models }] });
      const workflow = maestro.workflow();
      const first = workflow.stage({ role: 'writer', model: 'stories', prompt: 'Once upon a time', maxTokens: 8 });
      const next = workflow.stage({
        ...{ role: 'critic', model: 'stories', parents: [first], maxTokens: 4 },
        prompt: (answers) => 'Once upon a time' + answers.get('writer'),
      });
      const texts = [await first.text(), await next.text()];
      await workflow.end();
      console.log(JSON.stringify([texts[0], texts[1].length > 0, maestro.report().workflows.ended]));
      await maestro.close();
      await device.close();
    `;
    expect(await node('workflow.mjs', text)).toEqual([', there was a little girl', true, 1]);
  });

  it('compares schedulers', async () => {
    const text = `
      import { agentScenario, comparePolicies } from 'tutti/simulate';
      const { workload, nodes } = agentScenario({ workflows: 20, nodes: 2 });
      const options = { workload, nodes, training: workload(1000), contenders: ['fcfs', 'maestro'], loads: [1], seeds: [1] };
      const { cells } = await comparePolicies(options);
      console.log(JSON.stringify(cells.map(({ name, results }) => [name, results[0].unfinished])));
    `;
    expect(await node('simulate.mjs', text)).toEqual([
      ['fcfs', 0],
      ['maestro', 0],
    ]);
  });

  it('serves a story', async () => {
    const text = `
      import { createWasmDevice } from 'tutti';
      import { fileSource, openLanguageModel } from 'tutti/llm';
      import { serve } from 'tutti/serve';
      import { fileURLToPath } from 'node:url';
      const file = new URL('models/stories260k/stories260k-f32.gguf', import.meta.resolve('tutti/package.json'));
      const device = await createWasmDevice({ threads: 1 });
      const model = await openLanguageModel(await fileSource(fileURLToPath(file)), { device });
      const server = await serve({ models: { stories: model }, port: 0 });
      const response = await fetch(server.url + '/v1/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'stories', prompt: 'Once upon a time', max_tokens: 8, temperature: 0 }),
      });
      console.log(JSON.stringify((await response.json()).choices[0].text));
      await server.close();
      await model.close();
      await device.close();
    `;
    expect(await node('serve.mjs', text)).toBe(', there was a little girl');
  });

  it('leaves globals alone when it is imported, and nothing running', async () => {
    const text = `
      const before = Object.getOwnPropertyNames(globalThis);
      await import('tutti');
      await import('tutti/snn');
      await import('tutti/llm');
      await import('tutti/dit');
      await import('tutti/maestro');
      await import('tutti/simulate');
      await import('tutti/serve');
      // zod, which tutti/serve uses, has globals of its own.
      const known = (name) => before.includes(name) || name.startsWith('__zod');
      const added = Object.getOwnPropertyNames(globalThis).filter((name) => !known(name));
      console.log(JSON.stringify({ added, running: process.getActiveResourcesInfo().filter((name) => /Worker|Timeout|Immediate|Port/.test(name)) }));
    `;
    expect(await node('import.mjs', text)).toEqual({ added: [], running: [] });
  });

  it('exports its Wasm as a file', async () => {
    const text = `
      import { readFileSync } from 'node:fs';
      import { fileURLToPath } from 'node:url';
      const module = new WebAssembly.Module(readFileSync(fileURLToPath(import.meta.resolve('tutti/snn.wasm'))));
      console.log(JSON.stringify(WebAssembly.Module.exports(module).map(({ name }) => name)));
    `;
    expect(await node('wasm.mjs', text)).toEqual(
      expect.arrayContaining(['runCommands', 'scatterRowsI8', 'neuronStepI32']),
    );
  });

  it('says what to do where the optional peer webgpu is missing', async () => {
    const text = `
      import { createWebGpuDevice } from 'tutti';
      const error = await createWebGpuDevice().then(() => undefined, (error) => error);
      console.log(JSON.stringify([error?.code, error?.message]));
    `;
    const [code, message] = (await node('without-peer.mjs', text)) as string[];
    expect(code).toBe('DEVICE_UNAVAILABLE');
    expect(message).toContain('npm install webgpu');
  });

  it('computes on WebGPU with the optional peer', async () => {
    const peer = join(consumer.folder, 'node_modules', 'webgpu');
    symlinkSync(join(root, 'node_modules', 'webgpu'), peer);
    try {
      const text = `
        import { createWebGpuDevice } from 'tutti';
        import * as snn from 'tutti/snn';
        import { tinyNetwork } from './tiny.js';
        const device = await createWebGpuDevice();
        const { counts, potentials } = await tinyNetwork(snn, device);
        console.log(JSON.stringify({ counts, potentials }));
        await device.close();
      `;
      expect(await node('with-peer.mjs', text)).toEqual(tinyResult);
    } finally {
      unlinkSync(peer);
    }
  });
});

describe('the tutti command', () => {
  it('lists devices as data', async () => {
    const { devices } = JSON.parse(await consumer.run('npx', '--no', '--', 'tutti', 'devices', '--json')) as {
      devices: Record<string, unknown>[];
    };
    const found = Object.fromEntries(devices.map((device) => [device['kind'], device]));
    expect(found['wasm']).toMatchObject({ available: true });
    expect(found['webgpu']).toMatchObject({ available: false, why: expect.stringContaining('npm install webgpu') });
  });

  it('knows its version', async () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect((await consumer.run('npx', '--no', '--', 'tutti', '--version')).trim()).toBe(version);
  });

  it('fails on a command that it does not know', async () => {
    await expect(consumer.run('npx', '--no', '--', 'tutti', 'sing')).rejects.toThrow(/sing/);
  });
});
