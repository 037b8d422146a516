/**
 * The strategy that weighs the two things that bound a machine step against each other. Spreading a source's synapses over all SPUs
 * evens out the operations, but its spike then takes an issue slot at every port; confining it to one port takes one slot, but
 * only that port's SPUs share its work. Sources are confined or spread, the confined ones get their ports by simulated
 * annealing, every synapse goes to the SPU that is least loaded when its source is active, and the cycle model (without calibration
 * inputs: the estimator) picks among the candidates, the simple strategies among them.
 */
import { TuttiError } from '../../errors.js';
import { spusPerPort, type MachineConfig } from '../machine/config.js';
import { seededRandom } from '../random.js';
import type { Activity } from './activity.js';
import { sourcesOf } from './estimate.js';
import { overflows } from './fit.js';
import { layOut, type Partition } from './layout.js';
import type { Lowered } from './lower.js';
import { outOfAccumulators, SIMPLE_STRATEGIES, type PartitionRequest, type PartitionStrategy } from './partition.js';

/** Entries of the activity that are looked at: enough to tell which sources are active together. */
const MOST_DUE = 2 ** 17;
/** Sources with more synapses than this share of the SPUs are spread in the mixed candidates. */
const SPREAD_ABOVE = [0.5, 1, 2];
const SPREAD = 255;
const MOVES_PER_SOURCE = 60;
/** Evaluations of a step's cost over all moves: bounds the time that annealing takes. */
const MOST_EVALUATIONS = 2 ** 21;
/** Passes over all bundles in which their synapses are dealt, the later ones knowing where all the others lie. */
const PASSES = 2;

export const coOptimised: PartitionStrategy = (request) => {
  const { lowered, machine, activity } = request;
  const cyclesOf = (partition: Partition): number => request.cyclesOf(partition) ?? Infinity;
  const work = sourceWork(lowered, activity);
  const candidates: { partition: Partition; cycles: number }[] = [];
  const offer = (make: () => Partition): void => {
    let partition: Partition;
    try {
      partition = make();
    } catch (error) {
      // Too few accumulators for it; another candidate may need fewer.
      if (error instanceof TuttiError && error.code === 'LIMIT_EXCEEDED') return;
      throw error;
    }
    candidates.push({ partition, cycles: cyclesOf(partition) });
  };
  const spread = new Uint8Array(work.sources).fill(SPREAD);
  offer(() => deal(request, work, spread));
  if (machine.ports > 1) {
    const seen = new Set<number>();
    for (const share of [...SPREAD_ABOVE, Infinity]) {
      const confined = confinedBelow(work, share * machine.spus);
      if (confined.length === 0 || seen.has(confined.length)) continue;
      seen.add(confined.length);
      offer(() => deal(request, work, annealPorts(request, work, confined)));
    }
  }
  for (const simple of Object.values(SIMPLE_STRATEGIES)) offer(() => simple(request));
  candidates.sort((a, b) => a.cycles - b.cycles);
  const fits = candidates.find(
    ({ partition }, i) => i === candidates.length - 1 || overflows(layOut(lowered, machine, partition)).length === 0,
  );
  if (fits === undefined) throw outOfAccumulators(machine, Math.ceil(lowered.neurons / machine.lanes));
  return fits.partition;
};

interface SourceWork {
  readonly sources: number;
  /** [sources]. */
  readonly synapses: Uint32Array;
  /** [sources]: bundles, each of which is an axon at every port that it reaches. */
  readonly bundles: Uint32Array;
  /** [bundles]. */
  readonly sourceOf: Uint32Array;
  /** [bundles + 1] into `dueIn`: the observed steps in which each bundle is due. */
  readonly dueStart: Uint32Array;
  readonly dueIn: Uint32Array;
  readonly steps: number;
}

