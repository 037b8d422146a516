/** `tutti llm convert`: a model as a GGUF file, quantised or not. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { WritableType } from '../../llm/gguf/quantise.js';
import type { ConversionReport } from '../../llm/model/convert-model.js';
import { MODEL_ARGUMENT, openModel } from './open-model.js';
import { progressBar } from '../progress-bar.js';

interface ConvertCommandOptions {
  readonly output: string;
  readonly type: string;
  readonly seed: string;
  readonly json?: boolean;
}

const TYPES: Readonly<Record<string, WritableType>> = { q8_0: 'Q8_0', q4_0: 'Q4_0', f16: 'F16', f32: 'F32' };

interface ConvertReport extends ConversionReport {
  readonly model: string;
  readonly architecture: string;
  readonly written: string;
}

export function register(group: Command): void {
  const command = group
    .command('convert')
    .description('write a model as a GGUF file, its matrices quantised')
    .argument(...MODEL_ARGUMENT)
    .requiredOption('-o, --output <file>', 'where the GGUF file goes')
    .option('--type <type>', 'of the matrices: q8_0, q4_0, f16 or f32', 'q8_0')
    .option('--seed <number>', 'of random weights', '1')
    .option('--json', 'print one JSON object instead of text')
    .action(async (model: string, options: ConvertCommandOptions) => {
      const report = await convertFile(model, options);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

async function convertFile(name: string, options: ConvertCommandOptions): Promise<ConvertReport> {
  const { TuttiError } = await import('../../errors.js');
  const { fileSink } = await import('../../llm/byte-sink.js');
  const { convertModel } = await import('../../llm/model/convert-model.js');
  const type = TYPES[options.type.toLowerCase()];
  if (type === undefined)
    throw new TuttiError('OPTION_INVALID', `--type must be q8_0, q4_0, f16 or f32, got "${options.type}"`, {
      where: '--type',
    });
  const model = await openModel(name, options.seed);
  try {
    const sink = await fileSink(options.output);
    const bar = await progressBar('converting');
    let whole = false;
    try {
      const report = await convertModel(model, sink, { type, onProgress: bar.onProgress });
      whole = true;
      const { config } = model;
      return { model: config.name, architecture: config.architecture, ...report, written: options.output };
    } finally {
      bar.stop();
      await sink.close(whole);
    }
  } finally {
    await model.close();
  }
}

function draw({ model, architecture, parameters, bytes, types, written }: ConvertReport): string {
  const kinds = Object.entries(types).map(([type, count]) => `${count} ${type}`);
  return [
    `${pc.bold(written)}  ${(bytes / 2 ** 20).toFixed(1)} MiB`,
    `${model} (${architecture}), ${parameters.toLocaleString('en')} parameters, tensors: ${kinds.join(', ')}`,
  ].join('\n');
}
