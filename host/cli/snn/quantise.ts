/** `tutti snn quantise`: a float network as the integers that hardware runs. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import pc from 'picocolors';
import type { PopulationReport } from '../../snn/quantise/quantise-network.js';
import { NIR_OPTIONS, nirChoices, type NirOptions } from './nir-options.js';
import { openSource } from './source.js';
import { inputOf, readStimulus, stimulusOptions, type StimulusOptions } from './stimulus.js';
import { table } from '../table.js';
import { whole } from './whole-number.js';

interface QuantiseCommandOptions extends NirOptions, StimulusOptions {
  readonly output: string;
  readonly bits: string;
  readonly json?: boolean;
}

interface QuantiseReport {
  readonly network: string;
  readonly synapses: number;
  readonly samples: number;
  readonly populations: readonly PopulationReport[];
  readonly written: string;
}

export function register(group: Command): void {
  const command = group
    .command('quantise')
    .description('turn a float network into a fixed-point one, calibrated on samples')
    .argument('<network>', 'float network (safetensors, NIR)')
    .requiredOption('-o, --output <file>', 'where the fixed-point network goes (safetensors)')
    .option('--bits <number>', 'width of the weights, 8 or 4', '8');
  for (const [flags, text, value] of NIR_OPTIONS) command.option(flags, text, value);
  stimulusOptions(command)
    .option('--json', 'print one JSON object instead of a table')
    .action(async (file: string, options: QuantiseCommandOptions) => {
      const report = await quantiseFile(file, options);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

async function quantiseFile(file: string, options: QuantiseCommandOptions): Promise<QuantiseReport> {
  const { TuttiError } = await import('../../errors.js');
  const source = await openSource(file, nirChoices(options));
  if (source.kind === 'program' || source.network.numeric !== 'float32')
    throw new TuttiError(
      'OPTION_INVALID',
      `${file} is in fixed point already; \`tutti snn compile\` takes it as it is`,
    );
  const { name, size } = inputOf(source.network.populations);
  const { train } = await readStimulus(options, size);
  const { createWasmDevice } = await import('../../device/wasm.js');
  const { quantiseNetwork } = await import('../../snn/quantise/quantise-network.js');
  const { saveNetwork } = await import('../../snn/index.js');
  await using device = await createWasmDevice();
  const { network, populations } = await quantiseNetwork(source.network, {
    home: { device },
    inputs: { [name]: train },
    bits: whole(options.bits, '--bits') as 8 | 4,
  });
  await writeFile(options.output, saveNetwork(network));
  return {
    network: network.name,
    synapses: network.synapses,
    samples: train.batch,
    populations,
    written: options.output,
  };
}

function draw({ network, synapses, samples, populations, written }: QuantiseReport): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  return [
    `${pc.bold(network)}: ${synapses.toLocaleString('en')} synapses, calibrated on ${samples} samples`,
    table(
      ['population', 'decay', 'by shift', 'clip', 'spikes/sample', 'fixed point', 'off by'],
      populations.map((p) => [
        p.name,
        p.decay.toFixed(3),
        p.fixedDecay.toFixed(3),
        p.clip.toFixed(1),
        p.spikes.toFixed(1),
        p.fixedSpikes.toFixed(1),
        percent(p.error),
      ]),
    ),
    `wrote ${written}`,
  ].join('\n');
}
