/** `tutti snn info`: what is in a network or program file. */
import type { Command } from 'commander';
import pc from 'picocolors';
import type { MachineConfig } from '../../snn/machine/config.js';
import type { Program } from '../../snn/machine/program.js';
import type { SpikingNetwork } from '../../snn/network.js';
import { machineText } from './machine-option.js';
import { NIR_OPTIONS, nirChoices, type NirOptions } from './nir-options.js';
import { openSource } from './source.js';
import { table } from '../table.js';

export function register(group: Command): void {
  const command = group
    .command('info')
    .description('show what is in a network (safetensors, NIR) or a program')
    .argument('<file>', 'network or program');
  for (const [flags, text, value] of NIR_OPTIONS) command.option(flags, text, value);
  command
    .option('--json', 'print one JSON object instead of tables')
    .action(async (file: string, options: NirOptions & { json?: boolean }) => {
      const source = await openSource(file, nirChoices(options));
      const report = source.kind === 'network' ? await networkReport(source.network) : programReport(source.program);
      const text = options.json ? JSON.stringify(report, null, 2) : draw(report);
      command.configureOutput().writeOut?.(`${text}\n`);
    });
}

interface NetworkReport {
  readonly kind: 'network';
  readonly name: string;
  readonly numeric: string;
  readonly synapses: number;
  readonly maxSteps: number | undefined;
  readonly populations: readonly { name: string; model: string; size: number; shape: readonly number[] | undefined }[];
  readonly projections: readonly {
    name: string;
    kind: string;
    synapses: number;
    density: number;
    delay: number;
  }[];
}

interface ProgramReport {
  readonly kind: 'program';
  readonly name: string;
  readonly machine: MachineConfig;
  readonly strategy: string;
  readonly seed: number;
  readonly synapses: number;
  readonly stretch: number;
  readonly maxSkew: number;
  readonly memories: readonly { memory: string; used: number; of: number }[];
  readonly populations: Program['populations'];
}

export async function networkReport(network: SpikingNetwork): Promise<NetworkReport> {
  const { countSynapses } = await import('../../snn/index.js');
  const sizes = new Map(
    (network.populations as readonly { name: string; size: number }[]).map((p) => [p.name, p.size]),
  );
  return {
    kind: 'network',
    name: network.name,
    numeric: network.numeric === 'float32' ? `float32, ${network.dt} s per step` : 'fixed point',
    synapses: network.synapses,
    maxSteps: network.numeric === 'fixed' && Number.isFinite(network.maxSteps) ? network.maxSteps : undefined,
    populations: network.populations.map(({ name, model, size, shape }) => ({ name, model, size, shape })),
    projections: network.projections.map((projection) => {
      const synapses = countSynapses(projection);
      return {
        name: projection.name,
        kind: projection.kind,
        synapses,
        density: synapses / (sizes.get(projection.from)! * sizes.get(projection.to)!),
        delay: projection.maxDelay,
      };
    }),
  };
}

export function programReport(program: Program): ProgramReport {
  const { machine } = program;
  const most = (count: (spu: Program['spus'][number]) => number): number => Math.max(...program.spus.map(count));
  return {
    kind: 'program',
    name: program.name,
    machine,
    strategy: program.strategy,
    seed: program.seed,
    synapses: program.synapses,
    stretch: program.stretch,
    maxSkew: program.maxSkew,
    memories: [
      { memory: 'operations of the fullest SPU', used: most((spu) => spu.accumulator.length), of: machine.operations },
      { memory: 'distinct weights of an SPU', used: most((spu) => spu.weights.length), of: machine.weights },
      {
        memory: 'accumulators of an SPU',
        used: machine.lanes * most((spu) => spu.emission.reduce((sum, word) => sum + ones(word), 0)),
        of: machine.accumulators,
      },
      { memory: 'axons', used: program.axons, of: machine.axons },
      { memory: 'neurons', used: program.neurons, of: machine.neurons },
      { memory: 'neuron classes', used: program.classes.length, of: machine.classes },
      {
        memory: 'delay slots',
        used: 1 + program.axonDelay.reduce((a, b) => Math.max(a, b), 0),
        of: machine.delaySlots,
      },
    ],
    populations: program.populations,
  };
}

function ones(word: number): number {
  let count = 0;
  for (let w = word >>> 0; w !== 0; w = (w & (w - 1)) >>> 0) count++;
  return count;
}

function draw(report: NetworkReport | ProgramReport): string {
  const head = `${pc.bold(report.name || 'unnamed')}: ${report.synapses.toLocaleString('en')} synapses`;
  if (report.kind === 'network') {
    const limit = report.maxSteps === undefined ? '' : `, at most ${report.maxSteps} steps`;
    return [
      `${head}, ${report.numeric}${limit}`,
      table(
        ['population', 'model', 'neurons'],
        report.populations.map((p) => [
          p.name,
          p.model,
          p.shape ? `${p.size} (${p.shape.join(' x ')})` : String(p.size),
        ]),
      ),
      table(
        ['projection', 'kind', 'synapses', 'density', 'delay'],
        report.projections.map((p) => [
          p.name,
          p.kind,
          p.synapses.toLocaleString('en'),
          `${(100 * p.density).toFixed(1)} %`,
          String(p.delay),
        ]),
      ),
    ].join('\n\n');
  }
  return [
    `${head}, for a machine of ${report.machine.spus} SPUs at ${report.machine.ports} ports (--machine ${machineText(report.machine)}), ` +
      `partitioned ${report.strategy}, seed ${report.seed}`,
    table(
      ['memory', 'used', 'of', ''],
      report.memories.map(({ memory, used, of }) => [
        memory,
        String(used),
        String(of),
        `${((100 * used) / of).toFixed(0)} %`,
      ]),
    ),
    table(
      ['population', 'model', 'neurons', 'steps behind the inputs'],
      report.populations.map((p) => [p.name, p.model, String(p.size), String(p.skew)]),
    ),
    `one step of the network is ${report.stretch === 1 ? 'one machine step' : `${report.stretch} machine steps`}`,
  ].join('\n\n');
}
