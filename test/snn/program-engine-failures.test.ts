/** Programs in hard times: little memory, much output, devices that are lost, runs that are aborted, ways of running that change. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { DeviceLostError } from '../../host/errors.js';
import { compileNetwork } from '../../host/snn/compile/compile.js';
import {
  createEngine,
  defineNetwork,
  encodeCurrent,
  spikeTrain,
  type DeviceSource,
  type FixedNetwork,
  type RunRequest,
  type RunResult,
} from '../../host/snn/index.js';
import { createProgramEngine } from '../../host/snn/program-engine.js';

const [neurons, steps, batch] = [60, 24, 12];
const network = defineNetwork({
  name: 'lively',
  numeric: 'fixed',
  populations: [
    { name: 'in', model: 'input', size: 8 },
    { name: 'hidden', model: 'lif', size: neurons, leakShift: 3, threshold: 40, bias: 15 },
    { name: 'out', model: 'li', size: 4, leakShift: 2 },
  ],
  projections: [
    {
      ...{ from: 'in', to: 'hidden', kind: 'dense' },
      weights: Array.from({ length: 8 * neurons }, (_, i) => ((i * 29) % 61) - 12),
    },
    {
      ...{ from: 'hidden', to: 'hidden', kind: 'dense', delay: 2 },
      weights: Array.from({ length: neurons * neurons }, (_, i) => ((i * 31) % 13) - 6),
    },
    {
      ...{ from: 'hidden', to: 'out', kind: 'dense' },
      weights: Array.from({ length: 4 * neurons }, (_, i) => (i % 9) - 4),
    },
  ],
}) as FixedNetwork;
const program = compileNetwork(network);
const input = spikeTrain(
  Array.from({ length: steps }, (_, step) =>
    Array.from({ length: batch }, (_s, b) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => (step * 5 + n * 3 + b * 7) % 4 === 0),
    ),
  ),
  8,
);
const request: RunRequest = {
  inputs: { in: input },
  record: { spikes: ['hidden'], final: ['hidden', 'out'], membrane: [{ population: 'out', neurons: [2, 0] }] },
};
const essence = ({ spikeCounts, spikes, membranes, final, synapticEvents }: RunResult) => ({
  spikeCounts,
  spikes,
  membranes,
  final,
  synapticEvents,
});

let wanted: ReturnType<typeof essence>;
let device: Device;
beforeAll(async () => {
  const oracle = createOracleDevice();
  const engine = await createEngine(network, { device: oracle }, { batch });
  wanted = essence(await engine.run(request));
  // More than a sample is given room for at first.
  expect(wanted.spikeCounts['hidden']!.reduce((a, b) => a + b, 0) / batch).toBeGreaterThan(300);
  await oracle.close();
  device = await createWasmDevice();
});
afterAll(() => device.close());

describe('room on the device', () => {
  it('is found for more output than a sample is given room for at first', async () => {
    const engine = await createProgramEngine(program, { device }, { batch });
    for (let round = 0; round < 2; round++) expect(essence(await engine.run(request))).toEqual(wanted);
    await engine.close();
    expect(device.memory.inUse).toBe(0);
  });

  it('is made by running fewer samples at a time, and progress tells of each', async () => {
    const engine = await createProgramEngine(program, { device }, { batch, bufferBytes: 1 });
    const done: number[] = [];
    const result = await engine.run(request, { onProgress: (p) => done.push(p.done, p.total) });
    expect(essence(result)).toEqual(wanted);
    expect(done).toEqual(Array.from({ length: batch }, (_, b) => [b + 1, batch]).flat());
    await engine.close();
  });

  it('is halved where the budget refuses it, down to one sample', async () => {
    const one = await createProgramEngine(program, { device }, { batch, bufferBytes: 1 });
    await one.run(request);
    const least = device.memory.inUse;
    await one.close();
    const refusals: number[] = [];
    for (const memoryBudget of [Math.floor(1.1 * least), 2 * least, 4 * least]) {
      const tight = createOracleDevice({ memoryBudget });
      const watched: Device = {
        ...tight,
        allocate(bytes, label) {
          try {
            return tight.allocate(bytes, label);
          } catch (error) {
            refusals.push(memoryBudget);
            throw error;
          }
        },
      };
      const engine = await createProgramEngine(program, { device: watched }, { batch });
      expect(essence(await engine.run(request))).toEqual(wanted);
      await engine.close();
      expect(tight.memory.inUse).toBe(0);
    }
    expect(refusals.length).toBeGreaterThan(0);
    const none = createOracleDevice({ memoryBudget: 2 ** 10 });
    await expect(createProgramEngine(program, { device: none })).rejects.toMatchObject({ code: 'MEMORY_REFUSED' });
    expect(none.memory.inUse).toBe(0);
  });
});

describe('an engine', () => {
  it('stops between samples when it is told to, and runs again', async () => {
    const engine = await createProgramEngine(program, { device }, { batch, bufferBytes: 1 });
    const stop = new AbortController();
    const run = engine.run(request, { signal: stop.signal, onProgress: ({ done }) => done === 3 && stop.abort() });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    expect(essence(await engine.run(request))).toEqual(wanted);
    await engine.close();
  });

  it('moves to another device when its own is lost, and begins again', async () => {
    const source = lending(device, (lease) => (lease < 2 ? { dieAtRun: 2 + lease } : {}));
    const engine = await createProgramEngine(program, { pool: source }, { batch, bufferBytes: 1 });
    expect(essence(await engine.run(request))).toEqual(wanted);
    expect([source.lent, source.returned]).toEqual([3, 2]);
    await engine.close();
    expect([source.lent, source.returned]).toEqual([3, 3]);
    expect(device.memory.inUse).toBe(0);
  });

  it('gives up after as many losses as it may have', async () => {
    const source = lending(device, () => ({ dieAtRun: 1 }));
    const engine = await createEngine(network, { pool: source }, { batch, maxReplays: 3, execution: 'machine' });
    await expect(engine.run(request)).rejects.toBeInstanceOf(DeviceLostError);
    expect(source.lent).toBe(3);
    await engine.close();
    expect(source.returned).toBe(3);
    expect(device.memory.inUse).toBe(0);
  });

  it('says that a device put out what no program can', async () => {
    const garbage: Device = {
      ...device,
      read: async (buffer, ...rest) => {
        const words = new Uint32Array(await device.read(buffer, ...rest));
        words[0] = 59;
        return words.buffer;
      },
    };
    const other = compileNetwork(network, { machine: { ...program.machine, neurons: 128 } });
    const engine = await createProgramEngine(other, { device: garbage }, { batch });
    await expect(engine.run({ inputs: { in: input }, record: {} })).resolves.toBeDefined();
    const broken: Device = { ...garbage, read: async (_, __, bytes) => new ArrayBuffer(bytes!) };
    const blank = await createProgramEngine(other, { device: broken }, { batch });
    await expect(blank.run(request)).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    await engine.close();
    await blank.close();
  });
});

describe('a way of running that was measured', () => {
  const only = (slow: 'scatter' | 'machine') =>
    lending(device, () => ({ slow: (kernel) => (kernel === 'runProgram') === (slow === 'machine') }));

  it.each(['scatter', 'machine'] as const)(
    'is not %s where that takes longer, with one device to try on',
    async (slow) => {
      const source = only(slow);
      const engine = await createEngine(network, { pool: source }, { batch, execution: 'measure' });
      for (let round = 0; round < 2; round++) expect(essence(await engine.run(request))).toEqual(wanted);
      expect(engine.execution).toBe(slow === 'scatter' ? 'machine' : 'scatter');
      await engine.close();
      expect(source.returned).toBe(source.lent);
      expect(source.most).toBe(1);
      expect(device.memory.inUse).toBe(0);
    },
  );

  it('goes back to what can do what the machine cannot', async () => {
    const engine = await createEngine(network, { pool: only('scatter') }, { batch, execution: 'measure' });
    await engine.run(request);
    expect(engine.execution).toBe('machine');
    await expect(engine.run({ ...request, continue: true })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      where: 'continue',
    });
    const current = encodeCurrent(new Int32Array(batch * 4).fill(3), { numeric: 'fixed', neurons: 4 });
    const driven = { ...request, inputs: { ...request.inputs, out: current } };
    await engine.run(driven);
    expect(engine.execution).toBe('scatter');
    await engine.run({ ...driven, continue: true });
    await engine.close();
  });

  it('is the only one left for networks that no machine runs', async () => {
    const { name, numeric, populations, projections } = network;
    const bursting = defineNetwork({
      ...{ name, numeric },
      populations: [
        { name: 'in', model: 'input', size: 8 },
        { name: 'hidden', model: 'if', size: neurons, threshold: 40, reset: { kind: 'subtract' }, maxSpikesPerStep: 3 },
      ],
      projections: [
        {
          from: 'in',
          to: 'hidden',
          kind: 'dense',
          weights: Array.from({ length: 8 * neurons }, (_, i) => (i * 29) % 61),
        },
      ],
    });
    expect([populations.length, projections.length]).toEqual([3, 3]);
    const engine = await createEngine(bursting, { device }, { batch, execution: 'measure' });
    const scatter = await createEngine(bursting, { device }, { batch });
    const asked = { inputs: { in: input }, record: { final: ['hidden'] } };
    expect(essence(await engine.run(asked))).toEqual(essence(await scatter.run(asked)));
    expect(engine.execution).toBe('scatter');
    await engine.close();
    await scatter.close();
    await expect(createEngine(bursting, { device }, { execution: 'machine' })).rejects.toMatchObject({
      code: 'NETWORK_INVALID',
    });
    expect(device.memory.inUse).toBe(0);
  });
});

interface Fate {
  /** The run, counted from 1, in which the device is lost. */
  readonly dieAtRun?: number;
  /** Which kernels take their time. */
  readonly slow?: (kernel: string) => boolean;
}

