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
    const rates: Record<string, number[]> = { brian64: [], brian32: [], wasm: [], general: [] };
    /** Builds one of Brian2's programs; the function returned runs it once. */
    const buildBrian = (key: 'brian64' | 'brian32'): (() => number) => {
      const home = join(folder, key);
      const args = [resolve('bench/peers/cuba_brian2.py'), String(neurons), String(seconds), home];
      execFileSync(PYTHON, key === 'brian32' ? [...args, 'float32'] : args, { stdio: 'ignore' });
      return () => {
        execFileSync(join(home, 'main'), { cwd: home, stdio: 'ignore' });
        const results = join(home, 'results');
        const count = readdirSync(results).find((name) => name.startsWith('_array_spikemonitor_N_'))!;
        rates[key]!.push(readFileSync(join(results, count)).readInt32LE(0) / neurons / seconds);
        return (Number(readFileSync(join(results, 'wall.txt'), 'utf8')) * 1000) / seconds;
      };
    };
    try {
      const rounds = quick ? 5 : 9;
      let round = 0;
      const ours = async (form: 'auto' | 'general', threads: number): Promise<number> => {
        const device = await createWasmDevice({ threads });
        // A new network in every round, as Brian2 draws one.
        const engine = await createEngine(cubaNetwork(neurons, 1000 * (round + 1)), { device }, { neurons: form });
        // Two thousand steps take the optimising compiler past its tier-up.
        await engine.run({ steps: 2000 });
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
      if (brian) say(`building Brian2's programs for ${neurons} neurons`);
      const contestants: Record<string, () => Promise<number> | number> = {
        ...(brian ? { brian64: buildBrian('brian64'), brian32: buildBrian('brian32') } : {}),
        general: () => ours('general', 1),
        wasm: () => ours('auto', 1),
      };
      const times = await interleaved(rounds, contestants);
      const mean = (values: readonly number[]): number | undefined =>
        values.length ? values.reduce((a, b) => a + b, 0) / values.length : undefined;
      const peer = times['brian64'] ? median(times['brian64']) : undefined;
      const fast = median(times['wasm']!);
      // Each round's runs stand side by side: a ratio is taken within the round.
      const over = (key: string): number | undefined =>
        times[key] && median(times[key].map((time, i) => time / times['wasm']![i]!));
      const [ratio, ratio32] = [over('brian64'), over('brian32')];
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
      row('Brian2 2.5 C++ standalone, 1 thread, float64 (default)', 'brian64');
      row('Brian2 2.5 C++ standalone, 1 thread, float32', 'brian32');
      row('tutti Wasm, 1 thread, general form', 'general');
      row('tutti Wasm, 1 thread', 'wasm');
      if (neurons === 4000) {
        bar('CUBA 4,000: speed over Brian2 C++ standalone, one Wasm thread', '>=', 2.5, ratio, 'x');
        const [a, b] = [mean(rates['wasm']!), mean(rates['brian64']!)];
        bar(
          'CUBA 4,000: difference of mean firing rates',
          '<=',
          10,
          a && b ? 100 * Math.abs(a / b - 1) : undefined,
          '%',
        );
      } else bar('CUBA 20,000: speed over Brian2 C++ standalone, one Wasm thread', '>=', 2.5, ratio, 'x');
      bar(
        `CUBA ${neurons.toLocaleString('en')}: speed over Brian2's float32 build, one Wasm thread`,
        '>=',
        2.5,
        ratio32,
        'x',
      );
      say(
        `CUBA ${neurons}: ${fast.toFixed(1)} ms per biological second${ratio ? `, ${ratio.toFixed(2)} x Brian2, ${ratio32!.toFixed(2)} x its float32 build` : ''}`,
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
    note: 'medians of interleaved runs, each on a newly drawn network; Brian2 with -O3 -march=native -ffast-math; wall-clock time for all',
  });
}
