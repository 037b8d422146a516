/** Every partition strategy on eleven networks and five sizes of the machine: cycles, utilisation, table sizes, and what no partition can beat. */
import { measureActivity } from '../../host/snn/compile/activity.js';
import { compileNetwork, STRATEGIES, type StrategyName } from '../../host/snn/compile/compile.js';
import { lowerBound } from '../../host/snn/compile/estimate.js';
import { lower } from '../../host/snn/compile/lower.js';
import type { SpikeTrain } from '../../host/snn/index.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { READ_NOTHING } from '../../host/snn/machine/load-words.js';
import { readOutput } from '../../host/snn/machine/output-words.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import { TuttiError } from '../../host/errors.js';
import type { BenchContext } from '../report.js';
import { subjects, type Subject } from './suprasnn-networks.js';

const CALIBRATION = 32;
const MEASURED = 16;
const LANES = 16;
const GOAL = 0.75;

interface Result {
  readonly strategy: StrategyName;
  readonly ports: number;
  readonly program: Program;
  /** Per network step. */
  readonly cycles: number;
  readonly utilisation: number;
  readonly seconds: number;
}

interface Case {
  readonly subject: Subject;
  readonly memory: 'all' | 'a quarter';
  readonly spus: number;
  /** Of each strategy, with the ports that suit it best. */
  readonly best: readonly Result[];
  readonly simple: Result;
  readonly coOptimised: Result;
  /** Cycles per network step that no partition beats, with any number of ports. */
  readonly bound: number;
  readonly limit: string;
}

export async function benchStrategies({ quick, say, table, bar }: BenchContext): Promise<void> {
  const cases: Case[] = [];
  for (const subject of subjects(CALIBRATION + MEASURED)) {
    for (const memory of ['all', 'a quarter'] as const) {
      if (memory !== 'all' && (subject.kind === 'dense' || subject.kind === 'convolution')) continue;
      for (const spus of quick ? [16, 64] : [4, 8, 16, 32, 64]) {
        const found = compare(subject, spus, memory, quick);
        if (found === undefined) continue;
        cases.push(found);
        say(
          `${subject.name}, ${spus} SPUs, room for ${memory} of the neurons: co-optimised ${found.coOptimised.cycles.toFixed(1)}, ` +
            `best simple ${found.simple.cycles.toFixed(1)}, bound ${found.bound.toFixed(1)}`,
        );
      }
    }
  }
  await Promise.resolve();
  table({
    title: 'Partition strategies (cycle model, digits that were not calibrated on)',
    columns: [
      'network, SPUs, strategy',
      'ports',
      'cycles/sample',
      'cycles/step',
      'SPUs busy',
      'operations/SPU',
      'axons',
      'compile s',
    ],
    rows: cases.flatMap(({ subject, spus, memory, best }) =>
      best.map(({ strategy, ports, program, cycles, utilisation, seconds }) => [
        `${subject.name}, ${spus}${memory === 'all' ? '' : ', scarce'}, ${strategy}`,
        ports,
        cycles,
        `${(100 * utilisation).toFixed(0)} %`,
        Math.max(...program.spus.map((spu) => spu.accumulator.length)),
        program.axons,
        seconds.toFixed(2),
      ]),
    ),
    note:
      `each with the number of ports that suits it best; ${LANES} lanes; cycles per network step over ${MEASURED} samples; ` +
      'scarce: an SPU holds partial sums of a quarter of the neurons',
  });
  table({
    title: 'Co-optimised against the best simple strategy, and what no partition can beat',
    columns: ['network', 'partial sums', 'SPUs', 'ratio', 'bound, ratio', 'the bound is set by'],
    rows: cases.map((c) => [
      c.subject.name,
      c.memory,
      c.spus,
      (c.coOptimised.cycles / c.simple.cycles).toFixed(2),
      (c.bound / c.simple.cycles).toFixed(2),
      c.limit,
    ]),
    note: 'bound: operations divided evenly, one port per axon, neurons that fire swept first, with the latencies of the hardware',
  });
  for (const kind of ['pruned', 'recurrent'] as const) {
    const ofKind = cases.filter(({ subject }) => subject.kind === kind);
    const ratio = (c: Case): number => c.coOptimised.cycles / c.simple.cycles;
    const allowed = ofKind.filter((c) => c.bound <= GOAL * c.simple.cycles);
    const mean = (list: readonly Case[]): number =>
      Math.exp(list.reduce((sum, c) => sum + Math.log(ratio(c)), 0) / list.length);
    const met = allowed.filter((c) => ratio(c) <= GOAL).length;
    const which = `${allowed.length} of ${ofKind.length} cases`;
    bar(`co-optimised / best simple, ${kind}, best case`, '<=', GOAL, Math.min(...ofKind.map(ratio)), 'x');
    bar(`the same, mean of the ${which} in which the bound allows it (${met} meet it)`, '<=', GOAL, mean(allowed), 'x');
    say(`${kind}: mean over all cases ${mean(ofKind).toFixed(2)}`);
  }
  const dense = cases.filter(({ subject }) => subject.kind === 'dense');
  const busy = Math.max(...dense.map(({ coOptimised }) => coOptimised.utilisation));
  bar('SPUs busy on the dense network, best machine', '>=', 0.85, busy, '');
}

