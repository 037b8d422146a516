/** The table of Yosys runs in rtl/README.md, between its marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { machineText } from '../../host/cli/snn/machine-option.js';
import { estimateResources, fitsPart } from '../../host/fpga/resources.js';
import type { Run } from './runs.js';

const FILE = 'rtl/README.md';

export function writeTable(runs: readonly Run[]): void {
  const error = (model: number, found: number): string => `${((100 * (model - found)) / found).toFixed(1)} %`;
  const rows = runs.map((run) => {
    const model = estimateResources(run.machine);
    const { fits, over } = fitsPart(run);
    const cells = [run.luts, run.flipFlops, run.blockRams, run.dsps].map((count) => count.toLocaleString('en'));
    const errors = [error(model.luts, run.luts), error(model.flipFlops, run.flipFlops)];
    return `| ${[machineText(run.machine).replaceAll(',', ', '), ...cells, fits ? 'yes' : `no: ${over.join(', ')}`, ...errors].join(' | ')} |`;
  });
  const table = [
    '| machine, where it differs from the default | LUT | FF | RAMB36 | DSP | fits an XC7Z020 | model, LUT | model, FF |',
    '| --- | --: | --: | --: | --: | --- | --: | --: |',
    ...rows,
  ].join('\n');
  const text = readFileSync(FILE, 'utf8');
  writeFileSync(
    FILE,
    text.replace(
      /(<!-- runs -->\n)[\s\S]*?(<!-- end -->)/,
      (_, begin: string, end: string) => `${begin}\n${table}\n\n${end}`,
    ),
  );
}
