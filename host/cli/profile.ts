/** `tutti profile`: what iterations of a model take on this machine, as a device profile that `tutti simulate` takes. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { TuttiError } from '../errors.js';
import { wholeNumber } from './number-option.js';
import { packageFile } from './package-file.js';
import { progressBar } from './progress-bar.js';
import { table } from './table.js';

interface Options {
  readonly model?: string;
  readonly name: string;
  readonly threads: number;
  readonly webgpu?: boolean;
  readonly out?: string;
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('profile')
    .description('measure what a language model takes here, for simulations')
    .option('--model <file>', 'a GGUF file or a Hugging Face folder (default: the packaged model)')
    .option('--name <name>', 'of the profile', 'this-machine')
    .option('--threads <count>', 'of Wasm', wholeNumber(1), 1)
    .option('--webgpu', 'on WebGPU instead of Wasm')
    .option('--out <file>', 'write the profile; `tutti simulate maestro --device FILE` takes it')
    .option('--json', 'print the profile and its error as JSON')
    .action(async (options: Options) => {
      const [{ openModel }, { measureProfile }, devices] = await Promise.all([
        import('./llm/open-model.js'),
        import('../simulate/measure-profile.js'),
        import('../index.js'),
      ]);
      const path = options.model ?? packageFile('models/stories260k/stories260k-f32.gguf');
      const file = await openModel(path);
      const device = options.webgpu
        ? await devices.createWebGpuDevice()
        : await devices.createWasmDevice({ threads: options.threads });
      const bar = await progressBar('measuring');
      try {
        const model = file.config.name || 'model';
        const found = await measureProfile({
          ...{ device, source: file, name: options.name, model },
          onProgress: ({ done, all }) => bar.onProgress({ done, total: all, what: `${done} of ${all} batches` }),
        });
        bar.stop();
        if (options.out !== undefined) {
          try {
            writeFileSync(options.out, `${JSON.stringify(found.profile, null, 2)}\n`);
          } catch (cause) {
            const message = `${options.out} cannot be written; check the folder`;
            throw new TuttiError('FILE_INVALID', message, { where: options.out, cause });
          }
        }
        const text = options.json ? JSON.stringify(found, null, 2) : draw(found, model);
        command.configureOutput().writeOut?.(`${text}\n`);
      } finally {
        bar.stop();
        await device.close();
        await file.close();
      }
    });
}

function draw(
  { profile, fit }: Awaited<ReturnType<typeof import('../simulate/measure-profile.js').measureProfile>>,
  model: string,
): string {
  const cost = profile.measured![model]!;
  const micro = (seconds: number): string => (1e6 * seconds).toPrecision(3);
  const part = (value: number): string => `${(100 * value).toFixed(1)} %`;
  return [
    `${model}: ${profile.source}`,
    table(
      ['an iteration takes', 'µs'],
      [
        ['always', micro(cost.fixed)],
        ['for each sequence that decodes', micro(cost.sequence)],
        ['for each token of a prompt', micro(cost.promptToken)],
        ['for 1,000 tokens attended to', micro(1000 * cost.context)],
      ],
    ),
    `off on ${fit.iterations} iterations that were not fitted: ${part(fit.median)} median, ${part(fit.p95)} for 95 of 100, ${part(fit.total)} all together`,
  ].join('\n');
}
