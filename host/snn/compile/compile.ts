/** Compiles a fixed-point network for a synapse machine: lower, partition, lay out, check that it fits. */
import { throwIfAborted, TuttiError } from '../../errors.js';
import type { LongCallOptions } from '../../device/device.js';
import { checkMachine, DEFAULT_MACHINE, type MachineConfig } from '../machine/config.js';
import { createCycleModel } from '../machine/cycle-model.js';
import { inputWords } from '../machine/input-words.js';
import { READ_NOTHING } from '../machine/load-words.js';
import { readOutput } from '../machine/output-words.js';
import { machineSteps, type Program } from '../machine/program.js';
import {
  fires,
  type FixedNetwork,
  type FixedNetworkDescription,
  type NetworkDescription,
  type SpikingNetwork,
} from '../network.js';
import { defineNetwork } from '../validate.js';
import { measureActivity, priorActivity, type Activity, type Calibration } from './activity.js';
import { coOptimised } from './co-optimised.js';
import { estimate, lowerBound } from './estimate.js';
import { checkFit, overflows } from './fit.js';
import { layOut, type Partition } from './layout.js';
import { lower, type Lowered } from './lower.js';
import { byPost, byPre, greedy, roundRobin, type PartitionStrategy } from './partition.js';

// Spelled out: bundlers keep what is spread, used or not.
export const STRATEGIES = {
  'round-robin': roundRobin,
  'by-post': byPost,
  'by-pre': byPre,
  greedy,
  'co-optimised': coOptimised,
} as const satisfies Readonly<Record<string, PartitionStrategy>>;

/** Networks of more synapses are judged by the estimator alone. */
const MOST_MEASURED = 2 ** 20;
const MEASURED_SAMPLES = 8;

export type StrategyName = keyof typeof STRATEGIES;

export interface CompileOptions extends LongCallOptions {
  /** Default: DEFAULT_MACHINE. */
  readonly machine?: MachineConfig;
  /** Default: 'co-optimised'. */
  readonly strategy?: StrategyName;
  /** Default 1. The same seed gives the same program. */
  readonly seed?: number;
  /** Inputs that are like those to come; the partition is balanced for what they make the network do. */
  readonly calibration?: Calibration;
  /**
   * Machine steps that a spike may take beyond the one that it must, on projections that are on no loop: later populations run as much
   * further behind, and the delivery of spikes is hidden behind the next step's operations. Default: 'co-optimised' chooses 0 or 1
   * by the cycles of a sample, the other strategies take 0.
   */
  readonly slack?: 0 | 1;
  /** Populations whose spikes the machine puts out. Default: all that fire. */
  readonly record?: readonly string[];
}

/**
 * @throws TuttiError NETWORK_INVALID when no machine can run it, LIMIT_EXCEEDED when this one cannot (with what would), OPTION_INVALID,
 *   ABORTED
 */
export function compileNetwork(
  description: SpikingNetwork | FixedNetworkDescription,
  options: CompileOptions = {},
): Program {
  const checked = defineNetwork(description as NetworkDescription);
  if (checked.numeric !== 'fixed') {
    throw new TuttiError(
      'NETWORK_INVALID',
      `network "${checked.name}" is float32; the synapse machine computes in integers: quantise it first (quantiseNetwork)`,
      { where: 'numeric' },
    );
  }
  const network: FixedNetwork = checked;
  const machine = checkMachine(options.machine ?? DEFAULT_MACHINE);
  const strategy = options.strategy ?? 'co-optimised';
  if (!Object.hasOwn(STRATEGIES, strategy)) {
    throw new TuttiError(
      'OPTION_INVALID',
      `strategy is ${JSON.stringify(strategy)}; choose ${Object.keys(STRATEGIES).join(', ')}`,
      { where: 'strategy' },
    );
  }
  const spiking = network.populations.filter((p) => p.model !== 'input' && fires(p)).map((p) => p.name);
  for (const name of options.record ?? []) {
    if (spiking.includes(name)) continue;
    throw new TuttiError(
      'OPTION_INVALID',
      `record names "${name}", which is no population that fires; there are ${spiking.join(', ') || 'none'}`,
      { where: 'record' },
    );
  }
  const seed = options.seed ?? 1;
  const stage = (done: number, what: string): void => {
    throwIfAborted(options.signal, `compiling network "${network.name}"`);
    options.onProgress?.({ done, total: 4, what });
  };
  const { calibration } = options;
  const activityOf = (lowered: Lowered, samples = calibration?.samples): Activity =>
    calibration === undefined
      ? priorActivity(lowered, seed)
      : measureActivity(lowered, { inputs: calibration.inputs, ...(samples === undefined ? {} : { samples }) });
  const attempt = (slack: number): Attempt => {
    stage(0, 'lowering');
    const lowered = lower(network, new Set(options.record ?? spiking), slack);
    stage(1, 'activity');
    const activity = activityOf(lowered);
    stage(2, `partition (${strategy})`);
    const head = { name: network.name, strategy, seed, synapses: lowered.post.length, maxSteps: network.maxSteps };
    const cyclesOf = (partition: Partition): number | undefined => {
      if (calibration === undefined || lowered.post.length > MOST_MEASURED)
        return estimate(lowered, machine, partition, activity).cycles;
      const tables = layOut(lowered, machine, partition);
      if (overflows(tables).length > 0) return undefined;
      return measureCycles({ ...head, ...tables }, calibration.inputs, MEASURED_SAMPLES);
    };
    const partition = STRATEGIES[strategy]({ lowered, machine, seed, activity, cyclesOf });
    stage(3, 'layout');
    return { program: { ...head, ...layOut(lowered, machine, partition) }, cycles: () => cyclesOf(partition) };
  };
  /** Whether slack changes anything, and could make up for its machine steps. */
  const worthSlack = (without: Attempt): boolean => {
    const lowered = lower(network, new Set(), 1);
    if (lowered.maxSkew === without.program.maxSkew) return false;
    return lowerBound(lowered, machine, activityOf(lowered, MEASURED_SAMPLES)).cycles < (without.cycles() ?? Infinity);
  };
  const chosen = attempt(options.slack ?? 0);
  let { program } = chosen;
  if (options.slack === undefined && strategy === 'co-optimised' && program.synapses <= MOST_MEASURED) {
    const later = worthSlack(chosen) ? attempt(1) : undefined;
    if (later !== undefined && overflows(later.program).length === 0 && fewer(later, chosen)) ({ program } = later);
  }
  checkFit(program, network.name);
  stage(4, 'done');
  return program;
}

interface Attempt {
  readonly program: Program;
  /** Of a sample, measured or estimated; undefined where the program does not fit. */
  cycles(): number | undefined;
}

function fewer(a: Attempt, b: Attempt): boolean {
  return (a.cycles() ?? Infinity) < (b.cycles() ?? Infinity);
}

/** Cycles of a sample by the cycle model, averaged over the first `samples` of the calibration inputs. */
export function measureCycles(program: Program, inputs: Calibration['inputs'], samples: number): number {
  const trains = new Map(Object.entries(inputs));
  const steps = Math.min(program.maxSteps, Math.max(...[...trains.values()].map((train) => train.steps)));
  const batch = Math.min(samples, ...[...trains.values()].map((train) => train.batch));
  const model = createCycleModel(program);
  let cycles = 0;
  for (let sample = 0; sample < batch; sample++) {
    const words = model.run(inputWords(program, trains, sample, { steps, tag: 0 }));
    cycles += readOutput(words, 0, machineSteps(program, steps), READ_NOTHING).cycles;
  }
  return cycles / batch;
}
