/** Float dynamics against the solutions of their differential equations: what a step computes does not depend on its length. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import {
  createEngine,
  defineNetwork,
  encodeCurrent,
  spikeTrain,
  type NetworkDescription,
} from '../../host/snn/index.js';

let device: Device;
beforeAll(async () => {
  device = await createWasmDevice();
});
afterAll(() => device.close());

async function trace(description: NetworkDescription, input: 'spike' | 'current', steps: number): Promise<number[]> {
  const network = defineNetwork(description);
  const engine = await createEngine(network, { device });
  const none = new Array<number[][]>(steps - 1).fill([[]]);
  const result = await engine.run({
    inputs: input === 'spike' ? { in: spikeTrain([[[0]], ...none], 1) } : { n: encodeCurrent([0.8]) },
    steps,
    record: { membrane: [{ population: 'n' }] },
  });
  await engine.close();
  return [...result.membranes.n!.values];
}

const close = (got: readonly number[], wanted: (time: number) => number, dt: number): void =>
  got.forEach((v, step) => expect(Math.abs(v - wanted((step + 1) * dt))).toBeLessThan(1e-5));

describe.each([1e-3, 1e-4, 5e-3])('with steps of %f s', (dt) => {
  const steps = Math.round(0.05 / dt);

  it('a leaky neuron charges along its exponential', async () => {
    const n = {
      name: 'n',
      model: 'lif',
      size: 1,
      tau: 0.02,
      resistance: 1.5,
      leak: -0.3,
      initial: 0.1,
      threshold: 10,
    } as const;
    const rest = -0.3 + 1.5 * 0.8;
    const wanted = (t: number): number => rest + (0.1 - rest) * Math.exp(-t / 0.02);
    close(await trace({ numeric: 'float32', dt, populations: [n] }, 'current', steps), wanted, dt);
  });

  it('a neuron without leak charges along a line', async () => {
    const n = { name: 'n', model: 'if', size: 1, resistance: 3, threshold: 10 } as const;
    close(await trace({ numeric: 'float32', dt, populations: [n] }, 'current', steps), (t) => 3 * 0.8 * t, dt);
  });

  // Time constants apart, nearly equal, equal; one number for all or one per neuron.
  it.each([
    [0.02, 0.005],
    [0.005, 0.02],
    [0.01, 0.01 * (1 + 1e-9)],
    [0.01, 0.01],
  ])(
    'a spike through an exponential synapse (membrane %f s, synapse %f s) draws the difference of exponentials',
    async (membrane, synapse) => {
      const difference = (t: number): number =>
        Math.abs(synapse - membrane) < 1e-6
          ? (t / membrane) * Math.exp(-t / membrane)
          : (synapse / (synapse - membrane)) * (Math.exp(-t / synapse) - Math.exp(-t / membrane));
      for (const tau of [membrane, [membrane]]) {
        const description: NetworkDescription = {
          numeric: 'float32',
          dt,
          populations: [
            { name: 'in', model: 'input', size: 1 },
            {
              name: 'n',
              model: 'cubaLif',
              size: 1,
              tau,
              resistance: 2,
              threshold: 10,
              receptors: [{ name: 'e', tau: synapse, weightScale: 0.7 }],
            },
          ],
          projections: [{ from: 'in', to: 'n', kind: 'dense', weights: [0.9] }],
        };
        const exact = typeof tau === 'number' ? 0 : Math.fround(membrane) - membrane;
        expect(Math.abs(exact)).toBeLessThan(1e-8);
        close(await trace(description, 'spike', steps), (t) => 2 * 0.7 * 0.9 * difference(t), dt);
      }
    },
  );
});

describe('exact steps', () => {
  it('fire strictly above threshold, and hold for the refractory time', async () => {
    const lif = (threshold: number) =>
      ({ name: 'n', model: 'if', size: 1, threshold, refractory: 2e-3, resistance: 1000 }) as const;
    const run = async (threshold: number): Promise<number[]> => {
      const engine = await createEngine(
        defineNetwork({ numeric: 'float32', dt: 1e-3, populations: [lif(threshold)] }),
        { device },
      );
      const { spikes } = await engine.run({ inputs: { n: encodeCurrent([1]) }, steps: 8, record: { spikes: ['n'] } });
      await engine.close();
      return Array.from({ length: 8 }, (_, step) => spikes.n!.index[2 * step + 1]!);
    };
    // The potential is 1, 2, 3 ...: 2 is not above 2, and two steps are sat out after each spike.
    expect(await run(2)).toEqual([0, 0, 1, 0, 0, 0, 0, 1]);
    expect(await run(1.5)).toEqual([0, 1, 0, 0, 0, 1, 0, 0]);
  });
});
