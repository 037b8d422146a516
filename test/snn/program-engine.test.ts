/** The program engine gives what the spiking engine gives, on every device, the RTL among them. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createDevicePool } from '../../host/device/pool.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import type { TuttiError } from '../../host/errors.js';
import { createFpgaDevice } from '../../host/fpga/create-fpga-device.js';
import { compileNetwork } from '../../host/snn/compile/compile.js';
import {
  createEngine,
  DEFAULT_MACHINE,
  defineNetwork,
  encodeLatency,
  loadNetwork,
  parseIdx,
  spikeTrain,
  type FixedNetwork,
  type RunRequest,
  type RunResult,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { createProgramEngine } from '../../host/snn/program-engine.js';
import { fixedNetwork, seeds, stimulus, trainsOf } from './arbitraries.js';

const steps = 9;
const packaged = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/mnist/${name}`));
const digits = (count: number) =>
  encodeLatency(parseIdx(packaged('t200-images.idx3-ubyte')).data.subarray(0, 784 * count), {
    neurons: 784,
    steps: 6,
    threshold: 64,
  });
const sparse = loadNetwork(packaged('sparse.safetensors')) as FixedNetwork;

const everything = (network: SpikingNetwork): NonNullable<RunRequest['record']> => {
  const neurons = network.populations.filter((p) => p.model !== 'input');
  const silent = neurons.filter((p) => p.model === 'li').map((p) => p.name);
  return {
    spikes: network.populations.map((p) => p.name).filter((name) => !silent.includes(name)),
    membrane: neurons.map(({ name }) => ({ population: name })),
    final: neurons.map(({ name }) => name),
  };
};

/** A train by what it says, not by where its lists lie. */
const listsOf = ({ steps: count, batch, index, ids }: RunResult['spikes'][string]): number[][] =>
  Array.from({ length: count * batch }, (_, i) => [...ids.subarray(index[2 * i], index[2 * i]! + index[2 * i + 1]!)]);

function expectSame(got: RunResult, wanted: RunResult): void {
  expect(got.final).toEqual(wanted.final);
  expect(got.spikeCounts).toEqual(wanted.spikeCounts);
  expect(got.membranes).toEqual(wanted.membranes);
  expect(got.synapticEvents).toBe(wanted.synapticEvents);
  for (const [name, train] of Object.entries(wanted.spikes)) expect(listsOf(got.spikes[name]!)).toEqual(listsOf(train));
}

const oracle = createOracleDevice();
afterAll(() => oracle.close());

describe.each([
  { name: 'oracle', runs: 7, make: async (): Promise<Device> => createOracleDevice() },
  { name: 'wasm, 1 thread', runs: 15, make: () => createWasmDevice({ threads: 1 }) },
  { name: 'wasm, 2 threads', runs: 7, make: () => createWasmDevice({ threads: 2 }) },
  { name: 'webgpu', runs: 4, make: () => createWebGpuDevice() },
])('on $name', ({ runs, make }) => {
  let device: Device;
  beforeAll(async () => {
    device = await make();
  });
  afterAll(() => device.close());

  it('runs random networks as the scatter engine does', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.constantFrom(1, 3), async (seed, batch) => {
        const network = defineNetwork(fixedNetwork(seed)) as FixedNetwork;
        const sizes = new Map(network.populations.map((p) => [p.name, p.size]));
        const inputs = trainsOf(stimulus(seed, fixedNetwork(seed), { steps, batch }), sizes);
        const request = { inputs, steps, record: everything(network) };
        const before = device.memory.inUse;
        let engine;
        try {
          engine = await createEngine(network, { device }, { batch, execution: 'machine' });
        } catch (error) {
          expect((error as TuttiError).code).toMatch(/NETWORK_INVALID|LIMIT_EXCEEDED/);
          // Another network instead: a run that compares nothing proves nothing.
          return fc.pre(false);
        }
        const scatter = await createEngine(network, { device: oracle }, { batch });
        expectSame(await engine.run(request), await scatter.run(request));
        await scatter.close();
        await engine.close();
        expect(device.memory.inUse).toBe(before);
      }),
      { numRuns: runs },
    );
  });

  it.each(['without limits', 'of a board'])(
    'classifies digits on a machine %s as the scatter engine does',
    async (kind) => {
      const compile = kind === 'of a board' ? { machine: DEFAULT_MACHINE, strategy: 'by-post' as const } : {};
      const engine = await createEngine(sparse, { device }, { batch: 20, execution: 'machine', compile });
      const scatter = await createEngine(sparse, { device: oracle }, { batch: 20 });
      const request = { inputs: { input: digits(20) }, record: { spikes: ['hidden'], final: ['output'] } };
      expectSame(await engine.run(request), await scatter.run(request));
      await engine.close();
      await scatter.close();
    },
  );

  it('keeps the faster way when it is to measure, with the same result', async () => {
    const engine = await createEngine(sparse, { device }, { batch: 20, execution: 'measure' });
    const scatter = await createEngine(sparse, { device: oracle }, { batch: 20 });
    const request = { inputs: { input: digits(20) }, record: { final: ['output'] } };
    const wanted = await scatter.run(request);
    for (let round = 0; round < 2; round++) expect((await engine.run(request)).final).toEqual(wanted.final);
    await engine.close();
    await scatter.close();
  });
});

