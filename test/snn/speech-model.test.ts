/** The committed speech network on the recordings that travel with the package, sound to label, on every device. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { readUtterances } from '../../host/files/utterances.js';
import {
  cochleaUnits,
  countSynapses,
  createEngine,
  decodeMembrane,
  encodeCochlea,
  loadNetwork,
  type FixedNetwork,
} from '../../host/snn/index.js';

const read = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/fsdd/${name}`));
const { utterances, licence } = readUtterances(read('utterances.safetensors'));
const network = loadNetwork(read('recurrent.safetensors')) as FixedNetwork;
/** What the trainer's own integer forward pass, and so the network, answers to each of the 300 test recordings (models/fsdd/build.ts). */
const trainer = JSON.parse(readFileSync('models/fsdd/expected.json', 'utf8')) as readonly {
  readonly digit: number;
  readonly speaker: string;
  readonly take: number;
  readonly label: number;
}[];
const sounds = utterances.map(({ sound }) => sound);

async function answer(device: Device, net: FixedNetwork = network) {
  const engine = await createEngine(net, { device }, { batch: utterances.length });
  const input = await encodeCochlea(sounds, { device });
  const result = await engine.run({ inputs: { input }, record: { spikes: ['hidden'], final: ['output'] } });
  await engine.close();
  const potentials = [...(result.final['output'] as Int32Array)];
  return {
    input,
    result,
    potentials,
    labels: [...decodeMembrane(Int32Array.from(potentials), { neurons: 10 }).labels],
  };
}

describe('the recurrent speech network', () => {
  let reference: Awaited<ReturnType<typeof answer>>;
  beforeAll(async () => {
    const device = createOracleDevice();
    reference = await answer(device);
    await device.close();
  });

  it('is recurrent, int8, and small enough for the synapse machine', () => {
    const synapses = Object.fromEntries(network.projections.map((p) => [`${p.from}->${p.to}`, countSynapses(p)]));
    expect(Object.keys(synapses)).toEqual(['input->hidden', 'hidden->hidden', 'hidden->output']);
    expect(synapses['hidden->hidden']).toBeGreaterThan(1000);
    expect(network.synapses).toBeLessThanOrEqual(60_000);
    const sizes = Object.fromEntries(network.populations.map(({ name, size }) => [name, size]));
    expect(sizes).toEqual({ input: cochleaUnits(), hidden: expect.any(Number), output: 10 });
    expect(sizes['hidden']).toBeLessThanOrEqual(256);
    // One unit alone could do them in 1.4 ms at 100 MHz.
    expect(reference.result.synapticEvents / utterances.length).toBeLessThan(140_000);
  });

  it('gives each recording the label that the trainer gave it, nearly always the digit that was spoken', () => {
    expect(licence).toBe('CC BY-SA 4.0');
    expect(utterances.length).toBe(30);
    utterances.forEach(({ label, speaker, take }, i) => {
      const entry = trainer.find((e) => e.digit === label && e.speaker === speaker && e.take === take);
      expect(entry?.label).toBe(reference.labels[i]);
    });
    const right = utterances.filter(({ label }, i) => label === reference.labels[i]).length;
    expect(right).toBeGreaterThanOrEqual(27);
  });

  it('needs its recurrent synapses', async () => {
    const device = createOracleDevice();
    const cut = {
      ...network,
      projections: network.projections.map((p) => (p.from === p.to ? { ...p, weights: p.weights.slice().fill(0) } : p)),
    } as FixedNetwork;
    const { labels } = await answer(device, cut);
    await device.close();
    const right = (list: readonly number[]) => utterances.filter(({ label }, i) => label === list[i]).length;
    expect(right(labels)).toBeLessThan(right(reference.labels));
  });

  it.each<[string, () => Promise<Device>]>([
    ['wasm, 1 thread', () => createWasmDevice()],
    ['wasm, 2 threads', () => createWasmDevice({ threads: 2 })],
    ['webgpu', () => createWebGpuDevice()],
  ])('is the same on %s, to the bit', async (_, open) => {
    const device = await open();
    try {
      const { input, result, potentials } = await answer(device);
      expect(input).toEqual(reference.input);
      expect(potentials).toEqual(reference.potentials);
      expect(result.spikes['hidden']).toEqual(reference.result.spikes['hidden']);
      expect(result.synapticEvents).toBe(reference.result.synapticEvents);
    } finally {
      await device.close();
    }
  });
});
