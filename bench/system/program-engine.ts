/** The two ways of running a fixed-point network in software, side by side: kernel by kernel (scatter), and as a program of the machine. */
import { readFileSync } from 'node:fs';
import type { Device } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  createEngine,
  defineNetwork,
  encodeLatency,
  encodeRate,
  loadNetwork,
  parseIdx,
  randomSparse,
  type RunRequest,
  type SeededRandom,
  type SpikingEngine,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { interleaved, median, type BenchContext } from '../report.js';

interface Subject {
  readonly name: string;
  readonly network: SpikingNetwork;
  readonly batch: number;
  /** Of a software GPU, which would take minutes. */
  readonly smallBatch: number;
  request(batch: number): RunRequest;
}

export async function benchProgramEngine({ quick, say, table }: BenchContext): Promise<void> {
  const rows: (string | number | undefined)[][] = [];
  for (const [backend, open] of Object.entries({
    'Wasm, 1 thread': () => createWasmDevice(),
    'Wasm, 2 threads': () => createWasmDevice({ threads: 2 }),
    WebGPU: () => createWebGpuDevice(),
  })) {
    let device: Device;
    try {
      device = await open();
    } catch (error) {
      say(`${backend}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    for (const subject of subjects()) {
      say(`${subject.name} on ${backend}`);
      const slow = device.capabilities.software;
      const batch = slow ? subject.smallBatch : subject.batch;
      const request = subject.request(batch);
      const began = performance.now();
      const machine = await createEngine(subject.network, { device }, { batch, execution: 'machine' });
      const made = (performance.now() - began) / 1000;
      const scatter = await createEngine(subject.network, { device }, { batch });
      let events = 0;
      const time = (engine: SpikingEngine) => async (): Promise<number> => {
        const result = await engine.run(request);
        events = result.synapticEvents;
        return result.seconds;
      };
      await Promise.all([time(scatter)(), time(machine)()]);
      const seconds = await interleaved(slow ? 3 : quick ? 5 : 11, { scatter: time(scatter), machine: time(machine) });
      const [a, b] = [median(seconds.scatter), median(seconds.machine)];
      rows.push([subject.name, backend, batch, events / batch, events / a, events / b, a / b, made]);
      await scatter.close();
      await machine.close();
    }
    await device.close();
  }
  table({
    title: 'Scatter engine and program engine',
    columns: [
      'network',
      'backend',
      'batch',
      'events/sample',
      'scatter, events/s',
      'program, events/s',
      'ratio',
      'made in, s',
    ],
    rows,
    note: 'medians of interleaved runs, inputs in host memory to results in host memory; ratio above 1: the program is faster',
  });
}

function subjects(): Subject[] {
  const file = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/mnist/${name}`));
  const recipe = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
    steps: number;
    pixelThreshold: number;
  };
  const images = parseIdx(file('t200-images.idx3-ubyte')).data;
  const digits = ['dense', 'sparse'].map((name): Subject => ({
    name: `MNIST, ${name}`,
    network: loadNetwork(file(`${name}.safetensors`)),
    batch: 200,
    smallBatch: 20,
    request: (batch) => ({
      inputs: {
        input: encodeLatency(images.subarray(0, 784 * batch), {
          neurons: 784,
          steps: recipe.steps,
          threshold: recipe.pixelThreshold,
        }),
      },
      record: { final: ['output'] },
    }),
  }));
  return [
    ...digits,
    {
      name: 'recurrent, 512 neurons',
      network: layered('recurrent', [128, 512], { inDegree: 96, loops: 64 }),
      batch: 16,
      smallBatch: 2,
      request: rates(128, 60),
    },
    {
      name: 'sparse, 24,000 neurons',
      network: layered('sparse', [8000, 12_000, 12_000], { inDegree: 100, loops: 0 }),
      batch: 1,
      smallBatch: 1,
      request: rates(8000, 20),
    },
  ];
}

/** Layers of leaky neurons, each fed by the one before it and, where it has loops, by itself; the last one is recorded. */
function layered(
  name: string,
  sizes: readonly number[],
  { inDegree, loops }: { inDegree: number; loops: number },
): SpikingNetwork {
  const weight = (_pre: number, _post: number, random: SeededRandom): number => 40 + random.below(88);
  const balanced = (_pre: number, _post: number, random: SeededRandom): number => random.below(161) - 90;
  const part = (pre: number, post: number, degree: number, seed: number, draw = weight) =>
    randomSparse({ pre, post, inDegree: degree, weight: draw, seed, numeric: 'fixed' });
  return defineNetwork({
    name,
    numeric: 'fixed',
    populations: sizes.map((size, i) =>
      i === 0
        ? ({ name: 'layer0', model: 'input', size } as const)
        : ({ name: `layer${i}`, model: 'lif', size, leakShift: 2, threshold: 6 * inDegree } as const),
    ),
    projections: sizes.slice(1).flatMap((size, i) => [
      { from: `layer${i}`, to: `layer${i + 1}`, ...part(sizes[i]!, size, inDegree, 7 + i) },
      ...(loops > 0
        ? [
            {
              from: `layer${i + 1}`,
              to: `layer${i + 1}`,
              delay: 1,
              ...part(size, size, loops, 70 + i, balanced),
            },
          ]
        : []),
    ]),
  });
}

/** Every input neuron fires in a tenth of the steps. */
const rates =
  (neurons: number, steps: number) =>
  (batch: number): RunRequest => ({
    inputs: {
      layer0: encodeRate(new Float32Array(batch * neurons).fill(1), { neurons, steps, maxRate: 0.1, seed: 3 }),
    },
  });
