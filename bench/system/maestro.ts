/** `npm run bench:maestro [-- --quick] [--json] [--only prediction,slo,ablation,reservation,colocation,cost,live]`. */
import { runBenchmark, type BenchContext } from '../report.js';
import { benchColocation } from './maestro/colocation.js';
import { benchCost } from './maestro/cost.js';
import { benchLive } from './maestro/live.js';
import { benchPrediction } from './maestro/prediction.js';
import { benchReservation } from './maestro/reservation.js';
import { benchAblation, benchSlo } from './maestro/slo.js';

const parts: Readonly<Record<string, (context: BenchContext) => Promise<void>>> = {
  prediction: benchPrediction,
  slo: benchSlo,
  ablation: benchAblation,
  reservation: benchReservation,
  colocation: benchColocation,
  cost: benchCost,
  live: benchLive,
};

const at = process.argv.indexOf('--only');
const chosen = at < 0 ? Object.keys(parts) : (process.argv[at + 1] ?? '').split(',');
const unknown = chosen.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`unknown part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}
await runBenchmark('bench:maestro', async (context) => {
  for (const name of chosen) {
    context.say(`part ${name}`);
    await parts[name]!(context);
  }
});
