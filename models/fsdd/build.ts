/**
 * Turns what train.py wrote into recurrent.safetensors, and expected.json with the label that it gives to each test recording, after running it on the test recordings: oracle and Wasm must give every
 * potential that the trainer's own integer forward pass gave. `node bench/run.mjs models/fsdd/build.ts <training.json> [folder]`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import {
  countSynapses,
  createEngine,
  decodeMembrane,
  defineNetwork,
  encodeCochlea,
  saveNetwork,
  sparseFromEntries,
  type FixedProjectionDescription,
} from '../../host/snn/index.js';
import { readFsdd } from './read-fsdd.js';

interface Training {
  /** Row-major [pre][post]. */
  readonly input: readonly number[];
  readonly recurrent: readonly number[];
  readonly output: readonly number[];
  readonly hidden: number;
  readonly units: number;
  readonly leakShift: readonly number[];
  readonly threshold: number;
  /** Final potentials of the read-outs, per tested recording. */
  readonly potentials: readonly (readonly number[])[];
  /** digit, speaker (alphabetical), take. */
  readonly tested: readonly (readonly [number, number, number])[];
}

const [source, folder = 'models/fsdd'] = process.argv.slice(2);
if (source === undefined) {
  console.error('usage: node bench/run.mjs models/fsdd/build.ts <training.json> [folder]');
  process.exit(2);
}
const trained = JSON.parse(readFileSync(source, 'utf8')) as Training;
const { hidden, units } = trained;
const projection = (
  from: string,
  to: string,
  weights: readonly number[],
  posts: number,
): FixedProjectionDescription => {
  const entries = [...weights.entries()].filter(([, weight]) => weight !== 0);
  const rows = sparseFromEntries({
    preSize: weights.length / posts,
    postSize: posts,
    pre: entries.map(([at]) => Math.floor(at / posts)),
    post: entries.map(([at]) => at % posts),
    weights: entries.map(([, weight]) => weight),
  });
  return { from, to, ...rows, weights: Int8Array.from(rows.weights) };
};
const network = defineNetwork({
  name: 'fsdd-recurrent',
  numeric: 'fixed',
  populations: [
    { name: 'input', model: 'input', size: units },
    {
      name: 'hidden',
      model: 'lif',
      size: hidden,
      leakShift: Array.from(
        { length: hidden },
        (_, n) => trained.leakShift[Math.floor((n * trained.leakShift.length) / hidden)]!,
      ),
      threshold: trained.threshold,
      reset: { kind: 'subtract' },
    },
    { name: 'output', model: 'li', size: 10 },
  ],
  projections: [
    projection('input', 'hidden', trained.input, hidden),
    { ...projection('hidden', 'hidden', trained.recurrent, hidden), delay: 1 },
    projection('hidden', 'output', trained.output, 10),
  ],
});

const recordings = readFsdd(process.env['TUTTI_DATA'] ?? '../shared/data');
const speakers = [...new Set(recordings.map((r) => r.speaker))].sort();
const tested = trained.tested.map(([digit, speaker, take]) =>
  recordings.find((r) => r.digit === digit && r.speaker === speakers[speaker] && r.take === take)!,
);
let given: readonly number[] = [];
for (const open of [createOracleDevice, createWasmDevice]) {
  const device = await open();
  const engine = await createEngine(network, { device }, { batch: tested.length });
  const input = await encodeCochlea(
    tested.map(({ sound }) => sound),
    { device },
  );
  const result = await engine.run({ inputs: { input }, record: { final: ['output'] } });
  const potentials = result.final['output']!;
  trained.potentials.flat().forEach((potential, i) => {
    if (potential === potentials[i]) return;
    throw new Error(
      `${device.id}: recording ${Math.floor(i / 10)}, read-out ${i % 10}: ${potentials[i]}, the trainer has ${potential}`,
    );
  });
  const { labels } = decodeMembrane(potentials, { neurons: 10 });
  given = [...labels];
  const right = tested.filter(({ digit }, i) => digit === labels[i]).length;
  console.log(
    `${device.id}: as the trainer; ${right} of ${tested.length}; per recording ${(input.ids.length / tested.length).toFixed(0)} input spikes, ` +
      `${(result.synapticEvents / tested.length).toFixed(0)} synaptic operations`,
  );
  await device.close();
}
for (const p of network.projections) console.log(`${p.name}: ${countSynapses(p)} synapses`);
writeFileSync(join(folder, 'recurrent.safetensors'), saveNetwork(network));
const expected = tested.map(({ digit, speaker, take }, i) => ({ digit, speaker, take, label: given[i] }));
writeFileSync(join(folder, 'expected.json'), `[\n${expected.map((entry) => JSON.stringify(entry)).join(',\n')}\n]\n`);
