/** How the engine scales: over threads, and over network size from a thousand to a million neurons. */
import { cpus } from 'node:os';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createEngine } from '../../host/snn/index.js';
import { interleaved, median, type BenchContext } from '../report.js';
import { cubaNetwork } from './cuba.js';

export async function benchScaling({ quick, say, table }: BenchContext): Promise<void> {
  const cores = cpus().length;
  const counts = [...new Set([1, 2, 4, 8, 16].filter((n) => n <= cores).concat(cores))];
  const rows: (string | number | undefined)[][] = [];
  for (const neurons of quick ? [1000, 10_000, 100_000] : [1000, 4000, 20_000, 100_000, 1_000_000]) {
    say(`scaling: ${neurons} neurons`);
    const network = cubaNetwork(neurons, 5);
    const steps = Math.max(300, Math.min(10_000, Math.round(5e7 / neurons)));
    let events = 0;
    let bytes = 0;
    const run = (threads: number) => async (): Promise<number> => {
      const device = await createWasmDevice({ threads, memoryBudget: 3 * 2 ** 30 });
      const engine = await createEngine(network, { device });
      await engine.run({ steps: 200 });
      const result = await engine.run({ steps });
      events = result.synapticEvents;
      bytes = device.memory.peak;
      await device.close();
      return result.seconds;
    };
    const times = await interleaved(quick ? 3 : 5, Object.fromEntries(counts.map((n) => [String(n), run(n)])));
    const single = median(times['1']!);
    for (const n of counts) {
      const time = median(times[String(n)]!);
      rows.push([
        neurons,
        n,
        (time / steps) * 1e6,
        (neurons * steps) / time,
        events / time,
        single / time,
        bytes / 2 ** 20,
      ]);
    }
  }
  table({
    title: 'Scaling: CUBA at in-degree 80',
    columns: ['neurons', 'threads', 'µs per step', 'neuron updates/s', 'synaptic events/s', 'speed-up', 'memory, MiB'],
    rows,
    note: 'the start of the run, from random potentials, is part of it; rates differ from the stationary ones',
  });
}
