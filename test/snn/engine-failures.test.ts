/** What happens when things go wrong: refused memory, lost devices, cancelled runs, bad requests. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createDevicePool } from '../../host/device/pool.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice, simulateLoss } from '../../host/device/webgpu.js';
import { DeviceLostError, TuttiError } from '../../host/errors.js';
import {
  createEngine,
  defineNetwork,
  encodeCurrent,
  silence,
  spikeTrain,
  type DeviceSource,
  type RunRequest,
  type RunResult,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { fixedNetwork, stimulus, trainsOf } from './arbitraries.js';

const codeOf = async (act: Promise<unknown> | (() => Promise<unknown>)): Promise<string> => {
  try {
    await (typeof act === 'function' ? act() : act);
  } catch (error) {
    if (error instanceof TuttiError) return error.code;
    throw error;
  }
  return 'fulfilled';
};

// Delays, a loop, a read-out and refractoriness: all the state that there is.
const network = defineNetwork({
  numeric: 'fixed',
  populations: [
    { name: 'in', model: 'input', size: 6 },
    {
      name: 'hidden',
      model: 'lif',
      size: 10,
      leakShift: 2,
      threshold: 30,
      refractorySteps: 1,
      reset: { kind: 'subtract' },
    },
    { name: 'out', model: 'li', size: 3, leakShift: 3 },
  ],
  projections: [
    {
      from: 'in',
      to: 'hidden',
      kind: 'dense',
      weights: Array.from({ length: 60 }, (_, i) => ((i * 37) % 50) - 10),
      delay: [0, 1, 2, 3, 0, 1],
    },
    {
      from: 'hidden',
      to: 'hidden',
      kind: 'dense',
      weights: Array.from({ length: 100 }, (_, i) => ((i * 53) % 21) - 10),
      delay: 2,
    },
    { from: 'hidden', to: 'out', kind: 'dense', weights: Array.from({ length: 30 }, (_, i) => (i * 7) % 13), delay: 1 },
  ],
});
const train = (from: number, to: number) =>
  spikeTrain(
    Array.from({ length: to - from }, (_, i) =>
      [0, 1].map((b) => [0, 1, 2, 3, 4, 5].filter((n) => ((from + i) * 7 + n * 3 + b) % 4 === 0)),
    ),
    6,
  );
const record = { spikes: ['hidden'], final: ['hidden', 'out'], membrane: [{ population: 'out' }] };
const parts: RunRequest[] = [
  { inputs: { in: train(0, 7) }, record },
  { inputs: { in: train(7, 11) }, record, continue: true },
  { inputs: { in: train(11, 20) }, record, continue: true },
];
const essence = ({ spikeCounts, spikes, membranes, final, synapticEvents }: RunResult) => ({
  spikeCounts,
  spikes,
  membranes,
  final,
  synapticEvents,
});

async function expectedParts(): Promise<ReturnType<typeof essence>[]> {
  const device = createOracleDevice();
  const engine = await createEngine(network, { device }, { batch: 2 });
  const results = [];
  for (const part of parts) results.push(essence(await engine.run(part)));
  await device.close();
  return results;
}

describe('requests', () => {
  let device: Device;
  beforeAll(() => {
    device = createOracleDevice();
  });
  afterAll(() => device.close());

  const inputs = { in: train(0, 4) };
  it.each<[string, RunRequest, string]>([
    ['no input', { steps: 3 }, 'inputs.in'],
    ['an input for nobody', { inputs: { ...inputs, eyes: train(0, 4) } }, 'inputs.eyes'],
    ['spikes for a neuron population', { inputs: { ...inputs, out: train(0, 4) } }, 'inputs.out'],
    [
      'a current for an input',
      { inputs: { in: encodeCurrent([1, 2, 3, 4, 5, 6], { numeric: 'fixed' }) } },
      'inputs.in',
    ],
    [
      'a float current in a fixed-point network',
      { inputs: { ...inputs, out: encodeCurrent([1, 2, 3, 4, 5, 6], { neurons: 3 }) } },
      'inputs.out.values',
    ],
    [
      'an image of the wrong size',
      { inputs: { in: silence({ steps: 4, batch: 2, neurons: 5 }) } },
      'inputs.in.neurons',
    ],
    ['too many samples', { inputs: { in: silence({ steps: 4, batch: 3, neurons: 6 }) } }, 'batch'],
    ['samples that do not agree', { inputs, batch: 1 }, 'inputs.in.batch'],
    ['half a step', { inputs, steps: 4.5 }, 'steps'],
    ['a recording of nobody', { inputs, record: { spikes: ['ghost'] } }, 'record.spikes[0]'],
    ['spikes of a read-out', { inputs, record: { spikes: ['out'] } }, 'record.spikes[0]'],
    ['the membrane of an input', { inputs, record: { final: ['in'] } }, 'record.final[0]'],
    [
      'a neuron that does not exist',
      { inputs, record: { membrane: [{ population: 'out', neurons: [0, 3] }] } },
      'record.membrane[0].neurons[1]',
    ],
    ['more spikes per neuron and step than declared', { inputs: { in: spikeTrain([[[1, 1], []]], 6) } }, 'inputs.in'],
    ['to continue nothing', { inputs, continue: true }, 'continue'],
  ])('refuse %s', async (_what, request, where) => {
    const engine = await createEngine(network, { device }, { batch: 2 });
    const inUse = device.memory.inUse;
    const error = await engine.run(request).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TuttiError);
    expect(error).toMatchObject({ code: 'INPUT_INVALID', where });
    expect(device.memory.inUse).toBe(inUse);
    await engine.close();
    expect(device.memory.inUse).toBe(0);
  });

  it('refuse a run, or a current, that could overflow', async () => {
    const adder = defineNetwork({ numeric: 'fixed', populations: [{ name: 'sum', model: 'li', size: 1 }] });
    const engine = await createEngine(adder, { device });
    const current = (value: number) => ({ sum: encodeCurrent([value], { numeric: 'fixed' }) });
    const result = await engine.run({ inputs: current(2 ** 30), steps: 1, record: { final: ['sum'] } });
    expect(result.final.sum![0]).toBe(2 ** 30);
    expect(await codeOf(engine.run({ inputs: current(2 ** 30), steps: 2 }))).toBe('INPUT_INVALID');
    expect(await codeOf(engine.run({ inputs: current(-(2 ** 31) + 1), steps: 1 }))).toBe('fulfilled');
    expect(await codeOf(engine.run({ inputs: current(2 ** 30), steps: 1, continue: true }))).toBe('INPUT_INVALID');
    await engine.close();
  });

  it('with a current drive neurons, constant or step by step, through stretches and continuations', async () => {
    const adder = defineNetwork({ numeric: 'fixed', populations: [{ name: 'sum', model: 'li', size: 2 }] });
    const engine = await createEngine(adder, { device }, { batch: 2, stretchBytes: 40 });
    const constant = encodeCurrent([1, 2, 3, 4], { neurons: 2, numeric: 'fixed' });
    const ramp = encodeCurrent(
      Array.from({ length: 20 }, (_, i) => i),
      { neurons: 2, batch: 2, numeric: 'fixed' },
    );
    const final = { final: ['sum'] };
    expect([...(await engine.run({ inputs: { sum: constant }, steps: 7, record: final })).final.sum!]).toEqual([
      7, 14, 21, 28,
    ]);
    const rampSum = [0, 1, 2, 3].map((n) => 5 * n + 4 * (0 + 1 + 2 + 3 + 4));
    expect([...(await engine.run({ inputs: { sum: ramp }, record: final })).final.sum!]).toEqual(rampSum);
    // The last frame holds; then the run goes on with another current.
    const longer = await engine.run({ inputs: { sum: ramp }, steps: 7, record: final });
    expect([...longer.final.sum!]).toEqual(rampSum.map((sum, n) => sum + 2 * (16 + n)));
    const further = await engine.run({ inputs: { sum: ramp }, steps: 5, record: final, continue: true });
    expect([...further.final.sum!]).toEqual(rampSum.map((sum, n) => 2 * sum + 2 * (16 + n)));
    await engine.close();
  });

  it('for fewer steps than an input has take the beginning of it', async () => {
    const engine = await createEngine(network, { device }, { batch: 2 });
    const inputs = { in: train(0, 12) };
    const part = await engine.run({ inputs, steps: 7, record: { ...record, spikes: ['hidden', 'in'] } });
    const rest = await engine.run(parts[1]!);
    const [first, second] = await expectedParts();
    expect(part.spikes.in!.steps).toBe(7);
    expect(essence(part)).toMatchObject({ ...first, spikes: { hidden: first!.spikes.hidden! } });
    expect(essence(rest)).toEqual(second);
    const adder = defineNetwork({ numeric: 'fixed', populations: [{ name: 'sum', model: 'li', size: 1 }] });
    const sums = await createEngine(adder, { device });
    const ramp = encodeCurrent([1, 2, 4, 8], { neurons: 1, batch: 1, numeric: 'fixed' });
    const cut = await sums.run({ inputs: { sum: ramp }, steps: 3, record: { final: ['sum'] } });
    expect([...cut.final.sum!]).toEqual([7]);
    await engine.close();
    await sums.close();
  });

  it('refuse options that make no sense', async () => {
    const make = (options: object) => codeOf(() => createEngine(network, { device }, options));
    expect(await make({ batch: 0 })).toBe('OPTION_INVALID');
    expect(await make({ strategy: 'fastest' })).toBe('OPTION_INVALID');
    expect(await make({ strategy: { 'in->nowhere': 'dense' } })).toBe('OPTION_INVALID');
    expect(await make({ strategy: { 'in->hidden': 'convolution' } })).toBe('OPTION_INVALID');
    expect(await codeOf(() => createEngine(network, {} as { device: Device }))).toBe('OPTION_INVALID');
    expect(await codeOf(() => createEngine({} as SpikingNetwork, { device }))).toBe('NETWORK_INVALID');
    expect(device.memory.inUse).toBe(0);
  });
});

describe('memory', () => {
  it('leaves nothing behind when the device refuses some of it', async () => {
    const whole = createOracleDevice();
    const engine = await createEngine(network, { device: whole }, { batch: 2 });
    const need = whole.memory.inUse;
    await engine.close();
    expect(whole.memory.inUse).toBe(0);
    for (let budget = 16; budget < need; budget += 48) {
      const device = createOracleDevice({ memoryBudget: budget });
      expect(await codeOf(() => createEngine(network, { device }, { batch: 2 }))).toBe('MEMORY_REFUSED');
      expect(device.memory.inUse).toBe(0);
    }
    const exact = createOracleDevice({ memoryBudget: need });
    await (await createEngine(network, { device: exact }, { batch: 2 })).close();
    expect(exact.memory.inUse).toBe(0);
  });

  it('a run that is refused its recording leaves the engine usable', async () => {
    const probe = createOracleDevice();
    const engine = await createEngine(network, { device: probe }, { batch: 2 });
    const device = createOracleDevice({ memoryBudget: probe.memory.inUse + 600 });
    await engine.close();
    const tight = await createEngine(network, { device }, { batch: 2 });
    const long = { inputs: { in: train(0, 400) }, record: { spikes: ['hidden'] } };
    expect(await codeOf(tight.run(long))).toBe('MEMORY_REFUSED');
    expect(await codeOf(tight.run({ ...parts[1]!, continue: true }))).toBe('INPUT_INVALID');
    const [first] = await expectedParts();
    const { spikeCounts } = await tight.run({ inputs: parts[0]!.inputs! });
    expect(spikeCounts).toEqual(first!.spikeCounts);
    await tight.close();
    expect(device.memory.inUse).toBe(0);
  });
});

describe('cancelling', () => {
  it('ends the run with ABORTED; the next one starts afresh and is right', async () => {
    const device = await createWasmDevice();
    const engine = await createEngine(network, { device }, { batch: 2 });
    const abort = new AbortController();
    const endless = engine.run(
      { inputs: { in: train(0, 4) }, steps: 50_000_000 },
      { signal: abort.signal, onProgress: ({ done }) => done > 0 && abort.abort(new Error('enough')) },
    );
    expect(await codeOf(endless)).toBe('ABORTED');
    expect(await codeOf(engine.run(parts[1]!))).toBe('INPUT_INVALID');
    expect(essence(await engine.run(parts[0]!))).toEqual((await expectedParts())[0]);
    expect(await codeOf(engine.run(parts[0]!, { signal: AbortSignal.abort() }))).toBe('ABORTED');
    await engine.close();
    expect(await codeOf(() => createEngine(network, { device }, { signal: AbortSignal.abort() }))).toBe('ABORTED');
    expect(device.memory.inUse).toBe(0);
    await device.close();
  });

  it('runs asked for at the same time are made one after the other', async () => {
    const device = await createWasmDevice();
    const engine = await createEngine(network, { device }, { batch: 2 });
    const results = await Promise.all(parts.map((part) => engine.run(part)));
    expect(results.map(essence)).toEqual(await expectedParts());
    await engine.close();
    expect(await codeOf(engine.run(parts[0]!))).toBe('DEVICE_CLOSED');
    await engine.close();
    await device.close();
  });
});

/** A device that is lost when it is used for the `nth` time, and stays so. */
function doomed(device: Device, uses: { left: number }): Device {
  const guard = (): void => {
    if (uses.left-- <= 0) throw new DeviceLostError(device.id, 'pulled out by the test');
  };
  return {
    ...device,
    get memory() {
      return device.memory;
    },
    allocate(...args) {
      guard();
      return device.allocate(...args);
    },
    write(...args) {
      guard();
      device.write(...args);
    },
    async read(...args) {
      guard();
      return device.read(...args);
    },
    async run(...args) {
      guard();
      return device.run(...args);
    },
    async warmup(...args) {
      guard();
      return device.warmup(...args);
    },
  };
}

