/**
 * One LIF neuron from a NIR file against the traces that the NIR project compares simulators by. Nine simulators integrate, reset and
 * record in their own ways; each row says what that way is, and how near we come when we do the same.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  readNir,
  readNirNetwork,
  spikesAt,
  spikeTrain,
  type FloatNetworkDescription,
} from '../../host/snn/index.js';
import type { NirOptions } from '../../host/snn/nir/index.js';

type Row = readonly [input: number, potential: number, spike: number];

const trace = (name: string): Row[] =>
  readFileSync(`test/data/nir/lif_${name}.csv`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number) as unknown as Row);

const bytes = new Uint8Array(readFileSync('test/data/nir/lif_norse.nir'));
const dt = 1e-4;
const exact = trace('exact');

const devices: Readonly<Record<string, () => Promise<Device> | Device>> = {
  oracle: () => createOracleDevice(),
  wasm: () => createWasmDevice(),
  webgpu: () => createWebGpuDevice(),
};

async function run(device: Device, network: FloatNetworkDescription): Promise<{ v: number[]; spikes: number[] }> {
  const engine = await createEngine(network, { device });
  const input = spikeTrain(
    exact.map(([spike]) => [spike ? [0] : []]),
    1,
  );
  const result = await engine.run({ inputs: { input }, record: { spikes: ['1'], membrane: [{ population: '1' }] } });
  await engine.close();
  const spikes = exact.map((_, step) => step).filter((step) => spikesAt(result.spikes['1']!, step, 0).length > 0);
  return { v: [...result.membranes['1']!.values], spikes };
}

/** Euler's method keeps 1 - dt / tau of the potential in a step: exact integration with a slightly shorter time constant. */
function euler(network: FloatNetworkDescription): FloatNetworkDescription {
  const populations = network.populations.map((p) =>
    p.model === 'lif' ? { ...p, tau: -dt / Math.log(1 - dt / (p.tau as number)) } : p,
  );
  return { ...network, populations };
}

interface Simulator {
  readonly name: string;
  readonly does: string;
  readonly options: Omit<NirOptions, 'dt'>;
  readonly euler?: boolean;
  /** Recorded potential = scale * ours, `later` steps later. */
  readonly scale?: number;
  readonly later?: number;
  readonly within: number;
  /** Steps at which its spikes stand. */
  readonly spikes: readonly number[];
}

const late = [461, 511, 711, 761];
const simulators: readonly Simulator[] = [
  {
    name: 'exact',
    does: 'analytic; resets at the moment of the crossing',
    options: { reset: 'crossing' },
    within: 1e-6,
    spikes: [460, 510, 710, 760],
  },
  {
    name: 'nengo',
    does: 'exact integration, reset at the end of the step; potentials in thresholds',
    options: {},
    scale: 10,
    within: 1e-6,
    spikes: [460, 510, 710, 760],
  },
  {
    name: 'norse',
    does: "Euler's method, reset at the end of the step",
    options: {},
    euler: true,
    within: 1e-6,
    spikes: [460, 510, 710, 760],
  },
  {
    name: 'lava_cpu_float',
    does: "Euler's method; inputs arrive a step later",
    options: {},
    euler: true,
    later: 1,
    within: 1e-6,
    spikes: late,
  },
  {
    name: 'lava_cpu_fixed',
    does: 'as lava_cpu_float in 12-bit integers, of which 16,000 are 1 (640 for dt / tau)',
    options: {},
    euler: true,
    later: 1,
    scale: 16_000,
    within: 1e-3,
    spikes: late,
  },
  {
    name: 'snntorch',
    does: "Euler's method; an input brings 1 instead of dt / tau, and the threshold is as much higher",
    options: {},
    euler: true,
    scale: 25,
    within: 1e-6,
    spikes: [460, 510, 710, 760],
  },
  {
    name: 'spinnaker2',
    does: 'as snntorch, with weights of few bits: 0.02 % less comes in',
    options: {},
    euler: true,
    scale: 25,
    within: 5e-5,
    spikes: [460, 510, 710, 760],
  },
  {
    name: 'sinabs',
    does: 'exact decay, an input brings dt / tau at once, reset by subtraction',
    options: { synapse: 'delta', reset: 'subtract' },
    within: 1e-6,
    spikes: [450, 500, 710, 760],
  },
  {
    name: 'rockpool',
    does: 'as sinabs',
    options: { synapse: 'delta', reset: 'subtract' },
    within: 1e-6,
    spikes: [450, 500, 710, 760],
  },
];

