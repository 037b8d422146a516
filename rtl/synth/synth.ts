/**
 * `npm run rtl:synth [-- --machine spus=8,ports=2] [--json]`: what a machine takes of an XC7Z020, by Yosys.
 * `-- --fit`: synthesises the machines of runs.ts, and fits the resource model to them; then `-- --table`
 * writes them into rtl/README.md. `-- --ice40`: place and route on an iCE40.
 */
import { parseArgs } from 'node:util';
import { machineText, parseMachine } from '../../host/cli/snn/machine-option.js';
import { estimateResources, fitsPart, XC7Z020 } from '../../host/fpga/resources.js';
import { writeCoefficients } from './fit.js';
import { ICE40_MACHINE, placeOnIce40 } from './ice40.js';
import { readRuns, updateRuns } from './runs.js';
import { writeTable } from './table.js';
import { synthesise } from './xc7.js';

const { values } = parseArgs({
  options: {
    machine: { type: 'string' },
    json: { type: 'boolean', default: false },
    fit: { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
    ice40: { type: 'boolean', default: false },
  },
});
const print = (result: unknown, lines: readonly string[]): void =>
  console.log(values.json ? JSON.stringify(result) : lines.join('\n'));

if (values.fit) {
  writeCoefficients(await updateRuns((line) => console.error(line)));
  console.log(
    'wrote rtl/synth/runs.json and host/fpga/resource-coefficients.ts; `npm run rtl:synth -- --table` writes rtl/README.md',
  );
} else if (values.table) {
  writeTable(readRuns().runs);
} else if (values.ice40) {
  const timings = await placeOnIce40(values.machine === undefined ? ICE40_MACHINE : parseMachine(values.machine));
  const best = timings.reduce((a, b) => (a.megahertz > b.megahertz ? a : b));
  print(timings, [
    'iCE40 HX8K, Yosys and nextpnr: a proxy, not the XC7Z020',
    ...timings.map(
      ({ seed, megahertz, logicCells, blockRams }) =>
        `seed ${seed}: ${megahertz.toFixed(1)} MHz, ${logicCells} of 7680 logic cells, ${blockRams} of 32 block RAMs`,
    ),
    'longest path of the best:',
    ...best.longestPath,
  ]);
} else {
  const machine = parseMachine(values.machine);
  const found = await synthesise(machine);
  const estimate = estimateResources(machine);
  const { fits, over } = fitsPart(found);
  const row = (name: string, kind: keyof typeof XC7Z020): string => {
    const share = ((100 * found[kind]) / XC7Z020[kind]).toFixed(1);
    return `${name.padEnd(18)}${String(found[kind]).padStart(8)}  of ${String(XC7Z020[kind]).padStart(7)} ${share.padStart(6)} %   model ${estimate[kind]}`;
  };
  print({ machine, ...found, estimate, fits, over }, [
    `${machineText(machine)}: Yosys synth_xilinx -family xc7, ${found.seconds.toFixed(0)} s; no place and route`,
    row('LUTs', 'luts'),
    row('  used as memory', 'lutMemory'),
    row('flip-flops', 'flipFlops'),
    row('block RAMs (36 kb)', 'blockRams'),
    row('DSPs', 'dsps'),
    fits ? 'fits an XC7Z020' : `does not fit an XC7Z020: ${over.join(', ')}`,
  ]);
}
