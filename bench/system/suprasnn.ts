/** `npm run bench:suprasnn [-- --quick] [--json] [--only mnist,strategies,compile-time,rtl,engines,speech,speech-machine,nmnist]`. */
import { runBenchmark, type BenchContext } from '../report.js';
import { benchNmnist } from './nmnist.js';
import { benchProgramEngine } from './program-engine.js';
import { benchRtl } from './rtl.js';
import { benchSpeech } from './speech.js';
import { benchCompileTime } from './suprasnn-compile-time.js';
import { benchSupraSpeech } from './suprasnn-speech.js';
import { benchSupraMnist } from './suprasnn-mnist.js';
import { benchStrategies } from './suprasnn-strategies.js';

const parts: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  mnist: benchSupraMnist,
  strategies: benchStrategies,
  'compile-time': benchCompileTime,
  rtl: benchRtl,
  engines: benchProgramEngine,
  speech: benchSpeech,
  'speech-machine': benchSupraSpeech,
  nmnist: benchNmnist,
};

const at = process.argv.indexOf('--only');
const chosen = at < 0 ? Object.keys(parts) : (process.argv[at + 1] ?? '').split(',');
const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
await runBenchmark('bench:suprasnn', async (context) => {
  for (const name of chosen) {
    context.say(`part ${name}`);
    await parts[name]!(context);
  }
});
