/** `tutti snn compile`: a network onto the synapse machine. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import pc from 'picocolors';
import type { StrategyName } from '../../snn/compile/compile.js';
import type { Program } from '../../snn/machine/program.js';
import type { FixedNetwork, SpikeTrain } from '../../snn/index.js';
import { programReport } from './info.js';
import { MACHINE_OPTION, machineText, parseMachine } from './machine-option.js';
import { NIR_OPTIONS, nirChoices, type NirOptions } from './nir-options.js';
import { bytesOf, openSource } from './source.js';
import { inputOf, readStimulus, stimulusOptions, type StimulusOptions } from './stimulus.js';
import { table } from '../table.js';
import { whole } from './whole-number.js';

interface CompileCommandOptions extends NirOptions, StimulusOptions {
  readonly output?: string;
  readonly machine?: string;
  readonly strategy: string;
  readonly seed: string;
  readonly record?: string;
  readonly listing?: string;
  readonly svg?: string;
  readonly blind?: boolean;
  readonly json?: boolean;
}

export interface CompileReport {
  readonly program: ReturnType<typeof programReport>;
  readonly seconds: number;
  /** Synapses that the validator found, each once. */
  readonly proved: number;
  readonly mayOverflow: readonly string[];
  /** By the cycle model on the calibration samples; undefined without them. */
  readonly cycles:
    { readonly perSample: number; readonly perMachineStep: number; readonly utilisation: number } | undefined;
  readonly written: readonly string[];
}

