/** cnn_sinabs.nir (a convolutional network of another simulator) on N-MNIST recordings: float on every backend, then quantised. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  decodeSpikeCount,
  defineNetwork,
  encodeEvents,
  type FloatNetwork,
  type SpikeTrain,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { readNirNetwork } from '../../host/snn/nir/index.js';
import { quantiseNetwork } from '../../host/snn/quantise/quantise-network.js';
import { readRecordings, type Recording } from '../nmnist-data.js';
import type { BenchContext } from '../report.js';

/** Microseconds of a step. */
const BIN = 10_000;
const STEPS = 30;
const SIDE = 34;
const BATCH = 10;
const BARS = ['N-MNIST, float, Wasm', 'N-MNIST, float, WebGPU', 'N-MNIST, int8'] as const;

export async function benchNmnist({ quick, data, say, table, bar }: BenchContext): Promise<void> {
  const recordings = readRecordings(join(data, 'nmnist-small'));
  if (recordings === undefined) {
    say('N-MNIST: no recordings in TUTTI_DATA/nmnist-small');
    for (const name of BARS) bar(name, '>=', 1, undefined, '');
    return;
  }
  const test = recordings.filter(({ split }) => split === 'test').slice(0, quick ? 20 : 100);
  const train = recordings.filter(({ split }) => split === 'train');
  const bytes = new Uint8Array(readFileSync(join(data, 'nir/cnn_sinabs.nir')));
  const read = await readNirNetwork(bytes, {
    dt: BIN * 1e-6,
    reset: 'subtract',
    maxSpikesPerStep: 255,
    inputSpikesPerStep: 4096,
    synapse: 'delta',
    name: 'cnn_sinabs.nir',
  });
  const network = defineNetwork(read.network) as FloatNetwork;
  const [input, output] = [read.inputs[0]!, Object.values(read.outputs)[0]!];
  const right = async (on: Device, of: SpikingNetwork): Promise<number> => {
    const engine = await createEngine(of, { device: on }, { batch: BATCH });
    let hits = 0;
    for (let from = 0; from < test.length; from += BATCH) {
      const part = test.slice(from, from + BATCH);
      const { spikeCounts } = await engine.run({ inputs: { [input]: trainOf(part) } });
      const size = spikeCounts[output]!.length / part.length;
      const { labels } = decodeSpikeCount(spikeCounts[output]!, { neurons: size });
      part.forEach(({ label }, b) => (hits += Number(labels[b] === label)));
      say(`${on.id}: ${from + part.length} of ${test.length}`);
    }
    await engine.close();
    return hits;
  };

  await using wasm = await createWasmDevice();
  await using gpu = await createWebGpuDevice();
  const { network: fixed, populations } = await quantiseNetwork(network, {
    home: { device: wasm },
    inputs: { [input]: trainOf(train.slice(0, 20)) },
  });
  const results = {
    'float, Wasm': await right(wasm, network),
    'float, WebGPU': await right(gpu, network),
    'int8, Wasm': await right(wasm, fixed),
    'int8, WebGPU': await right(gpu, fixed),
  };
  table({
    title: `cnn_sinabs.nir on ${test.length} N-MNIST test recordings`,
    columns: ['network, backend', 'right'],
    rows: Object.entries(results),
    note: `${STEPS} steps of ${BIN / 1000} ms, several spikes a step, reset by subtraction; int8 calibrated on 20 training recordings: ${populations
      .map(({ name, error }) => `${name} off by ${(100 * error).toFixed(1)} %`)
      .join(', ')}`,
  });
  bar(BARS[0], '>=', test.length, results['float, Wasm'], '');
  bar(BARS[1], '>=', test.length, results['float, WebGPU'], '');
  bar(BARS[2], '>=', 0.98 * test.length, Math.min(results['int8, Wasm'], results['int8, WebGPU']), '');
}

function trainOf(part: readonly Recording[]): SpikeTrain {
  return encodeEvents(part, { width: SIDE, height: SIDE, binWidth: BIN, steps: STEPS });
}