describe.each(Object.keys(devices))('one LIF neuron from a NIR file on %s', (kind) => {
  it('follows the exact solution, and each simulator when it does as that does', async () => {
    const device = await devices[kind]!();
    // A thousand steps of one neuron are slow on a software GPU, so that one of each way of resetting has to do there.
    const those = kind === 'webgpu' ? ['exact', 'norse', 'sinabs'] : simulators.map(({ name }) => name);
    for (const { name, options, within, spikes, scale = 1, later = 0, ...how } of simulators) {
      if (!those.includes(name)) continue;
      const rows = trace(name);
      const network = await readNir(bytes, { ...options, dt });
      const ours = await run(device, how.euler === true ? euler(network) : network);
      expect(
        ours.spikes.map((step) => step + later),
        `${name} fires`,
      ).toEqual(spikes);
      expect(
        rows.map(([, , spike], step) => (spike ? step : -1)).filter((step) => step >= 0),
        `${name} recorded`,
      ).toEqual(spikes);
      rows.forEach(([, potential], step) => {
        const v = ours.v[step - later] ?? 0;
        expect(Math.abs(v - potential / scale), `${name} in step ${step}`).toBeLessThan(within);
      });
    }
    await device.close();
  });

  it('stays near Spyx, which takes the threshold away in the step after the spike', async () => {
    const device = await devices[kind]!();
    const rows = trace('spyx');
    const ours = await run(device, euler(await readNir(bytes, { dt, reset: 'subtract' })));
    await device.close();
    expect(rows.map(([, , spike], step) => (spike ? step : -1)).filter((step) => step >= 0)).toEqual(late);
    expect(ours.spikes.map((step) => step + 1)).toEqual(late);
    // Until it is taken away the threshold does not decay, so that dt / tau of it more is taken: 0.004, which then decays.
    rows.forEach(([, potential], step) => {
      const pending = ours.spikes.includes(step) ? 0.1 : 0;
      expect(Math.abs(ours.v[step]! + pending - potential), `step ${step}`).toBeLessThan(0.005);
    });
  });
});

it('reads two LIF neurons in a row, the first of which is driven by its leak potential', async () => {
  const file = new Uint8Array(readFileSync('test/data/nir/two_lif_neurons.nir'));
  const { network, inputs, outputs } = await readNirNetwork(file, { dt });
  expect(inputs).toEqual(['in']);
  expect(outputs).toEqual({ out: 'lif2' });
  expect(network.populations.map(({ name, model }) => [name, model])).toEqual([
    ['in', 'input'],
    ['lif1', 'lif'],
    ['lif2', 'lif'],
  ]);
  expect(network.projections!.map(({ from, to }) => [from, to])).toEqual([
    ['in', 'lif1'],
    ['lif1', 'lif2'],
  ]);
  const device = createOracleDevice();
  const engine = await createEngine(network, { device });
  const input = spikeTrain(
    Array.from({ length: 1000 }, () => [[]]),
    1,
  );
  const record = { spikes: ['lif1', 'lif2'], membrane: [{ population: 'lif2' }] };
  const { spikes, membranes } = await engine.run({ inputs: { in: input }, record });
  const fired = Array.from({ length: 1000 }, (_, step) => step).filter(
    (step) => spikesAt(spikes['lif1']!, step, 0).length > 0,
  );
  // It starts at its leak potential, above the threshold; from 0 it takes tau ln(1.2 / 0.2) = 17.9 ms to get there.
  expect(fired).toEqual([0, 180, 360, 540, 720, 900]);
  expect(spikes['lif2']!.ids.length).toBe(0);
  // A current of 1 for a step: 1 - exp(-0.01), decaying since.
  expect(membranes['lif2']!.values[100]).toBeCloseTo(-Math.expm1(-0.01) * Math.exp(-1), 6);
  await engine.close();
});
