/** cnn_sinabs.nir (a convolutional network of another simulator) on N-MNIST recordings: float on every backend, then quantised. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  decodeSpikeCount,
  defineNetwork,
  encodeEvents,
  type EventStream,
  type FloatNetwork,
  type SpikeTrain,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { readNirNetwork } from '../../host/snn/nir/index.js';
import { quantiseNetwork } from '../../host/snn/quantise/quantise-network.js';
import type { BenchContext } from '../report.js';

/** Microseconds of a step. */
const BIN = 10_000;
const STEPS = 30;
const SIDE = 34;
const BATCH = 10;

interface Recording {
  readonly split: 'train' | 'test';
  readonly label: number;
  readonly stream: EventStream;
}

export async function benchNmnist({ quick, data, say, table, bar }: BenchContext): Promise<void> {
  const recordings = readRecordings(data);
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
  bar('N-MNIST, float, Wasm', '>=', test.length, results['float, Wasm'], '');
  bar('N-MNIST, float, WebGPU', '>=', test.length, results['float, WebGPU'], '');
  bar('N-MNIST, int8', '>=', 0.98 * test.length, Math.min(results['int8, Wasm'], results['int8, WebGPU']), '');
}

function trainOf(part: readonly Recording[]): SpikeTrain {
  return encodeEvents(
    part.map(({ stream }) => stream),
    { width: SIDE, height: SIDE, binWidth: BIN, steps: STEPS },
  );
}

/** x of every event, then y with the polarity in its highest bit, then the time since the event before as LEB128. */
function readRecordings(data: string): Recording[] {
  const index = JSON.parse(readFileSync(join(data, 'nmnist-small/index.json'), 'utf8')) as {
    readonly totalEvents: number;
    readonly samples: readonly { split: 'train' | 'test'; label: number; events: number }[];
  };
  const bytes = gunzipSync(readFileSync(join(data, 'nmnist-small/nmnist1100_events.col.gz')));
  const total = index.totalEvents;
  let event = 0;
  let at = 2 * total;
  return index.samples.map(({ split, label, events }) => {
    const x = bytes.subarray(event, event + events);
    const marked = bytes.subarray(total + event, total + event + events);
    const t = new Float64Array(events);
    let time = 0;
    for (let i = 0; i < events; i++) {
      let delta = 0;
      for (let shift = 1; ; shift *= 128) {
        const byte = bytes[at++]!;
        delta += (byte & 127) * shift;
        if (byte < 128) break;
      }
      t[i] = time += delta;
    }
    event += events;
    const stream = { x, y: marked.map((v) => v & 127), polarity: marked.map((v) => v >> 7), t };
    return { split, label, stream };
  });
}
