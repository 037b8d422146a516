/**
 * Generates digits with the runtime itself and says how many of them the project's own spiking network takes for what was asked:
 * `node bench/run.mjs models/dit/measure.ts [--count 500] [--size 32] [--guidance 2] [--steps 20] [--out FILE]`. With `--out` the pictures are written as an
 * IDX file, for `measure.py`, which asks the independent judge.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createDit, generateImages, readDitModel } from '../../host/dit/index.js';
import { classifyDigits } from './classify.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '500' },
    size: { type: 'string', default: '32' },
    guidance: { type: 'string', default: '2' },
    steps: { type: 'string', default: '20' },
    threads: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const [count, size, guidance, steps, threads] = [
  values.count,
  values.size,
  values.guidance,
  values.steps,
  values.threads,
].map(Number) as [number, number, number, number, number];

const device = await createWasmDevice({ threads });
const dit = createDit(device, readDitModel(new Uint8Array(readFileSync('models/dit/digits.safetensors'))));
const classes = Array.from({ length: count }, (_, i) => i % 10);
const pictures = await generateImages(dit, { classes, size, guidance, steps, seed: 1000 });
const labels = await classifyDigits(device, pictures);
const right = labels.filter((label, i) => label === classes[i]).length;
console.log(
  `${count} digits of ${size} px, guidance ${guidance}, ${steps} Euler steps: ${((100 * right) / count).toFixed(1)} % by the spiking network`,
);
if (values.out !== undefined) {
  const header = Buffer.alloc(16);
  [0x803, count, size, size].forEach((word, i) => header.writeUInt32BE(word, 4 * i));
  writeFileSync(values.out, Buffer.concat([header, ...pictures.map(({ pixels }) => pixels)]));
}
await device.close();