function sourceWork(lowered: Lowered, activity: Activity): SourceWork {
  const sources = lowered.inputs + lowered.neurons;
  const synapses = new Uint32Array(sources);
  const bundles = new Uint32Array(sources);
  for (let s = 0; s < sources; s++) {
    const from = lowered.firstBundle[s]!;
    const until = lowered.firstBundle[s + 1]!;
    bundles[s] = until - from;
    synapses[s] = lowered.firstSynapse[until]! - lowered.firstSynapse[from]!;
  }
  let steps = activity.stepStart.length - 1;
  while (steps > 1 && activity.stepStart[steps]! > MOST_DUE) steps--;
  const dueStart = new Uint32Array(lowered.bundles + 1);
  const seen = activity.bundle.subarray(0, activity.stepStart[steps]);
  for (const b of seen) dueStart[b + 1]!++;
  for (let b = 0; b < lowered.bundles; b++) dueStart[b + 1]! += dueStart[b]!;
  const next = dueStart.slice(0, lowered.bundles);
  const dueIn = new Uint32Array(seen.length);
  for (let step = 0; step < steps; step++) {
    for (let i = activity.stepStart[step]!; i < activity.stepStart[step + 1]!; i++)
      dueIn[next[activity.bundle[i]!]!++] = step;
  }
  return { sources, synapses, bundles, sourceOf: sourcesOf(lowered), dueStart, dueIn, steps };
}

/** Sources with synapses, but at most `most` per bundle. */
function confinedBelow({ sources, synapses, bundles }: SourceWork, most: number): Uint32Array {
  const chosen: number[] = [];
  for (let s = 0; s < sources; s++) if (bundles[s]! > 0 && synapses[s]! <= most * bundles[s]!) chosen.push(s);
  return Uint32Array.from(chosen);
}

/** The port of each source, or SPREAD: annealing on the sum over steps of the busiest port's time. */
function annealPorts(
  { lowered, machine, seed }: PartitionRequest,
  work: SourceWork,
  confined: Uint32Array,
): Uint8Array {
  const { ports } = machine;
  const perPort = spusPerPort(machine);
  const { steps, dueStart, dueIn } = work;
  const portOf = new Uint8Array(work.sources).fill(SPREAD);
  const axons = new Int32Array(steps * ports);
  const operations = new Float64Array(steps * ports);
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  const add = (source: number, port: number, sign: number): void => {
    for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++) {
      const count = (sign * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!)) / perPort;
      for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
        const at = dueIn[i]! * ports;
        if (port !== SPREAD) {
          axons[at + port]! += sign;
          operations[at + port]! += count;
        } else {
          for (let q = 0; q < ports; q++) {
            axons[at + q]! += sign;
            operations[at + q]! += count / ports;
          }
        }
      }
    }
  };
  const costOf = (step: number): number => {
    let most = groups;
    let sum = 0;
    for (let q = 0; q < ports; q++) {
      const time = Math.max(axons[step * ports + q]!, operations[step * ports + q]!);
      if (time > most) most = time;
      sum += time * time;
    }
    // The squares guide a step that is bound by the sweep, or by another port, towards being even.
    return most + sum * 1e-4;
  };
  const stepsOf = (source: number): Set<number> => {
    const found = new Set<number>();
    for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++)
      for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) found.add(dueIn[i]!);
    return found;
  };

  const isConfined = new Uint8Array(work.sources);
  for (const s of confined) isConfined[s] = 1;
  for (let s = 0; s < work.sources; s++) if (!isConfined[s]) add(s, SPREAD, 1);
  // First the heaviest, each to the port that it costs least.
  const weightOf = (s: number): number => stepsWeight(lowered, work, s);
  const heaviest = [...confined].map((s) => [s, weightOf(s)] as const).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const at: Set<number>[] = [];
  heaviest.forEach(([s], i) => {
    const touched = stepsOf(s);
    at.push(touched);
    let best = i % ports;
    let least = Infinity;
    for (let k = 0; k < ports; k++) {
      const q = (i + k) % ports;
      add(s, q, 1);
      let cost = 0;
      for (const step of touched) cost += costOf(step);
      add(s, q, -1);
      if (cost < least) [best, least] = [q, cost];
    }
    portOf[s] = best;
    add(s, best, 1);
  });

  const random = seededRandom(seed);
  const touchedOnAverage = Math.max(1, at.reduce((sum, { size }) => sum + size, 0) / at.length);
  const moves = Math.min(MOST_EVALUATIONS / touchedOnAverage, MOVES_PER_SOURCE * confined.length);
  for (let move = 0; move < moves; move++) {
    const i = random.below(heaviest.length);
    const s = heaviest[i]![0];
    const touched = at[i]!;
    if (touched.size === 0) continue;
    const from = portOf[s]!;
    const to = (from + 1 + random.below(ports - 1)) % ports;
    let before = 0;
    for (const step of touched) before += costOf(step);
    add(s, from, -1);
    add(s, to, 1);
    let after = 0;
    for (const step of touched) after += costOf(step);
    const temperature = 0.5 * (1 - move / moves) ** 2 * touched.size ** 0.5;
    if (after <= before || random.uniform() < Math.exp((before - after) / Math.max(1e-9, temperature))) portOf[s] = to;
    else {
      add(s, to, -1);
      add(s, from, 1);
    }
  }
  return portOf;
}

