/** `tutti snn run`: samples through a network or program, on one place or several, which must agree. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { Device } from '../../device/device.js';
import type { Program } from '../../snn/machine/program.js';
import type { MachineFigures, RunResult, SpikeTrain } from '../../snn/index.js';
import { MACHINE_OPTION, parseMachine } from './machine-option.js';
import { NIR_OPTIONS, nirChoices, type NirOptions } from './nir-options.js';
import { openSource, type Source } from './source.js';
import { inputOf, readStimulus, stimulusOptions, type Stimulus, type StimulusOptions } from './stimulus.js';
import { table } from '../table.js';

const PLACES = 'wasm, webgpu, oracle, model (the cycle model), twin (the RTL as Wasm), or the address of a board';

interface RunOptions extends NirOptions, StimulusOptions {
  readonly on: string;
  readonly machine?: string;
  readonly readout?: string;
  readonly json?: boolean;
}

export interface PlaceReport {
  readonly place: string;
  readonly device: string;
  readonly labels: readonly number[];
  readonly accuracy: number | undefined;
  readonly microsecondsPerSample: number;
  readonly synapticEvents: number;
  /** Of an average sample, where the place counts cycles. */
  readonly cycles: number | undefined;
}

export interface RunReport {
  readonly name: string;
  readonly samples: number;
  readonly readout: string;
  readonly places: readonly PlaceReport[];
  /** Whether every place gave every sample the same scores. */
  readonly agreement: boolean;
}