/** Lends a doomed device first, healthy ones afterwards. */
function doomedSource(uses: { left: number }): DeviceSource & { lent: number; returned: number } {
  const source = {
    lent: 0,
    returned: 0,
    async lease() {
      const device = createOracleDevice();
      source.lent++;
      return { devices: [source.lent === 1 ? doomed(device, uses) : device], release: () => void source.returned++ };
    },
  };
  return source;
}

describe('losing the device', () => {
  it('at any single moment changes nothing but the time that it takes', async () => {
    const expected = await expectedParts();
    let losses = 0;
    for (let moment = 0; ; moment++) {
      const uses = { left: moment };
      const pool = doomedSource(uses);
      const engine = await createEngine(network, { pool }, { batch: 2 });
      for (const [i, part] of parts.entries()) expect(essence(await engine.run(part))).toEqual(expected[i]);
      await engine.close();
      expect(pool.returned).toBe(pool.lent);
      if (uses.left >= 0) break;
      losses++;
    }
    expect(losses).toBeGreaterThan(100);
  });

  it('is told to the caller when there is no pool, and the engine does not pretend to be well', async () => {
    const device = doomed(createOracleDevice(), { left: 60 });
    const engine = await createEngine(network, { device }, { batch: 2 });
    const codes: string[] = [];
    for (let i = 0; i < 6; i++) codes.push(await codeOf(engine.run(parts[0]!)));
    expect(codes.at(-1)).toBe('DEVICE_LOST');
    await engine.close();
  });

  it('again and again is given up after maxReplays', async () => {
    let lent = 0;
    const lending = (change: (device: Device) => Partial<Device>): DeviceSource => ({
      lease: async () => {
        const device = createOracleDevice();
        lent++;
        return { devices: [{ ...device, ...change(device) }], release: () => {} };
      },
    });
    const lose = async (): Promise<never> => {
      throw new DeviceLostError('oracle', 'pulled out by the test');
    };
    const engine = await createEngine(network, { pool: lending(() => ({ run: lose })) }, { batch: 2, maxReplays: 3 });
    expect(await codeOf(engine.run(parts[0]!))).toBe('DEVICE_LOST');
    expect(lent).toBe(3);
    await engine.close();
    lent = 0;
    const hopeless = lending(() => ({ warmup: lose }));
    expect(await codeOf(() => createEngine(network, { pool: hopeless }, { maxReplays: 4 }))).toBe('DEVICE_LOST');
    expect(lent).toBe(4);
  });

  it('a real one, in a real pool, in mid-run', async () => {
    const pool = createDevicePool({ members: [{ name: 'gpu', kind: 'webgpu', open: () => createWebGpuDevice() }] });
    const engine = await createEngine(network, { pool, kind: 'webgpu' }, { batch: 2 });
    const expected = await expectedParts();
    for (let round = 0; round < 4; round++) {
      for (const [i, part] of parts.entries()) {
        const running = engine.run(part);
        if (i === round % 3) setTimeout(() => simulateLoss(engine.device), round);
        expect(essence(await running)).toEqual(expected[i]);
      }
    }
    await engine.close();
    await pool.close();
  });
});

