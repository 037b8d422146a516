/**
 * Policies against each other on the same workloads: over loads and seeds, each policy with a predictor of its own that has learned from one workload of the same
 * kind (another seed, light load) and from nothing else. Load 1 is the rate at which a first-come-first-served cluster that never runs empty ends workflows.
 */
import { TuttiError } from '../errors.js';
import { policyNamed, POLICY_NAMES } from '../maestro/policies/catalogue.js';
import type { PolicyLevels } from '../maestro/policies/levels.js';
import { loadPredictor } from '../maestro/predict/load-predictor.js';
import { studentInterval, type Interval } from './intervals.js';
import type { SimulationResult } from './metrics.js';
import { simulate, type SimulatedNodeSpec } from './simulator.js';
import { trainOnWorkload } from './train-on-workload.js';
import { atLoad, type Workload } from './workload.js';

/** A policy of the catalogue, parts of which may be exchanged; `oracle`: it is told the truth instead of predictions. */
export interface Contender {
  readonly name: string;
  readonly policy: string;
  readonly instead?: () => Partial<PolicyLevels>;
  readonly oracle?: boolean;
}

export interface ExperimentOptions {
  /** Makes the workload of a seed, arriving at any rate. */
  readonly workload: (seed: number) => Workload;
  readonly nodes: readonly SimulatedNodeSpec[];
  /** Names of policies, `oracle` for Maestro told the truth, or contenders. Default: all policies and the oracle. */
  readonly contenders?: readonly (string | Contender)[];
  readonly loads: readonly number[];
  readonly seeds: readonly number[];
  /** What predictors learn from and capacity is measured on. Default: the workload of seed 1000. Capacity needs a long one: while the last few end, a cluster is all but empty. */
  readonly training?: Workload;
  /** Workflows a second at load 1. Default: measured. */
  readonly capacity?: number;
  readonly onProgress?: (what: { readonly done: number; readonly all: number; readonly name: string }) => void;
  readonly signal?: AbortSignal;
}

/** One policy at one load. */
export interface ExperimentCell {
  readonly name: string;
  readonly load: number;
  readonly results: readonly SimulationResult[];
  /** Part of workflows that met what was asked, over seeds. */
  readonly attained: Interval;
}

export interface ExperimentReport {
  readonly capacity: number;
  readonly loads: readonly number[];
  readonly names: readonly string[];
  readonly cells: readonly ExperimentCell[];
  readonly note: string;
}

/** What a name stands for. @throws TuttiError OPTION_INVALID for one that nothing has */
function contenderOf(given: string | Contender): Contender {
  const contender =
    typeof given !== 'string'
      ? given
      : given === 'oracle'
        ? { name: 'oracle', policy: 'maestro', oracle: true }
        : { name: given, policy: given };
  policyNamed(contender.policy);
  return contender;
}

/** Workflows a second of a cluster that never runs empty. */
export function measureCapacity(workload: Workload, nodes: readonly SimulatedNodeSpec[]): number {
  const { seconds } = simulate({ workload: atLoad(workload, 1e4), nodes, policy: policyNamed('fcfs') });
  return workload.workflows.length / seconds;
}

/** A workload's own rate of arrival, workflows a second. */
export function rateOf({ workflows }: Workload): number {
  const last = workflows.at(-1)?.arrival ?? 0;
  return last > 0 ? workflows.length / last : 1;
}

/** @throws TuttiError OPTION_INVALID for unknown policies, loads and seeds that are none; ABORTED */
export async function comparePolicies(options: ExperimentOptions): Promise<ExperimentReport> {
  const { workload, nodes, loads, seeds, onProgress, signal } = options;
  const contenders = (options.contenders ?? [...POLICY_NAMES, 'oracle']).map(contenderOf);
  if (loads.length === 0 || loads.some((load) => !(load > 0 && load < 1000)))
    throw new TuttiError('OPTION_INVALID', `loads must be numbers above 0, got ${loads.join(', ') || 'none'}`, {
      where: 'loads',
    });
  if (seeds.length === 0) throw new TuttiError('OPTION_INVALID', 'one seed at least is needed', { where: 'seeds' });
  if (nodes.length === 0) throw new TuttiError('OPTION_INVALID', 'one node at least is needed', { where: 'nodes' });
  const training = options.training ?? workload(1000);
  const capacity = options.capacity ?? measureCapacity(training, nodes);
  const light = atLoad(training, (0.7 * capacity) / rateOf(training));
  const learned = trainOnWorkload({ workload: light, nodes, seed: 1000 }).save();
  const cells: ExperimentCell[] = [];
  const all = loads.length * contenders.length * seeds.length;
  let done = 0;
  const workloads = seeds.map((seed) => workload(seed));
  for (const load of loads) {
    for (const { name, policy, instead, oracle = false } of contenders) {
      const results: SimulationResult[] = [];
      for (const own of workloads) {
        if (signal?.aborted) throw new TuttiError('ABORTED', 'the comparison was cancelled', { where: 'signal' });
        onProgress?.({ done: done++, all, name: `${name} at load ${load}` });
        // Whoever shows progress gets a turn.
        await new Promise((resolve) => setTimeout(resolve, 0));
        results.push(
          simulate({
            workload: atLoad(own, (load * capacity) / rateOf(own)),
            nodes,
            policy: policyNamed(policy, instead?.() ?? {}),
            ...(oracle ? { oracle } : { predictor: loadPredictor(learned) }),
            trace: results.length === 0,
          }),
        );
      }
      const attained = studentInterval(results.map((result) => result.all.attained));
      cells.push({ name, load, results, attained });
    }
  }
  return { capacity, loads, names: contenders.map(({ name }) => name), cells, note: training.note ?? '' };
}

export function cellOf({ cells }: ExperimentReport, name: string, load: number): ExperimentCell {
  return cells.find((cell) => cell.name === name && cell.load === load)!;
}
