/** Our float LIF against the analytic traces that the NIR project compares simulators by. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { createEngine, spikesAt, spikeTrain } from '../../host/snn/index.js';

const rows = readFileSync('test/data/nir/lif_exact.csv', 'utf8')
  .trim()
  .split('\n')
  .map((line) => line.split(',').map(Number) as [number, number, number]);

const devices: Readonly<Record<string, () => Promise<Device> | Device>> = {
  oracle: () => createOracleDevice(),
  wasm: () => createWasmDevice(),
  webgpu: () => createWebGpuDevice(),
};

describe.each(Object.keys(devices))('one LIF neuron on %s', (name) => {
  it('follows the exact solution within 1e-6 at every one of 1,000 steps, and fires when it does', async () => {
    const device = await devices[name]!();
    const engine = await createEngine(
      {
        numeric: 'float32',
        dt: 1e-4,
        populations: [
          { name: 'input', model: 'input', size: 1 },
          {
            name: 'lif',
            model: 'lif',
            size: 1,
            tau: 2.5e-3,
            resistance: 1,
            leak: 0,
            threshold: 0.1,
            reset: { kind: 'crossing' },
          },
        ],
        projections: [{ from: 'input', to: 'lif', kind: 'dense', weights: [1] }],
      },
      { device },
    );
    const input = spikeTrain(
      rows.map(([spike]) => [spike ? [0] : []]),
      1,
    );
    const result = await engine.run({
      inputs: { input },
      record: { spikes: ['lif'], membrane: [{ population: 'lif' }] },
    });
    const v = result.membranes['lif']!.values;
    const train = result.spikes['lif']!;
    let worst = 0;
    rows.forEach(([, potential, spike], step) => {
      worst = Math.max(worst, Math.abs(v[step]! - potential));
      expect(spikesAt(train, step, 0).length, `spike in step ${step}`).toBe(spike);
    });
    expect(v.length).toBe(1000);
    expect(worst).toBeLessThan(1e-6);
    await device.close();
  });
});
