/** The recurrent speech network on the synapse machine: all 300 test recordings through the cycle model, labels checked against the Wasm engine. */
import { readFileSync } from 'node:fs';
import { createWasmDevice } from '../../host/device/wasm.js';
import { energyOf } from '../../host/fpga/energy.js';
import {
  compileNetwork,
  createCycleModel,
  createEngine,
  decodeMembrane,
  DEFAULT_MACHINE,
  encodeCochlea,
  inputWords,
  loadNetwork,
  readOutput,
  type FixedNetwork,
} from '../../host/snn/index.js';
import { machineSteps } from '../../host/snn/machine/program.js';
import { readFsdd } from '../../models/fsdd/read-fsdd.js';
import type { BenchContext } from '../report.js';

const MEGAHERTZ = 100;

export async function benchSupraSpeech({ quick, data, table, bar }: BenchContext): Promise<void> {
  const network = loadNetwork(new Uint8Array(readFileSync('models/fsdd/recurrent.safetensors'))) as FixedNetwork;
  const all = readFsdd(data);
  const test = all.filter(({ take }) => take < 5).filter((_, i) => !quick || i % 5 === 0);
  await using device = await createWasmDevice();
  const encode = (part: typeof all) =>
    encodeCochlea(
      part.map(({ sound }) => sound),
      { device },
    );
  // Of other takes than those tested.
  const calibration = await encode(all.filter(({ take }) => take === 20));
  const program = compileNetwork(network, {
    machine: DEFAULT_MACHINE,
    record: [],
    calibration: { inputs: { input: calibration }, samples: 24 },
  });
  const train = await encode(test);
  const engine = await createEngine(network, { device }, { batch: test.length });
  const { final, spikeCounts } = await engine.run({ inputs: { input: train }, record: { final: ['output'] } });
  const expected = decodeMembrane(final['output']!, { neurons: 10 }).labels;
  await engine.close();

  const out = program.populations.find((p) => p.name === 'output')!;
  const range = { first: out.firstNeuron, count: out.size, everyStep: false };
  const model = createCycleModel(program, range);
  const inputs = new Map([['input', train]]);
  const steps = machineSteps(program, train.steps);
  let [right, same, cycles, most, operations] = [0, 0, 0, 0, 0];
  test.forEach(({ digit }, sample) => {
    const words = model.run(inputWords(program, inputs, sample, { steps: train.steps, tag: 0 }));
    const output = readOutput(words, 0, steps, range);
    cycles += output.cycles;
    operations += output.operations;
    most = Math.max(most, output.cycles);
    const potential = (n: number): number => output.potentials[program.placement[out.offset + n]! - out.firstNeuron]!;
    let label = 0;
    for (let n = 1; n < 10; n++) if (potential(n) > potential(label)) label = n;
    if (label === digit) right++;
    if (label === expected[sample]) same++;
  });
  const count = test.length;
  const spikes = spikeCounts['hidden']!.reduce((a, b) => a + b, 0) / count;
  const energy = energyOf({
    machine: DEFAULT_MACHINE,
    megahertz: MEGAHERTZ,
    cycles: cycles / count,
    operations: operations / count,
    axons: (train.ids.length / count + spikes) * DEFAULT_MACHINE.ports,
    neuronUpdates: program.neurons * steps,
  });
  table({
    title: 'Recurrent networks on FPGA machines',
    columns: ['machine', 'task', 'accuracy %', 'latency us', 'slowest us', 'energy mJ'],
    rows: [
      ['SupraSNN 2026, XC7Z030', 'SHD', 71.82, 1410, undefined, 0.77],
      ['Spiker+ 2024', 'SHD', 72.99, 54, undefined, undefined],
      [
        `tutti, ${program.synapses.toLocaleString('en')} synapses, ${DEFAULT_MACHINE.spus} SPUs`,
        'FSDD',
        (100 * right) / count,
        cycles / count / MEGAHERTZ,
        most / MEGAHERTZ,
        energy.millijoules,
      ],
    ],
    note: `FSDD is another task than SHD, whose files were not to be had: the accuracies cannot be compared. ${count} recordings, cycle model, ${MEGAHERTZ} MHz assumed`,
  });
  bar('speech: accuracy on the test takes', '>=', 90, (100 * right) / count, '%');
  bar("speech: recordings with the Wasm engine's label", '>=', count, same, '');
  bar(`speech: latency at ${MEGAHERTZ} MHz`, '<=', 1400, cycles / count / MEGAHERTZ, 'us');
}
