/** `npm run bench:snn [-- --quick] [--json] [--only mnist,cuba,scaling,kernels,start,nir]`. */
import { benchKernels } from '../micro/snn.js';
import { runBenchmark, type BenchContext } from '../report.js';
import { benchCuba } from './cuba-bench.js';
import { benchMnist } from './mnist.js';
import { benchNir } from './nir.js';
import { benchScaling } from './scaling.js';
import { benchStart } from './start.js';

const parts: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  mnist: benchMnist,
  cuba: benchCuba,
  scaling: benchScaling,
  kernels: benchKernels,
  nir: benchNir,
  start: benchStart,
};

const at = process.argv.indexOf('--only');
const chosen = at < 0 ? Object.keys(parts) : (process.argv[at + 1] ?? '').split(',');
const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
await runBenchmark('bench:snn', async (context) => {
  for (const name of chosen) {
    context.say(`part ${name}`);
    await parts[name]!(context);
  }
});