export function register(group: Command): void {
  const command = group
    .command('run')
    .description('run samples through a network or a program and read the answer')
    .argument('<file>', 'network (safetensors, NIR) or program')
    .option('--on <places>', `where, separated by commas: ${PLACES}`, 'wasm')
    .option('--readout <population>', 'the population that answers (default: the last one)')
    .option(...MACHINE_OPTION);
  for (const [flags, text, value] of NIR_OPTIONS) command.option(flags, text, value);
  stimulusOptions(command)
    .option('--json', 'print one JSON object instead of tables')
    .action(async (file: string, options: RunOptions) => {
      const report = await runFile(file, options);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

async function runFile(file: string, options: RunOptions): Promise<RunReport> {
  const { TuttiError } = await import('../../errors.js');
  const source = await openSource(file, nirChoices(options));
  const { name, populations } = source.kind === 'network' ? source.network : source.program;
  const input = inputOf(populations);
  const stimulus = await readStimulus(options, input.size);
  const readout = populations.find((p) => p.name === (options.readout ?? populations.at(-1)!.name));
  if (readout === undefined || readout.model === 'input') {
    const known = populations.filter((p) => p.model !== 'input').map((p) => p.name);
    throw new TuttiError('OPTION_INVALID', `--readout must be one of ${known.join(', ')}, got "${options.readout}"`);
  }
  const inputs = { [input.name]: stimulus.train };
  const places: { report: PlaceReport; scores: Float64Array }[] = [];
  for (const place of options.on.split(',').map((text) => text.trim())) {
    const { device, result, figures } = await runAt(place, source, inputs, readout, options.machine);
    const scores = await scoresOf(result, readout);
    places.push({ report: reportOf(place, device, scores, stimulus, result, figures), scores: scores.scores });
  }
  return {
    name,
    samples: stimulus.train.batch,
    readout: readout.name,
    places: places.map(({ report }) => report),
    agreement: places.every(({ scores }) => scores.every((score, i) => score === places[0]!.scores[i])),
  };
}

interface Readout {
  readonly name: string;
  readonly model: string;
  readonly size: number;
}

async function scoresOf(result: RunResult, { name, model, size }: Readout) {
  const { decodeMembrane, decodeSpikeCount } = await import('../../snn/index.js');
  const silent = model === 'li' || model === 'cubaLi' || model === 'integrator';
  const counts = result.spikeCounts[name];
  return silent || counts === undefined
    ? decodeMembrane(result.final[name]!, { neurons: size })
    : decodeSpikeCount(counts, { neurons: size });
}

async function runAt(
  place: string,
  source: Source,
  inputs: Readonly<Record<string, SpikeTrain>>,
  readout: Readout,
  machineOption: string | undefined,
): Promise<{ device: string; result: RunResult; figures: MachineFigures | undefined }> {
  const batch = Object.values(inputs)[0]!.batch;
  const request = { inputs, record: { final: [readout.name] } };
  if (place === 'model') {
    const program = await programOf(source, inputs, machineOption);
    const { createOracleDevice } = await import('../../device/oracle.js');
    const { createProgramEngine } = await import('../../snn/index.js');
    await using device = createOracleDevice();
    await using engine = await createProgramEngine(program, { device }, { batch });
    const result = await engine.run(request);
    return {
      device: 'cycle model',
      result,
      figures: { ...result.machine, cycles: await cyclesOf(program, inputs, readout.name) },
    };
  }
  await using device = await openAt(place);
  const name = device.capabilities.name;
  if (source.kind === 'program') {
    const { createProgramEngine } = await import('../../snn/index.js');
    await using engine = await createProgramEngine(source.program, { device }, { batch });
    const result = await engine.run(request);
    return { device: name, result, figures: result.machine };
  }
  const { createEngine } = await import('../../snn/index.js');
  const compile = { calibration: { inputs } };
  await using engine = await createEngine(source.network, { device }, { batch, compile });
  // Once for compiling and uploading, once for the time.
  await engine.run(request);
  const result = await engine.run(request);
  return { device: name, result, figures: (result as { machine?: MachineFigures }).machine };
}

async function programOf(
  source: Source,
  inputs: Readonly<Record<string, SpikeTrain>>,
  machineOption: string | undefined,
): Promise<Program> {
  if (source.kind === 'program') return source.program;
  const { compileNetwork } = await import('../../snn/index.js');
  return compileNetwork(source.network, { machine: parseMachine(machineOption), calibration: { inputs } });
}

async function cyclesOf(
  program: Program,
  inputs: Readonly<Record<string, SpikeTrain>>,
  readout: string,
): Promise<Uint32Array> {
  const { createCycleModel, inputWords, readOutput } = await import('../../snn/index.js');
  const { machineSteps } = await import('../../snn/machine/program.js');
  const trains = new Map(Object.entries(inputs));
  const { batch, steps } = [...trains.values()][0]!;
  // Reading the answer takes cycles, too.
  const { firstNeuron, size } = program.populations.find((p) => p.name === readout)!;
  const read = { first: firstNeuron, count: size, everyStep: false };
  const model = createCycleModel(program, read);
  return Uint32Array.from({ length: batch }, (_, sample) => {
    const words = model.run(inputWords(program, trains, sample, { steps, tag: 0 }));
    return readOutput(words, 0, machineSteps(program, steps), read).cycles;
  });
}

async function openAt(place: string): Promise<Device> {
  if (place === 'wasm') return (await import('../../device/wasm.js')).createWasmDevice();
  if (place === 'webgpu') return (await import('../../device/webgpu.js')).createWebGpuDevice();
  if (place === 'oracle') return (await import('../../device/oracle.js')).createOracleDevice();
  if (place !== 'twin' && !place.includes(':')) {
    const { TuttiError } = await import('../../errors.js');
    throw new TuttiError('OPTION_INVALID', `--on "${place}" is no place; there are ${PLACES}`);
  }
  return (await import('../../fpga/create-fpga-device.js')).createFpgaDevice({ url: place });
}

function reportOf(
  place: string,
  device: string,
  { labels }: { readonly labels: Uint32Array },
  { labels: truth }: Stimulus,
  result: RunResult,
  figures: MachineFigures | undefined,
): PlaceReport {
  const cycles = figures?.cycles.reduce((a, b) => a + b, 0);
  return {
    place,
    device,
    labels: [...labels],
    accuracy: truth === undefined ? undefined : labels.filter((label, i) => label === truth[i]).length / labels.length,
    microsecondsPerSample: (result.seconds / result.batch) * 1e6,
    synapticEvents: result.synapticEvents,
    cycles: cycles === undefined || cycles === 0 ? undefined : cycles / result.batch,
  };
}

function draw({ name, samples, readout, places, agreement }: RunReport): string {
  const rows = places.map((p) => [
    p.place,
    p.device,
    p.accuracy === undefined ? '' : `${(100 * p.accuracy).toFixed(1)} %`,
    `${p.microsecondsPerSample.toFixed(1)} µs`,
    p.cycles === undefined ? '' : p.cycles.toFixed(0),
    p.cycles === undefined ? '' : `${(p.cycles / 100).toFixed(2)} µs`,
  ]);
  const said =
    places.length > 1 ? [agreement ? 'every place gave the same scores' : pc.red('the places disagree')] : [];
  return [
    `${pc.bold(name)}: ${samples} samples, answered by "${readout}"`,
    table(['place', 'device', 'right', 'per sample here', 'cycles', 'at 100 MHz'], rows),
    ...(places[0]!.accuracy === undefined ? [`labels ${places[0]!.labels.slice(0, 40).join(' ')}`] : []),
    ...said,
  ].join('\n');
}