describe('strategies', () => {
  it("'measure' keeps one that is possible, and the results", async () => {
    const device = await createWasmDevice();
    for (const seed of [1, 2, 3, 11]) {
      const net = defineNetwork(fixedNetwork(seed));
      const sizes = new Map(net.populations.map((p) => [p.name, p.size]));
      const request = { inputs: trainsOf(stimulus(seed, fixedNetwork(seed), { steps: 9, batch: 3 }), sizes), steps: 9 };
      const plain = await createEngine(net, { device }, { batch: 3, strategy: 'scatter' });
      const measured = await createEngine(net, { device }, { batch: 3, strategy: 'measure' });
      const expected = await plain.run(request);
      for (let i = 0; i < 2; i++) expect((await measured.run(request)).spikeCounts).toEqual(expected.spikeCounts);
      expect(Object.keys(measured.strategies)).toEqual(net.projections.map(({ name }) => name));
      for (const strategy of Object.values(measured.strategies))
        expect(['scatter', 'gather', 'dense', 'convolution']).toContain(strategy);
      await plain.close();
      await measured.close();
      expect(device.memory.inUse).toBe(0);
    }
    await device.close();
  });

  it('are chosen by density', async () => {
    const device = createOracleDevice();
    const with8 = (zeros: number) =>
      defineNetwork({
        numeric: 'fixed',
        populations: [
          { name: 'a', model: 'input', size: 10 },
          { name: 'b', model: 'li', size: 16, leakShift: 1 },
        ],
        projections: [
          {
            name: 'p',
            from: 'a',
            to: 'b',
            kind: 'dense',
            weights: Array.from({ length: 160 }, (_, i) => (i % zeros === 0 ? 1 : 0)),
          },
        ],
      });
    const full = await createEngine(with8(2), { device });
    const thin = await createEngine(with8(40), { device });
    expect([full.strategies.p, thin.strategies.p]).toEqual(['dense', 'scatter']);
    await device.close();
  });
});