export function register(group: Command): void {
  const command = group
    .command('compile')
    .description('map and schedule a fixed-point network onto a synapse machine, and prove the result')
    .argument('<network>', 'network (safetensors, NIR)')
    .option('-o, --output <file>', 'where the program goes')
    .option(...MACHINE_OPTION)
    .option('--strategy <name>', 'co-optimised, round-robin, by-post, by-pre or greedy', 'co-optimised')
    .option('--seed <number>', 'the same seed gives the same program', '1')
    .option('--record <names>', 'populations whose spikes the machine puts out (default: all that fire; none for none)')
    .option('--listing <file>', 'write the program as text')
    .option('--svg <file>', "write a picture of the first sample's schedule")
    .option('--blind', 'do not calibrate: balance for a prior instead of for samples');
  for (const [flags, text, value] of NIR_OPTIONS) command.option(flags, text, value);
  stimulusOptions(command)
    .option('--json', 'print one JSON object instead of tables')
    .action(async (file: string, options: CompileCommandOptions) => {
      const report = await compileFile(file, options);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

async function compileFile(file: string, options: CompileCommandOptions): Promise<CompileReport> {
  const { TuttiError } = await import('../../errors.js');
  const { compileNetwork } = await import('../../snn/compile/compile.js');
  const { validateProgram } = await import('../../snn/compile/validate-program.js');
  const source = await openSource(file, nirChoices(options));
  if (source.kind === 'program')
    throw new TuttiError(
      'OPTION_INVALID',
      `${file} is a program already; see \`tutti snn info\` and \`tutti snn run\``,
    );
  const machine = parseMachine(options.machine);
  const inputs = options.blind ? undefined : await calibrationFor(source.network as FixedNetwork, options);
  const began = performance.now();
  const program = compileNetwork(source.network, {
    machine,
    strategy: options.strategy as StrategyName,
    seed: whole(options.seed, '--seed'),
    ...(inputs === undefined ? {} : { calibration: { inputs } }),
    ...(options.record === undefined
      ? {}
      : { record: options.record === 'none' ? [] : options.record.split(',').map((name) => name.trim()) }),
  });
  const seconds = (performance.now() - began) / 1000;
  const { synapses, mayOverflow } = validateProgram(program, source.network as FixedNetwork);
  const written: string[] = [];
  const write = async (path: string | undefined, content: Uint8Array | string): Promise<void> => {
    if (path === undefined) return;
    await writeFile(path, content);
    written.push(path);
  };
  if (options.output !== undefined) {
    const { encodeProgram } = await import('../../snn/machine/program-file.js');
    await write(options.output, bytesOf(encodeProgram(program)));
  }
  if (options.listing !== undefined) {
    const { listProgram } = await import('../../snn/compile/list-program.js');
    await write(options.listing, `${[...listProgram(program)].join('\n')}\n`);
  }
  if (options.svg !== undefined) await write(options.svg, await picture(program, inputs));
  return {
    program: programReport(program),
    seconds,
    proved: synapses,
    mayOverflow,
    cycles: inputs === undefined ? undefined : await measure(program, inputs),
    written,
  };
}

/** The stimulus for the network's one input, where there is one. */
async function calibrationFor(
  network: FixedNetwork,
  options: StimulusOptions,
): Promise<Record<string, SpikeTrain> | undefined> {
  const { name, size } = inputOf(network.populations);
  const asked = options.digits || options.images !== undefined || options.spikes !== undefined;
  if (!asked && size !== 784) return undefined;
  return { [name]: (await readStimulus(options, size)).train };
}

async function picture(program: Program, inputs: Record<string, SpikeTrain> | undefined): Promise<string> {
  const { TuttiError } = await import('../../errors.js');
  if (inputs === undefined)
    throw new TuttiError('OPTION_INVALID', '--svg shows the schedule of a sample; give one with --images or --spikes');
  const { drawSchedule } = await import('../../snn/compile/draw-schedule.js');
  const { createCycleModel } = await import('../../snn/machine/cycle-model.js');
  const { inputWords } = await import('../../snn/machine/input-words.js');
  const trains = new Map(Object.entries(inputs));
  const trace: Parameters<typeof drawSchedule>[1][number][] = [];
  const { steps } = [...trains.values()][0]!;
  createCycleModel(program).run(inputWords(program, trains, 0, { steps, tag: 0 }), trace);
  return drawSchedule(program, trace);
}

async function measure(program: Program, inputs: Record<string, SpikeTrain>): Promise<CompileReport['cycles']> {
  const { createCycleModel } = await import('../../snn/machine/cycle-model.js');
  const { inputWords } = await import('../../snn/machine/input-words.js');
  const { readOutput } = await import('../../snn/machine/output-words.js');
  const { READ_NOTHING } = await import('../../snn/machine/load-words.js');
  const { machineSteps } = await import('../../snn/machine/program.js');
  const trains = new Map(Object.entries(inputs));
  const { steps, batch } = [...trains.values()][0]!;
  const model = createCycleModel(program);
  let cycles = 0;
  let operations = 0;
  for (let sample = 0; sample < batch; sample++) {
    const words = model.run(inputWords(program, trains, sample, { steps, tag: 0 }));
    const output = readOutput(words, 0, machineSteps(program, steps), READ_NOTHING);
    cycles += output.cycles;
    operations += output.operations;
  }
  return {
    perSample: cycles / batch,
    perMachineStep: cycles / batch / machineSteps(program, steps),
    utilisation: operations / (cycles * program.machine.spus),
  };
}

function draw({ program, seconds, proved, mayOverflow, cycles, written }: CompileReport): string {
  const lines = [
    `${pc.bold(program.name)}: ${program.synapses.toLocaleString('en')} synapses on ${program.machine.spus} SPUs at ${program.machine.ports} ports ` +
      `(--machine ${machineText(program.machine)}), ${program.strategy}, ${seconds.toFixed(2)} s`,
    table(
      ['memory', 'used', 'of', ''],
      program.memories.map(({ memory, used, of }) => [
        memory,
        String(used),
        String(of),
        `${((100 * used) / of).toFixed(0)} %`,
      ]),
    ),
    `proved: each of the ${proved.toLocaleString('en')} synapses once, with its weight and delay, and nothing else`,
    ...mayOverflow.map((what) => `${pc.yellow('note')}  ${what}; the machine tells if it happens`),
  ];
  if (cycles !== undefined) {
    lines.push(
      `${cycles.perSample.toFixed(0)} cycles a sample (${(cycles.perSample / 100).toFixed(2)} µs at 100 MHz), ` +
        `${cycles.perMachineStep.toFixed(0)} a machine step, SPUs busy ${(100 * cycles.utilisation).toFixed(0)} %`,
    );
  }
  return [...lines, ...written.map((path) => `wrote ${path}`)].join('\n');
}
