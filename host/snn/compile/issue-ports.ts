/**
 * Which ports each source uses. Each takes a run of neighbouring ports, of a given width; simulated annealing on the observed steps moves
 * the runs so that sources which are active together use different ports.
 */
import { spusPerPort } from '../machine/config.js';
import { seededRandom } from '../../random.js';
import type { PartitionRequest } from './partition.js';
import { stepsWeight, type SourceWork } from './source-work.js';

const MOVES_PER_SOURCE = 60;
/** Evaluations of a step's cost over all moves: bounds the time that annealing takes. */
const MOST_EVALUATIONS = 2 ** 21;

/** Bits of `width` neighbouring ports (the last is a neighbour of the first) from `first` on. */
export function portRun(ports: number, first: number, width: number): number {
  let mask = 0;
  for (let k = 0; k < width; k++) mask |= 1 << ((first + k) % ports);
  return mask;
}

/**
 * The smallest power of two of ports on which a source's rows have `row` operations at most, for each source.
 * @returns [sources]
 */
export function widthsFor({ lowered, machine }: PartitionRequest, work: SourceWork, row: number): Uint8Array {
  const perPort = spusPerPort(machine);
  return Uint8Array.from({ length: work.sources }, (_, s) => {
    let largest = 0;
    for (let b = lowered.firstBundle[s]!; b < lowered.firstBundle[s + 1]!; b++)
      largest = Math.max(largest, lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!);
    let width = 1;
    while (width < machine.ports && largest > row * perPort * width) width *= 2;
    return width;
  });
}

/**
 * The ports of each source, given how many it shall use: those of the least sum over steps of the busiest port's time.
 * @returns [sources]: one bit a port
 */
/** The port of each source, or SPREAD: annealing on the sum over steps of the busiest port's time. */
export function annealPorts(
  { lowered, machine, seed }: PartitionRequest,
  work: SourceWork,
  widths: Uint8Array,
): Uint8Array {
  const { ports } = machine;
  const perPort = spusPerPort(machine);
  const { steps, dueStart, dueIn } = work;
  const axons = new Int32Array(steps * ports);
  const operations = new Float64Array(steps * ports);
  const groups = Math.ceil(lowered.neurons / machine.lanes);
  const add = (source: number, mask: number, width: number, sign: number): void => {
    for (let b = lowered.firstBundle[source]!; b < lowered.firstBundle[source + 1]!; b++) {
      const count = (sign * (lowered.firstSynapse[b + 1]! - lowered.firstSynapse[b]!)) / perPort / width;
      for (let i = dueStart[b]!; i < dueStart[b + 1]!; i++) {
        const at = dueIn[i]! * ports;
        for (let q = 0; q < ports; q++) {
          if (((mask >> q) & 1) === 0) continue;
          axons[at + q]! += sign;
          operations[at + q]! += count;
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
  const costOfAll = (touched: Iterable<number>): number => {
    let cost = 0;
    for (const step of touched) cost += costOf(step);
    return cost;
  };

  // First those that use all ports, then the heaviest, each where it costs least.
  const maskOf = new Uint8Array(work.sources);
  const confined: { readonly source: number; readonly weight: number }[] = [];
  for (let source = 0; source < work.sources; source++) {
    if (work.bundles[source] === 0) continue;
    if (widths[source]! < ports) confined.push({ source, weight: stepsWeight(lowered, work, source) });
    else {
      maskOf[source] = portRun(ports, 0, ports);
      add(source, maskOf[source]!, ports, 1);
    }
  }
  confined.sort((a, b) => b.weight - a.weight || a.source - b.source);
  const touchedBy = confined.map(({ source }, i) => {
    const touched = stepsOf(source);
    const width = widths[source]!;
    let best = 0;
    let least = Infinity;
    for (let k = 0; k < ports; k++) {
      const mask = portRun(ports, (width * i + k) % ports, width);
      add(source, mask, width, 1);
      const cost = costOfAll(touched);
      add(source, mask, width, -1);
      if (cost < least) [best, least] = [mask, cost];
    }
    maskOf[source] = best;
    add(source, best, width, 1);
    return touched;
  });
  if (confined.length === 0) return maskOf;

  const random = seededRandom(seed);
  const touchedOnAverage = Math.max(1, touchedBy.reduce((sum, { size }) => sum + size, 0) / confined.length);
  const moves = Math.min(MOST_EVALUATIONS / touchedOnAverage, MOVES_PER_SOURCE * confined.length);
  for (let move = 0; move < moves; move++) {
    const i = random.below(confined.length);
    const { source } = confined[i]!;
    const width = widths[source]!;
    const touched = touchedBy[i]!;
    const from = maskOf[source]!;
    const to = portRun(ports, random.below(ports), width);
    if (to === from || touched.size === 0) continue;
    const before = costOfAll(touched);
    add(source, from, width, -1);
    add(source, to, width, 1);
    const after = costOfAll(touched);
    const temperature = 0.5 * (1 - move / moves) ** 2 * touched.size ** 0.5;
    if (after <= before || random.uniform() < Math.exp((before - after) / Math.max(1e-9, temperature)))
      maskOf[source] = to;
    else {
      add(source, to, width, -1);
      add(source, from, width, 1);
    }
  }
  return maskOf;
}
