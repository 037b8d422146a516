/** CUBA against Brian2's C++ standalone mode: the same equations, one thread each, interleaved in one run. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createEngine } from '../../host/snn/index.js';
import { interleaved, median, type BenchContext } from '../report.js';
import { cubaNetwork } from './cuba.js';

const PYTHON = process.env.TUTTI_BRIAN_PYTHON ?? '/usr/bin/python3';

export async function benchCuba({ quick, say, table, bar }: BenchContext): Promise<void> {
  const rows: (string | number | undefined)[][] = [];
  const probe = spawnSync(PYTHON, ['-c', 'import brian2'], { stdio: 'ignore' });
  const brian = probe.status === 0;
  if (!brian)
    say(`Brian2 is not here (${PYTHON} -c "import brian2" failed): install Debian's python3-brian to compare`);
  for (const neurons of quick ? [4000] : [4000, 20_000]) {
    const seconds = 1;
    const folder = mkdtempSync(join(tmpdir(), 'tutti-cuba-'));
    try {
      if (brian) {
        say(`building Brian2's program for ${neurons} neurons`);
        execFileSync(PYTHON, [resolve('bench/peers/cuba_brian2.py'), String(neurons), String(seconds), folder], {
          stdio: ['ignore', 'ignore', 'ignore'],
        });
      }
      const rates: Record<string, number[]> = { brian: [], wasm: [], general: [] };
      const rounds = quick ? 5 : 9;
      let round = 0;
      const ours = async (form: 'auto' | 'general', threads: number): Promise<number> => {
        const device = await createWasmDevice({ threads });
        // A new network in every round, as Brian2 draws one.
        const engine = await createEngine(cubaNetwork(neurons, 1000 * (round + 1)), { device }, { neurons: form });
        await engine.run({ steps: 100 });
        const result = await engine.run({ steps: seconds * 10_000 });
        await device.close();
        const spikes = Object.values(result.spikeCounts).reduce(
          (sum, counts) => sum + counts.reduce((a, b) => a + b, 0),
          0,
        );
        rates[form === 'auto' ? 'wasm' : 'general']!.push(spikes / neurons / seconds);
        if (form === 'auto' && threads === 1) round++;
        return (result.seconds * 1000) / seconds;
      };
      const contestants: Record<string, () => Promise<number> | number> = {
        ...(brian
          ? {
              brian: () => {
                execFileSync(join(folder, 'main'), { cwd: folder, stdio: 'ignore' });
                const results = join(folder, 'results');
                const count = readdirSync(results).find((name) => name.startsWith('_array_spikemonitor_N_'))!;
                rates['brian']!.push(readFileSync(join(results, count)).readInt32LE(0) / neurons / seconds);
                return (
                  (Number(readFileSync(join(results, 'last_run_info.txt'), 'utf8').split(' ')[0]) * 1000) / seconds
                );
              },
            }
          : {}),
        general: () => ours('general', 1),
        wasm: () => ours('auto', 1),
      };
      const times = await interleaved(rounds, contestants);
      const mean = (values: readonly number[]): number | undefined =>
        values.length ? values.reduce((a, b) => a + b, 0) / values.length : undefined;
      const peer = times['brian'] ? median(times['brian']) : undefined;
      const fast = median(times['wasm']!);
      // Each round's two runs stand side by side: the ratio is taken within the round.
      const ratio = times['brian'] ? median(times['brian'].map((time, i) => time / times['wasm']![i]!)) : undefined;
      const row = (who: string, key: string): void => {
        const time = times[key] ? median(times[key]) : undefined;
        const rate = mean(rates[key]!);
        rows.push([
          neurons,
          who,
          time,
          peer && time ? peer / time : undefined,
          rate,
          rate && time ? (rate * neurons * 80 * seconds * 1000) / time : undefined,
          time ? (neurons * 10_000 * 1000) / time : undefined,
        ]);
      };
      row('Brian2 2.5 C++ standalone, 1 thread', 'brian');
      row('tutti Wasm, 1 thread, general form', 'general');
      row('tutti Wasm, 1 thread', 'wasm');
      if (neurons === 4000) {
        bar('CUBA 4,000: speed over Brian2 C++ standalone, one Wasm thread', '>=', 2.5, ratio, 'x');
        const [a, b] = [mean(rates['wasm']!), mean(rates['brian']!)];
        bar(
          'CUBA 4,000: difference of mean firing rates',
          '<=',
          10,
          a && b ? 100 * Math.abs(a / b - 1) : undefined,
          '%',
        );
      } else bar('CUBA 20,000: speed over Brian2 C++ standalone, one Wasm thread', '>=', 2.5, ratio, 'x');
      say(
        `CUBA ${neurons}: ${fast.toFixed(1)} ms per biological second${ratio ? `, ${ratio.toFixed(2)} x Brian2` : ''}`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  table({
    title:
      'CUBA (Vogels and Abbott), dt 0.1 ms, 1 s of biology; the simulation loop alone, set-up and compilation excluded',
    columns: [
      'neurons',
      'simulator',
      'ms per biological s',
      'speed-up',
      'rate, Hz',
      'synaptic events/s',
      'neuron updates/s',
    ],
    rows,
    note: 'medians of interleaved runs, each on a newly drawn network; Brian2 with -O3 -march=native -ffast-math, float64 (its default)',
  });
}