/** Operations of a source over the observed steps. */
function stepsWeight(lowered: Lowered, { dueStart }: SourceWork, source: number): number {
  let weight = 0;
  for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++)
    weight += (dueStart[b + 1]! - dueStart[b]!) * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!);
  return weight;
}

/** Gives every synapse an SPU: of its source's port, among those that may hold its group, the one that is least loaded in the source's steps. */
function deal({ lowered, machine }: PartitionRequest, work: SourceWork, portOf: Uint8Array): Partition {
  const { spus, lanes } = machine;
  const perPort = spusPerPort(machine);
  const placement = placeByPort(lowered, machine, work, portOf);
  const homes = groupHomes(lowered, machine);
  const spu = new Uint8Array(lowered.post.length);
  const load = new Float32Array(work.steps * spus);
  const held = new Float64Array(spus);
  const score = new Float64Array(spus);
  const counts = new Uint32Array(spus);
  const { dueStart, dueIn } = work;
  const heaviest = Array.from({ length: lowered.bundles }, (_, b) => b);
  const weights = Float64Array.from(
    heaviest,
    (b) => (dueStart[b + 1]! - dueStart[b]!) * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!),
  );
  heaviest.sort((a, b) => weights[b]! - weights[a]! || a - b);
  /** Adds `counts` to the load of the steps in which bundle b is due, or takes them away. */
  const put = (b: number, low: number, high: number, sign: number): void => {
    for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
      const row = dueIn[i]! * spus;
      for (let p = low; p < high; p++) load[row + p]! += sign * counts[p]!;
    }
  };
  for (let i = 0; i < PASSES * heaviest.length; i++) {
    const again = i >= heaviest.length;
    const b = heaviest[i % heaviest.length]!;
    const from = lowered.firstSynapse[b]!;
    const until = lowered.firstSynapse[b + 1]!;
    const port = portOf[work.sourceOf[b]!]!;
    const low = port === SPREAD ? 0 : port * perPort;
    const high = port === SPREAD ? spus : low + perPort;
    const due = dueStart[b + 1]! - dueStart[b]!;
    if (again) {
      if (due === 0) continue;
      counts.fill(0);
      for (let k = from; k < until; k++) counts[spu[k]!]!++;
      for (let p = low; p < high; p++) held[p]! -= counts[p]!;
      put(b, low, high, -1);
    }
    score.fill(0);
    for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
      const row = dueIn[i]! * spus;
      for (let p = low; p < high; p++) {
        const l = load[row + p]!;
        score[p]! += l * l * l;
      }
    }
    // What was never seen active is spread by what the memories hold.
    for (let p = low; p < high; p++) score[p]! += 1e-3 * held[p]!;
    // What one more operation adds to a score: the derivative of the cubes, at the mean load.
    let mean = 0;
    for (let p = low; p < high; p++) mean += score[p]!;
    mean = due === 0 ? 0 : Math.cbrt(mean / (high - low) / due);
    const each = 3 * due * Math.max(1, mean) ** 2 + 1e-3;
    counts.fill(0);
    for (let k = from; k < until; k++) {
      const p = homes(Math.floor(placement[lowered.post[k]!]! / lanes), low, high, score);
      spu[k] = p;
      score[p]! += each;
      counts[p]!++;
      held[p]!++;
    }
    put(b, low, high, 1);
  }
  return { spu, placement };
}

