/** The decay-free form of CUBA-LIF populations against the general one: the same neurons, another arithmetic. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  defineNetwork,
  encodeCurrent,
  encodeRate,
  randomSparse,
  sliceTrain,
} from '../../host/snn/index.js';
import { decayFreeForm } from '../../host/snn/decay-free.js';

const network = (refractory: number, tauSynapse = 5e-3) =>
  defineNetwork({
    numeric: 'float32',
    dt: 1e-4,
    populations: [
      { name: 'input', model: 'input', size: 40 },
      {
        name: 'cuba',
        model: 'cubaLif',
        size: 70,
        tau: 20e-3,
        leak: -49,
        threshold: -45,
        reset: { kind: 'value', value: -60 },
        refractory,
        initial: -52,
        receptors: [
          { name: 'e', tau: tauSynapse },
          { name: 'i', tau: 10e-3 },
        ],
      },
    ],
    projections: [
      {
        from: 'input',
        to: 'cuba',
        receptor: 'e',
        delay: 2,
        ...randomSparse({ pre: 40, post: 70, probability: 0.2, weight: 2.5, seed: 3 }),
      },
      {
        name: 'loop',
        from: 'cuba',
        to: 'cuba',
        receptor: 'i',
        ...randomSparse({ pre: 70, post: 70, probability: 0.1, weight: -3, seed: 4 }),
      },
    ],
  });
const steps = 400;
const input = encodeRate(new Float32Array(3 * 40).fill(0.02), { neurons: 40, steps, seed: 7 });
const record = { spikes: ['cuba'], membrane: [{ population: 'cuba' }], final: ['cuba'] };

describe.each([
  ['wasm', () => createWasmDevice()],
  ['wasm, 2 threads', () => createWasmDevice({ threads: 2 })],
  ['webgpu', () => createWebGpuDevice()],
] as const)('on %s', (_, open) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.close());

  it.each([0, 1e-4, 5e-3])('equals the general form up to rounding (refractory %f s)', async (refractory) => {
    const run = async (neurons: 'auto' | 'general') => {
      const engine = await createEngine(network(refractory), { device }, { batch: 3, neurons });
      const result = await engine.run({ inputs: { input }, record });
      await engine.close();
      return result;
    };
    const [fast, general] = [await run('auto'), await run('general')];
    expect(general.spikes['cuba']!.ids.length).toBeGreaterThan(50);
    // Until rounding lets one neuron fire a step apart, which then moves others, all spikes are the same.
    expect(fast.spikes['cuba']!.ids.length / general.spikes['cuba']!.ids.length).toBeCloseTo(1, 1);
    const early = 3 * 70 * 120;
    const [a, b] = [fast.membranes['cuba']!.values, general.membranes['cuba']!.values];
    let worst = 0;
    for (let i = 0; i < early; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
    expect(worst).toBeLessThan(1e-3);
    const last = fast.membranes['cuba']!.values.slice(-3 * 70);
    fast.final['cuba']!.forEach((v, i) => expect(v).toBeCloseTo(last[i]!, 3));
  });

  it('continues where it stopped, spikes under way and refractory neurons included', async () => {
    const engine = await createEngine(network(5e-3), { device }, { batch: 3 });
    const whole = await engine.run({ inputs: { input }, record });
    const cut = 137;
    const first = await engine.run({ inputs: { input: sliceTrain(input, 0, cut) }, record });
    const second = await engine.run({ inputs: { input: sliceTrain(input, cut, steps) }, record, continue: true });
    expect(first.spikes['cuba']!.ids.length + second.spikes['cuba']!.ids.length).toBe(whole.spikes['cuba']!.ids.length);
    expect(second.final['cuba']).toEqual(whole.final['cuba']);
    await engine.close();
  });

  it('gives way to the general form when a current is injected', async () => {
    const current = encodeCurrent(new Float32Array(3 * 70).fill(1), { neurons: 70 });
    const drive = { ...current, receptor: 'e' } as typeof current;
    const engine = await createEngine(network(5e-3), { device }, { batch: 3 });
    await engine.run({ inputs: { input: sliceTrain(input, 0, 10) } });
    await expect(
      engine.run({ inputs: { cuba: drive, input: sliceTrain(input, 10, 20) }, continue: true }),
    ).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    });
    const driven = await engine.run({ inputs: { input, cuba: drive }, steps });
    const quiet = await engine.run({ inputs: { input }, steps });
    expect(driven.spikeCounts['cuba']!.reduce((x, y) => x + y, 0)).toBeGreaterThan(
      quiet.spikeCounts['cuba']!.reduce((x, y) => x + y, 0),
    );
    await engine.close();
  });
});

it('is not used where it would lose precision', () => {
  const form = (tau: number) =>
    decayFreeForm(network(5e-3, tau).populations.find((p) => p.name === 'cuba') as never, 1e-4);
  expect(form(5e-3)).toBeDefined();
  expect(form(20e-3)).toBeUndefined();
  expect(form(20.5e-3)).toBeUndefined();
});
