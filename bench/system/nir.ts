/** Our float LIF, and the traces of other simulators, against the analytic solution (data of the NIR project). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createEngine, spikeTrain } from '../../host/snn/index.js';
import type { BenchContext } from '../report.js';

const parse = (path: string): number[][] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number));

export async function benchNir({ data, table, bar }: BenchContext): Promise<void> {
  const exact = parse('test/data/nir/lif_exact.csv');
  const run = async (reset: 'crossing' | 'value'): Promise<number[]> => {
    const device = await createWasmDevice();
    const engine = await createEngine(
      {
        numeric: 'float32',
        dt: 1e-4,
        populations: [
          { name: 'input', model: 'input', size: 1 },
          { name: 'lif', model: 'lif', size: 1, tau: 2.5e-3, threshold: 0.1, reset: { kind: reset } },
        ],
        projections: [{ from: 'input', to: 'lif', kind: 'dense', weights: [1] }],
      },
      { device },
    );
    const train = spikeTrain(
      exact.map(([spike]) => [spike ? [0] : []]),
      1,
    );
    const result = await engine.run({ inputs: { input: train }, record: { membrane: [{ population: 'lif' }] } });
    await device.close();
    return [...result.membranes['lif']!.values];
  };
  const distance = (trace: readonly number[]): number =>
    trace.reduce((worst, v, i) => Math.max(worst, Math.abs(v - exact[i]![1]!)), 0);
  const ours = distance(await run('crossing'));
  const rows: (string | number)[][] = [
    ['tutti, reset at the crossing', ours.toExponential(2)],
    ['tutti, reset at the end of the step', distance(await run('value')).toExponential(2)],
  ];
  const folder = join(data, 'nir');
  if (existsSync(folder)) {
    for (const file of readdirSync(folder).filter((name) => /^lif_.*\.csv$/.test(name) && name !== 'lif_exact.csv')) {
      const trace = parse(join(folder, file));
      if (trace.length === exact.length)
        rows.push([file.slice(4, -4), distance(trace.map((row) => row[1]!)).toExponential(2)]);
    }
  }
  bar('float LIF, largest distance to the exact trace over 1,000 steps', '<=', 1e-4, ours, '');
  table({
    title: 'LIF reference trace: largest distance of the membrane potential to the analytic solution',
    columns: ['simulator', 'distance'],
    rows,
    note: 'others as recorded by the NIR project (TUTTI_DATA/nir); they shift, scale or reset differently',
  });
}