/**
 * Within each population, neurons of different ports in turn: then their axons, numbered one after another, meet their ports. Of each
 * port's, those that cause most work come first, so that it can begin early in the sweep.
 */
function placeByPort(lowered: Lowered, { ports }: MachineConfig, work: SourceWork, portOf: Uint8Array): Uint32Array {
  const placement = new Uint32Array(lowered.neurons);
  for (const { model, firstSource, size } of lowered.populations) {
    if (model === 'input') continue;
    const first = firstSource - lowered.inputs;
    const queues: number[][] = Array.from({ length: ports + 1 }, () => []);
    const weight = Float64Array.from({ length: size }, (_, i) => stepsWeight(lowered, work, firstSource + i));
    const lightest = Array.from({ length: size }, (_, i) => first + i);
    lightest.sort((a, b) => weight[a - first]! - weight[b - first]! || b - a);
    for (const n of lightest) {
      const port = portOf[lowered.inputs + n]!;
      queues[
        port === SPREAD || lowered.firstBundle[lowered.inputs + n] === lowered.firstBundle[lowered.inputs + n + 1]
          ? ports
          : port
      ]!.push(n);
    }
    let next = 0;
    for (let place = first; place < first + size; place++) {
      let queue = queues[ports]!;
      for (let k = 0; k < ports; k++) {
        const q = (next + k) % ports;
        if (queues[q]!.length > 0) {
          queue = queues[q]!;
          next = (q + 1) % ports;
          break;
        }
      }
      placement[queue.pop()!] = place;
    }
  }
  return placement;
}

type Homes = (group: number, low: number, high: number, score: Float64Array) => number;

/**
 * The least loaded SPU of low .. high - 1 that may hold a group. Where accumulators are scarce every group has as many homes as there is
 * room for, the same number at each port. @throws TuttiError LIMIT_EXCEEDED
 */
function groupHomes(lowered: Lowered, machine: MachineConfig): Homes {
  const { spus, ports } = machine;
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  const room = machine.accumulators / machine.lanes;
  if (room >= groups) {
    return (_group, low, high, score) => {
      let best = low;
      for (let p = low + 1; p < high; p++) if (score[p]! < score[best]!) best = p;
      return best;
    };
  }
  const perPort = spusPerPort(machine);
  // Homes at each port; with less than one, homes anywhere, and then no source can be confined.
  const atPort = Math.floor((perPort * room) / groups);
  const anywhere = Math.floor((spus * room) / groups);
  if (anywhere < 1) throw outOfAccumulators(machine, groups);
  const mayHold = new Uint8Array(spus * groups);
  const [parts, size, each] = atPort > 0 ? [ports, perPort, atPort] : [1, spus, anywhere];
  for (let part = 0; part < parts; part++) {
    let next = 0;
    for (let g = 0; g < groups; g++)
      for (let k = 0; k < each; k++) mayHold[(part * size + (next++ % size)) * groups + g] = 1;
  }
  return (group, low, high, score) => {
    let best = -1;
    for (let p = low; p < high; p++)
      if (mayHold[p * groups + group] && (best < 0 || score[p]! < score[best]!)) best = p;
    if (best < 0) throw outOfAccumulators(machine, groups);
    return best;
  };
}