describe('on the RTL twin', () => {
  it('classifies digits as the scatter engine does, and tells the cycles', async () => {
    const device = await createFpgaDevice();
    const engine = await createEngine(
      sparse,
      { device },
      { batch: 12, compile: { calibration: { inputs: { input: digits(40) } } } },
    );
    const scatter = await createEngine(sparse, { device: oracle }, { batch: 12 });
    const request = { inputs: { input: digits(12) }, record: everything(sparse) };
    const result = await engine.run(request);
    expectSame(result, await scatter.run(request));
    const { cycles } = (result as RunResult & { machine: { cycles: Uint32Array } }).machine;
    // 7,500 cycles are 75 us at 100 MHz.
    expect([...cycles].every((count) => count > 100 && count < 7500)).toBe(true);
    await engine.close();
    await scatter.close();
    await expect(createEngine(sparse, { device }, { execution: 'scatter' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      where: 'execution',
    });
    await device.close();
  });

  it('serves an engine on a pool that asks for the kind', async () => {
    const pool = createDevicePool({ members: [{ name: 'twin', kind: 'fpga', open: () => createFpgaDevice() }] });
    const engine = await createEngine(sparse, { pool, kind: 'fpga' }, { batch: 2 });
    const result = await engine.run({ inputs: { input: digits(2) }, record: { final: ['output'] } });
    expect(result.final['output']).toHaveLength(20);
    await engine.close();
    await pool.close();
  });
});

describe('a program engine', () => {
  const tiny = (): FixedNetwork =>
    defineNetwork({
      name: 'tiny',
      numeric: 'fixed',
      populations: [
        { name: 'in', model: 'input', size: 4 },
        { name: 'out', model: 'if', size: 2, threshold: 100 },
      ],
      projections: [{ from: 'in', to: 'out', kind: 'dense', weights: [90, 1, 90, 2, 90, 3, 90, 4] }],
    }) as FixedNetwork;
  const all = spikeTrain([[[0, 1, 2, 3]]], 4);

  it('says which sum left its width instead of giving a wrong answer', async () => {
    const machine = { ...compileNetwork(tiny()).machine, accumulatorBits: 8, spus: 1, ports: 1 };
    const engine = await createProgramEngine(compileNetwork(tiny(), { machine }), { device: oracle });
    await expect(engine.run({ inputs: { in: all } })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringMatching(/sample 0: a partial sum, merged sum or potential left its width; compile it/),
    });
    await engine.close();
  });

  it('refuses what a machine cannot do', async () => {
    const engine = await createProgramEngine(compileNetwork(tiny(), { record: [] }), { device: oracle }, { batch: 1 });
    const code = 'INPUT_INVALID';
    await expect(engine.run({ inputs: { in: all }, continue: true })).rejects.toMatchObject({ code });
    await expect(engine.run({ inputs: { in: all }, record: { spikes: ['out'] } })).rejects.toThrow(
      /"out", whose spikes the program does not put out; compile it with record: \["out"\]/,
    );
    const current = { kind: 'current' as const, frames: 1, batch: 1, neurons: 2, values: Int32Array.of(1, 1) };
    await expect(engine.run({ inputs: { in: all, out: current } })).rejects.toThrow(/a machine takes spikes/);
    await expect(engine.run({ inputs: {} })).rejects.toMatchObject({ code });
    const aborted = AbortSignal.abort();
    await expect(engine.run({ inputs: { in: all } }, { signal: aborted })).rejects.toMatchObject({ code: 'ABORTED' });
    await engine.close();
    await expect(engine.run({ inputs: { in: all } })).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await expect(createProgramEngine(compileNetwork(tiny()), { device: oracle }, { batch: 0 })).rejects.toThrow(
      /batch/,
    );
  });
});
