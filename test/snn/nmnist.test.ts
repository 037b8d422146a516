/** A convolutional network that Sinabs trained, from its NIR file, on recordings of an event camera. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRecordings } from '../../bench/nmnist-data.js';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  decodeSpikeCount,
  defineNetwork,
  encodeEvents,
  quantiseNetwork,
  readNirNetwork,
  type FloatNetwork,
  type SpikingNetwork,
  type SpikeTrain,
} from '../../host/snn/index.js';

const recordings = readRecordings('test/data/nmnist')!;
const test = recordings.filter(({ split }) => split === 'test');
const trainsOf = (split: 'train' | 'test', most = Infinity): SpikeTrain =>
  encodeEvents(recordings.filter((recording) => recording.split === split).slice(0, most), {
    width: 34,
    height: 34,
    binWidth: 10_000,
    steps: 34,
  });

let wasm: Device;
let webgpu: Device;
let network: FloatNetwork;
let output: string;
beforeAll(async () => {
  [wasm, webgpu] = await Promise.all([createWasmDevice(), createWebGpuDevice()]);
  const options = { dt: 1e-2, reset: 'subtract', maxSpikesPerStep: 64, synapse: 'delta' } as const;
  const read = await readNirNetwork(new Uint8Array(readFileSync('test/data/nir/cnn_sinabs.nir')), options);
  network = defineNetwork(read.network) as FloatNetwork;
  output = read.outputs['output']!;
});
afterAll(() => Promise.all([wasm?.close(), webgpu?.close()]));

async function classify(device: Device, subject: SpikingNetwork, most?: number): Promise<Record<string, Uint32Array>> {
  const input = trainsOf('test', most);
  const engine = await createEngine(subject, { device }, { batch: input.batch });
  const { spikeCounts } = await engine.run({ inputs: { input } });
  await engine.close();
  return spikeCounts;
}

const right = (counts: Record<string, Uint32Array>): number =>
  decodeSpikeCount(counts[output]!, { neurons: 10 }).labels.reduce(
    (sum, label, i) => sum + Number(label === test[i]!.label),
    0,
  );

describe('cnn_sinabs.nir on N-MNIST', () => {
  it('is five layers of neurons with convolutions between them, pooling included', () => {
    expect(network.populations.map(({ name, model, size }) => [name, model, size])).toEqual([
      ['input', 'input', 2312],
      ['1', 'if', 4096],
      ['3', 'if', 4096],
      ['6', 'if', 512],
      ['10', 'if', 256],
      ['12', 'if', 10],
    ]);
    expect(network.projections.map(({ kind }) => kind)).toEqual([
      'convolution',
      'convolution',
      'convolution',
      'dense',
      'dense',
    ]);
  });

  it.each(['wasm', 'webgpu'] as const)(
    'recognises every recording on %s',
    async (kind) => {
      const counts = await classify(kind === 'wasm' ? wasm : webgpu, network);
      expect(right(counts)).toBe(20);
      // In 34 steps: neurons do fire several times in one.
      expect(Math.max(...counts['10']!)).toBeGreaterThan(34);
    },
    180_000,
  );

  it('recognises them as int8, with the same spikes on Wasm and WebGPU', async () => {
    const { network: fixed, populations } = await quantiseNetwork(network, {
      home: { device: wasm },
      inputs: { input: trainsOf('train') },
    });
    const counts = await classify(wasm, fixed);
    expect(right(counts)).toBeGreaterThanOrEqual(19);
    for (const [name, spikes] of Object.entries(await classify(webgpu, fixed, 4)))
      expect(spikes, name).toEqual(counts[name]!.subarray(0, spikes.length));
    for (const { name, error } of populations) expect(error, name).toBeLessThan(0.1);
  }, 180_000);
});