function compare(subject: Subject, spus: number, memory: Case['memory'], quick: boolean): Case | undefined {
  const { network, input } = subject;
  const neurons = network.populations.reduce((sum, p) => sum + (p.model === 'input' ? 0 : p.size), 0);
  const groups = Math.ceil(neurons / LANES);
  const room = memory === 'all' ? groups : Math.ceil(groups / 4);
  const results: Result[] = [];
  let bound = Infinity;
  let limit = '';
  for (const ports of (quick ? [2, 4] : [1, 2, 4, 8]).filter((p) => p <= spus)) {
    const machine: MachineConfig = {
      ...DEFAULT_MACHINE,
      spus,
      ports,
      lanes: LANES,
      operations: 2 ** 17,
      accumulators: LANES * room,
      axons: 2 ** 15,
      neurons: 2048,
      queue: 4096,
    };
    for (const strategy of Object.keys(STRATEGIES) as StrategyName[]) {
      try {
        results.push(result(subject, machine, strategy));
      } catch (error) {
        // A strategy that cannot do with so few partial sums is no contestant.
        if (!(error instanceof TuttiError && error.code === 'LIMIT_EXCEEDED')) throw error;
      }
    }
    for (const slack of [0, 1]) {
      const lowered = lower(network, new Set(), slack);
      const train = samplesOf(input, CALIBRATION, MEASURED);
      const activity = measureActivity(lowered, { inputs: { input: train }, samples: MEASURED });
      const { cycles, limits } = lowerBound(lowered, machine, activity);
      if (cycles / input.steps >= bound) continue;
      bound = cycles / input.steps;
      limit = Object.entries(limits).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
    }
  }
  const best = (Object.keys(STRATEGIES) as StrategyName[]).flatMap((strategy) => {
    const mine = results.filter((r) => r.strategy === strategy).sort((a, b) => a.cycles - b.cycles);
    return mine.slice(0, 1);
  });
  const coOptimised = best.find((r) => r.strategy === 'co-optimised');
  const [simple] = best.filter((r) => r !== coOptimised).sort((a, b) => a.cycles - b.cycles);
  if (coOptimised === undefined || simple === undefined) return undefined;
  return { subject, memory, spus, best, simple, coOptimised, bound, limit };
}

function result({ network, input }: Subject, machine: MachineConfig, strategy: StrategyName): Result {
  const began = performance.now();
  const calibration = { inputs: { input: samplesOf(input, 0, CALIBRATION) }, samples: CALIBRATION };
  const program = compileNetwork(network, { machine, strategy, record: [], calibration });
  const seconds = (performance.now() - began) / 1000;
  const model = createCycleModel(program);
  const steps = machineSteps(program, input.steps);
  let cycles = 0;
  let operations = 0;
  for (let sample = CALIBRATION; sample < CALIBRATION + MEASURED; sample++) {
    const words = inputWords(program, new Map([['input', input]]), sample, { steps: input.steps, tag: 0 });
    const output = readOutput(model.run(words), 0, steps, READ_NOTHING);
    cycles += output.cycles;
    operations += output.operations;
  }
  return {
    strategy,
    ports: machine.ports,
    program,
    cycles: cycles / MEASURED / input.steps,
    utilisation: operations / (cycles * machine.spus),
    seconds,
  };
}

/** `count` samples of a train, from `first` on. */
function samplesOf(train: SpikeTrain, first: number, count: number): SpikeTrain {
  const index = new Uint32Array(2 * train.steps * count);
  for (let step = 0; step < train.steps; step++) {
    const at = 2 * (step * train.batch + first);
    index.set(train.index.subarray(at, at + 2 * count), 2 * step * count);
  }
  return { ...train, batch: count, index };
}
