/** Float networks against their quantised forms, on digits and on networks that integers hold exactly. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import {
  createEngine,
  defineNetwork,
  encodeLatency,
  parseIdx,
  seededRandom,
  spikeTrain,
  type FloatNetwork,
  type FloatNetworkDescription,
} from '../../host/snn/index.js';
import { quantiseNetwork } from '../../host/snn/quantise/quantise-network.js';

let device: Device;
beforeAll(async () => {
  device = await createWasmDevice();
});
afterAll(() => device.close());

const images = parseIdx(new Uint8Array(readFileSync('models/mnist/t200-images.idx3-ubyte'))).data;
const digits = encodeLatency(images.subarray(0, 784 * 60), { neurons: 784, steps: 8, threshold: 64 });

/** Random weights on digits: leaky hidden neurons, a convolution beside a dense projection, a leaky read-out. */
function onDigits(seed: number): FloatNetwork {
  const random = seededRandom(seed);
  const normal = (count: number, size: number): Float32Array =>
    Float32Array.from({ length: count }, () => size * random.normal());
  return defineNetwork({
    name: 'digits',
    numeric: 'float32',
    dt: 1e-3,
    populations: [
      { name: 'input', model: 'input', shape: [1, 28, 28] },
      {
        name: 'maps',
        model: 'if',
        shape: [4, 12, 12],
        threshold: 0.7,
        reset: { kind: 'subtract' },
        synapse: 'delta',
        maxSpikesPerStep: 4,
      },
      {
        name: 'hidden',
        model: 'lif',
        size: 40,
        tau: Float32Array.from({ length: 40 }, (_, n) => 7e-3 + 2e-4 * (n % 10)),
        threshold: 0.4,
        leak: 0.05,
        reset: { kind: 'value', value: -0.1 },
        refractory: 1e-3,
      },
      { name: 'output', model: 'li', size: 10, tau: 20e-3 },
    ],
    projections: [
      {
        from: 'input',
        to: 'maps',
        kind: 'convolution',
        weights: normal(100, 0.4),
        layout: 'outInHeightWidth',
        kernel: [5, 5],
        stride: [2, 2],
      },
      { from: 'maps', to: 'hidden', kind: 'dense', weights: normal(576 * 40, 0.5) },
      { from: 'input', to: 'hidden', kind: 'dense', weights: normal(784 * 40, 0.2) },
      { from: 'hidden', to: 'output', kind: 'dense', weights: normal(400, 1) },
    ],
  }) as FloatNetwork;
}

describe('quantising', () => {
  it('keeps what a network does, and says how far it is off', async () => {
    const network = onDigits(1);
    const { network: fixed, populations } = await quantiseNetwork(network, {
      home: { device },
      inputs: { input: digits },
    });
    expect(fixed.numeric).toBe('fixed');
    const report = Object.fromEntries(populations.map((p) => [p.name, p]));
    expect(report['maps']!.error).toBeLessThan(0.05);
    expect(report['hidden']!.error).toBeLessThan(0.15);
    expect(report['output']!.error).toBeLessThan(0.35);
    expect(report['maps']!.spikes).toBeGreaterThan(100);
    expect(report['hidden']!.decay).toBeCloseTo(Math.exp(-1 / 7.9), 2);
    expect(report['hidden']!.fixedDecay).toBe(0.875);
    // The reported spikes are those of the networks.
    const engine = await createEngine(fixed, { device }, { batch: 60 });
    const { spikeCounts } = await engine.run({ inputs: { input: digits } });
    await engine.close();
    expect(spikeCounts['maps']!.reduce((a, b) => a + b, 0) / 60).toBeCloseTo(report['maps']!.fixedSpikes, 6);
  });

  it('loses more with 4 bits than with 8', async () => {
    const errors = await Promise.all(
      ([8, 4] as const).map(async (bits) => {
        const { network, populations } = await quantiseNetwork(onDigits(2), {
          home: { device },
          inputs: { input: digits },
          bits,
        });
        expect(network.projections.every((p) => p.weights.every((w) => Math.abs(w) <= (bits === 8 ? 127 : 7)))).toBe(
          true,
        );
        return populations.find(({ name }) => name === 'hidden')!.error;
      }),
    );
    expect(errors[1]!).toBeGreaterThan(errors[0]!);
  });

  it('is exact where integers can be', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 32 - 1 }), async (seed) => {
        const random = seededRandom(seed);
        // Weights that are whole multiples of 1/127 of the largest, thresholds between multiples.
        const weights = Float32Array.from({ length: 60 }, (_, i) => (i === 0 ? 127 : random.below(255) - 127));
        const network = defineNetwork({
          numeric: 'float32',
          dt: 1e-3,
          populations: [
            { name: 'in', model: 'input', size: 12 },
            {
              name: 'out',
              model: 'if',
              size: 5,
              threshold: 100 + random.below(200),
              synapse: 'delta',
              reset: { kind: 'value' },
            },
          ],
          projections: [{ from: 'in', to: 'out', kind: 'dense', weights }],
        }) as FloatNetwork;
        const lists = Array.from({ length: 20 }, () => [
          Array.from({ length: 12 }, (_, i) => i).filter(() => random.below(3) === 0),
        ]);
        const inputs = { in: spikeTrain(lists, 12) };
        const { populations, network: fixed } = await quantiseNetwork(network, { home: { device }, inputs });
        expect(populations[0]!.error).toBe(0);
        expect(Array.from(fixed.projections[0]!.weights)).toEqual(Array.from(weights));
      }),
      { numRuns: 20 },
    );
  });

  it('names what has no counterpart', async () => {
    const wrong = async (population: object): Promise<string> => {
      const network = defineNetwork({
        numeric: 'float32',
        dt: 1e-3,
        populations: [
          { name: 'in', model: 'input', size: 1 },
          { name: 'out', size: 1, threshold: 1, ...population },
        ],
        projections: [{ from: 'in', to: 'out', kind: 'dense', weights: [1] }],
      } as unknown as FloatNetworkDescription) as FloatNetwork;
      return quantiseNetwork(network, { home: { device }, inputs: { in: spikeTrain([[[0]]], 1) } }).then(
        () => '',
        (error: Error) => error.message,
      );
    };
    expect(await wrong({ model: 'cubaLif', tau: 1e-2, receptors: [{ name: 'r', tau: 5e-3 }] })).toMatch(
      /population "out" cannot be quantised: model 'cubaLif' keeps a decaying current/,
    );
    expect(await wrong({ model: 'lif', tau: 1e-2, reset: { kind: 'crossing' } })).toMatch(
      /moves the spike within a step/,
    );
    expect(await wrong({ model: 'lif', tau: 1e-4 })).toMatch(/keeps 0\.0 % of its potential in a step/);
  });
});