/** A pool of one device that is another one for whoever borrows it. */
function lending(
  inner: Device,
  fate: (lease: number) => Fate,
): DeviceSource & { lent: number; returned: number; most: number } {
  const source = {
    lent: 0,
    returned: 0,
    most: 0,
    async lease() {
      const { dieAtRun = Infinity, slow } = fate(source.lent++);
      source.most = Math.max(source.most, source.lent - source.returned);
      let runs = 0;
      let before: Promise<void> = Promise.resolve();
      let lose = (): void => {};
      const lent: Device = {
        ...inner,
        lost: new Promise((resolve) => (lose = () => resolve({ reason: 'lost', message: 'as told' }))),
        async run(calls, options) {
          if (++runs >= dieAtRun) {
            lose();
            throw new DeviceLostError(inner.id, 'as told');
          }
          const waits = slow?.(calls[0]!.kernel.name) ? 150 : 0;
          const running = new Promise((resolve) => setTimeout(resolve, waits)).then(() => inner.run(calls, options));
          before = running.catch(() => {});
          await running;
        },
        // In the order of issue.
        read: (...given) => before.then(() => inner.read(...given)),
      };
      let given = false;
      return {
        devices: [lent],
        release() {
          if (!given) source.returned++;
          given = true;
        },
      };
    },
  };
  return source;
}
