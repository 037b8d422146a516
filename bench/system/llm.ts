/** `npm run bench:llm [-- --quick] [--json] [--only speed,batch,browser,onnx,accuracy,size,variants]`. */
import { runBenchmark, type BenchContext } from '../report.js';
import { benchAccuracy } from './llm/accuracy.js';
import { benchBatch } from './llm/batch.js';
import { benchBrowser } from './llm/browser.js';
import { benchOnnx } from './llm/onnx.js';
import { benchSize } from './llm/size.js';
import { benchSpeed } from './llm/speed.js';
import { benchVariants } from './llm/variants.js';

const parts: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  speed: benchSpeed,
  batch: benchBatch,
  browser: benchBrowser,
  onnx: benchOnnx,
  accuracy: benchAccuracy,
  size: benchSize,
  variants: benchVariants,
};

const at = process.argv.indexOf('--only');
const chosen = at < 0 ? Object.keys(parts) : (process.argv[at + 1] ?? '').split(',');
const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
await runBenchmark('bench:llm', async (context) => {
  for (const name of chosen) {
    context.say(`part ${name}`);
    await parts[name]!(context);
  }
});
