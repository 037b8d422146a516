/** How long the compiler takes, and how much memory, from twenty thousand to ten million synapses. */
import { compileNetwork } from '../../host/snn/compile/compile.js';
import { defineNetwork, seededRandom, type FixedNetwork } from '../../host/snn/index.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import type { BenchContext } from '../report.js';

/** Inputs, recurrent neurons, share of the synapses that there are. */
const SIZES: readonly (readonly [inputs: number, hidden: number, density: number])[] = [
  [512, 256, 0.1],
  [2048, 1024, 0.32],
  [8192, 4096, 0.2],
];

export function benchCompileTime({ quick, table, bar, say }: BenchContext): Promise<void> {
  const rows = SIZES.slice(0, quick ? 2 : 3).map(([inputs, hidden, density]) => {
    const network = recurrent(inputs, hidden, density);
    say(`compiling ${network.synapses.toLocaleString('en')} synapses`);
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const program = compileNetwork(network, { machine: machineFor(inputs, hidden, network.synapses) });
    const seconds = (performance.now() - start) / 1000;
    // The largest resident set so far is that of the largest network so far: they come in order of size.
    const megabytes = process.resourceUsage().maxRSS / 1024 - before / 2 ** 20;
    return { synapses: program.synapses, seconds, megabytes };
  });
  table({
    title: 'Compiling recurrent networks, co-optimised, without calibration inputs',
    columns: ['synapses', 'seconds', 'MB more than before', 'bytes/synapse'],
    rows: rows.map(({ synapses, seconds, megabytes }) => [
      synapses,
      seconds,
      megabytes,
      (megabytes * 2 ** 20) / synapses,
    ]),
    note: 'one run each; memory is the peak of the resident set, garbage included',
  });
  bar('compile time, 20,000 synapses', '<=', 2, rows[0]!.seconds, 's');
  bar('compile time, 10 million synapses', '<=', 60, rows[2]?.seconds, 's');
  return Promise.resolve();
}

function machineFor(inputs: number, hidden: number, synapses: number): MachineConfig {
  if (synapses < 50_000) return DEFAULT_MACHINE;
  return {
    ...DEFAULT_MACHINE,
    ...{ spus: 64, ports: 4, lanes: 16, operations: 2 ** 20, accumulators: 2 * hidden },
    ...{ axons: 16 * inputs, neurons: 2 * hidden, queue: 2 ** 14 },
  };
}

function recurrent(inputs: number, hidden: number, density: number): FixedNetwork {
  const random = seededRandom(7);
  const sparse = (from: number, to: number) => {
    const rowStart = new Uint32Array(from + 1);
    const columns = new Uint32Array(from * to);
    const weights = new Int8Array(from * to);
    let n = 0;
    for (let i = 0; i < from; i++) {
      for (let j = 0; j < to; j++) {
        if (random.uniform() >= density) continue;
        columns[n] = j;
        weights[n++] = random.below(200) - 100 || 1;
      }
      rowStart[i + 1] = n;
    }
    return { kind: 'sparse' as const, rowStart, columns: columns.slice(0, n), weights: weights.slice(0, n) };
  };
  return defineNetwork({
    name: `recurrent ${inputs}-${hidden}`,
    numeric: 'fixed',
    populations: [
      { name: 'input', model: 'input', size: inputs },
      { name: 'hidden', model: 'lif', size: hidden, leakShift: 3, threshold: 400, reset: { kind: 'subtract' } },
      { name: 'output', model: 'li', size: 10 },
    ],
    projections: [
      { from: 'input', to: 'hidden', ...sparse(inputs, hidden) },
      { from: 'hidden', to: 'hidden', ...sparse(hidden, hidden) },
      { from: 'hidden', to: 'output', ...sparse(hidden, 10) },
    ],
  }) as FixedNetwork;
}
