/**
 * The machine of rtl/, word for word and cycle for cycle, without stepping it: every axon's times follow from those before it
 * (docs/suprasnn.md, "Micro-architecture and timing"), with words always offered and always taken.
 */
import { TuttiError } from '../../errors.js';
import { READ_NOTHING, type ReadRequest } from './load-words.js';
import { createNeuronModel } from './neuron-model.js';
import { groupsOf, machineSteps, type Program } from './program.js';
import { CONTROL_WORDS, INPUT, LAST, MEMORY, OUTPUT, PAIR, STATUS } from './stream.js';
import { createSweepTimes } from './sweep-times.js';
import { synapseTables } from './synapse-tables.js';
import { machineTiming } from './timing.js';
import type { StepTrace } from './trace.js';

export interface CycleModel {
  /**
   * Puts whole samples through the machine, each from its `begin`, and loads of the control memory between them; returns the words
   * that it puts out. With `trace`, what happened in each machine step of each sample is added to it.
   * @throws TuttiError INPUT_INVALID when the words end within a sample, or load what the model was not made for
   */
  run(words: Uint32Array, trace?: StepTrace[]): Uint32Array;
}

/** @throws TuttiError OPTION_INVALID for a read range outside of the program's neurons */
export function createCycleModel(program: Program, read: ReadRequest = READ_NOTHING): CycleModel {
  const { machine, axons, neurons, axonDelay, axonCount, firstAxon } = program;
  const { ports, lanes, spus, fifo, delaySlots, queue: queueDepth, accumulators } = machine;
  const groups = groupsOf(program);
  const timing = machineTiming(machine);
  const tables = synapseTables(program);
  const { targetStart, targetSpu, targetCycles, axonOperations } = tables;
  const { synapseStart, synapseNeuron, synapseWeight, synapseAccumulator, accumulatorNeuron } = tables;
  const unit = createNeuronModel(program);
  let range = checkedRange(program, read);

  // ---- sums: at once per neuron while no partial sum can leave its width, else partial sum by partial sum
  const partialLimit = 2 ** (machine.accumulatorBits - 1) - 1;
  const repeatsAllowed = Math.min(
    Math.floor(partialLimit / Math.max(1, tables.partialBound)),
    Math.floor((2 ** 31 - 1) / Math.max(1, tables.sumBound)),
  );
  const sums = new Int32Array(neurons + 1);
  const wideSums = new Float64Array(neurons + 1);
  const partials = new Int32Array(spus * accumulators);
  const unusedBits = 32 - machine.accumulatorBits;
  const fired = new Uint16Array(neurons);
  const lastIssuedIn = new Int32Array(axons).fill(-1);
  let issuedSteps = 0;

  // ---- times, in cycles from `begin`
  /** [ports][inputFifo]: when each of the last inputs was looked up. */
  const inputFetched = new Float64Array(ports * timing.inputFifo);
  const inputAt = new Int32Array(ports);
  /** [spus][fifo]: when each of the last rows started. */
  const started = new Float64Array(spus * fifo);
  const startedAt = new Int32Array(spus);
  const spuEnd = new Float64Array(spus);
  const lastIssue = new Float64Array(ports);
  const inputsEnd = new Float64Array(ports);
  /** [ports][delaySlots]: how many axons are due, which, and when each was written. Lists keep their room: only counts go back to 0. */
  const queued = new Int32Array(ports * delaySlots);
  const queuedAxons: number[][] = Array.from(queued, () => []);
  const queuedTimes: number[][] = Array.from(queued, () => []);
  /** Axons of this step, in the order of issue at each port. */
  const issued: number[] = [];
  let issues = 0;
  const sweep = createSweepTimes(groups, timing.spikeRoom);

  // ---- words
  let words: Uint32Array = new Uint32Array(0);
  let at = 0;
  let out = new Uint32Array(1024);
  let length = 0;
  let status = 0;
  const put = (word: number): void => {
    if (length === out.length) {
      const larger = new Uint32Array(2 * length);
      larger.set(out);
      out = larger;
    }
    out[length++] = word;
  };

  // ---- trace
  let traceIssues: number[] | undefined;
  let traceRows: number[] | undefined;
  let traceDeliveries: number[] | undefined;

  /** An axon whose look-up was at `fetched`. */
  function issue(port: number, axon: number, fetched: number): void {
    let time = fetched + timing.fetchToIssue;
    const possible = time;
    const from = targetStart[axon]!;
    const to = targetStart[axon + 1]!;
    for (let k = from; k < to; k++) {
      const p = targetSpu[k]!;
      const credit = started[p * fifo + startedAt[p]!]! + timing.startToCredit;
      if (credit > time) time = credit;
    }
    const arrival = time + timing.issueToStart;
    for (let k = from; k < to; k++) {
      const p = targetSpu[k]!;
      const end = spuEnd[p]!;
      const start = end > arrival ? end : arrival;
      const place = startedAt[p]!;
      started[p * fifo + place] = start;
      startedAt[p] = place + 1 === fifo ? 0 : place + 1;
      spuEnd[p] = start + targetCycles[k]!;
      traceRows?.push(p, axon, start, targetCycles[k]!);
    }
    lastIssue[port] = time;
    issued[issues++] = axon;
    traceIssues?.push(port, axon, possible, time);
  }

  /** One sample's inputs go through the splitter, word by word. */
  let pushed = 0;
  let barrier = 0;

  function roomAfter(time: number): number {
    for (let q = 0; q < ports; q++) {
      const oldest = inputFetched[q * timing.inputFifo + inputAt[q]!]! + 1;
      if (oldest > time) time = oldest;
    }
    return time;
  }

  function pushInput(port: number, axon: number, last: boolean): void {
    const fetched = Math.max(pushed + timing.pushToFetch, barrier + 1, lastIssue[port]!);
    const place = inputAt[port]!;
    inputFetched[port * timing.inputFifo + place] = fetched;
    inputAt[port] = place + 1 === timing.inputFifo ? 0 : place + 1;
    if (last) inputsEnd[port] = fetched;
    if (axon >= 0) issue(port, axon, fetched);
  }

  function pushWord(first: number, second: number, last: boolean): void {
    for (let q = 0; q < ports; q++) {
      const axon = first >= 0 && first % ports === q ? first : second >= 0 && second % ports === q ? second : -1;
      if (axon >= 0 || last) pushInput(q, axon, last);
    }
  }

  /** Takes the words of one machine step. */
  function inputStep(): void {
    for (;;) {
      if (at >= words.length)
        throw new TuttiError('INPUT_INVALID', `the input words end after ${at}, within a sample: send whole samples`, {
          where: 'words',
        });
      const word = words[at++]!;
      pushed = roomAfter(pushed + 1);
      const kind = word >>> 30;
      if (kind === INPUT.stepEnd) {
        pushWord(-1, -1, true);
        return;
      }
      if (kind !== INPUT.spike) {
        status |= STATUS.badWord;
        continue;
      }
      const last = (word & LAST) !== 0;
      const pair = (word & PAIR) !== 0;
      let first = pair ? word & 0x3fff : word & 0xfffff;
      let second = pair ? (word >>> 14) & 0x3fff : -1;
      if (first >= axons || second >= axons) {
        status |= STATUS.badWord;
        if (first >= axons) first = -1;
        if (second >= axons) second = -1;
      }
      if (first >= 0 && second >= 0 && first % ports === second % ports) {
        pushWord(first, -1, false);
        pushed = roomAfter(pushed + 1);
        pushWord(second, -1, last);
      } else pushWord(first, second, last);
      if (last) return;
    }
  }

  function internalStep(slot: number): void {
    for (let q = 0; q < ports; q++) {
      const place = q * delaySlots + slot;
      const due = queuedAxons[place]!;
      const times = queuedTimes[place]!;
      for (let k = 0; k < queued[place]!; k++)
        issue(q, due[k]!, Math.max(times[k]! + timing.deliverToFetch, inputsEnd[q]! + 1, lastIssue[q]!));
      queued[place] = 0;
    }
  }

  /** Adds up what was issued in a machine step. Returns where the sums are. */
  function addUp(): Int32Array | Float64Array {
    let repeats = 1;
    for (let i = 0; i < issues; i++) {
      const axon = issued[i]!;
      if (lastIssuedIn[axon] === issuedSteps) repeats++;
      else lastIssuedIn[axon] = issuedSteps;
    }
    issuedSteps++;
    if (repeats <= repeatsAllowed) {
      for (let i = 0; i < issues; i++) {
        const axon = issued[i]!;
        const to = synapseStart[axon + 1]!;
        for (let k = synapseStart[axon]!; k < to; k++) sums[synapseNeuron[k]!]! += synapseWeight[k]!;
      }
      return sums;
    }
    for (let i = 0; i < issues; i++) {
      const axon = issued[i]!;
      const to = synapseStart[axon + 1]!;
      for (let k = synapseStart[axon]!; k < to; k++) {
        const exact = partials[synapseAccumulator[k]!]! + synapseWeight[k]!;
        const kept = (exact << unusedBits) >> unusedBits;
        if (kept !== exact) status |= STATUS.overflow;
        partials[synapseAccumulator[k]!] = kept;
      }
    }
    for (let a = 0; a < partials.length; a++) {
      wideSums[accumulatorNeuron[a]!]! += partials[a]!;
      partials[a] = 0;
    }
    return wideSums;
  }

  /** Sweep of the groups and delivery of the spikes of machine step `step`; returns the cycle in which both are over. */
  function mergeTimes(step: number, spikes: number): number {
    let delivered = -Infinity;
    sweep.begin(barrier + 1);
    for (let k = 0; k < spikes;) {
      const group = Math.floor(fired[k]! / lanes);
      const available = sweep.enter(group) + timing.groupToSpikes;
      sweep.shows(available);
      for (; k < spikes && Math.floor(fired[k]! / lanes) === group; k++) {
        const neuron = fired[k]!;
        const start = Math.max(available + 1, delivered);
        delivered = start + deliver(step, neuron, start);
        if (k + 1 === spikes || Math.floor(fired[k + 1]! / lanes) !== group) sweep.frees(start);
      }
    }
    const lastEntry = groups > 0 ? sweep.enter(groups - 1) : barrier + 1 - timing.groupToSpikes;
    return Math.max(lastEntry + timing.groupToSpikes, delivered + timing.deliveryDrain);
  }

  /** Puts a neuron's axons into their queues, a row (one axon a port) a cycle from `start` on; returns how many cycles that takes. */
  function deliver(step: number, neuron: number, start: number): number {
    const from = firstAxon[neuron]!;
    const to = from + axonCount[neuron]!;
    const firstRow = Math.floor(from / ports);
    for (let axon = from; axon < to; axon++) {
      const place = (axon % ports) * delaySlots + ((step + axonDelay[axon]!) % delaySlots);
      const before = queued[place]!;
      if (before === queueDepth) status |= STATUS.queueFull;
      else {
        queued[place] = before + 1;
        queuedAxons[place]![before] = axon;
        queuedTimes[place]![before] = start + Math.floor(axon / ports) - firstRow + timing.deliver;
      }
    }
    const rows = to === from ? 1 : Math.floor((to - 1) / ports) - firstRow + 1;
    traceDeliveries?.push(neuron, start, rows);
    return rows;
  }

  function putPotentials(): void {
    for (let n = range.first; n < range.first + range.count; n++)
      put(((OUTPUT.potential << 30) | (unit.potential(n) & 0x3fffffff)) >>> 0);
  }

  /** When potentials whose read-out was decided in `time` have all been put out. */
  const readEnd = (time: number): number => time + timing.readStart + range.count - 1 + timing.groupToSpikes;

  function sample(steps: number, tag: number, trace: StepTrace[] | undefined): void {
    const total = machineSteps(program, steps);
    inputFetched.fill(-Infinity);
    started.fill(-Infinity);
    spuEnd.fill(0);
    lastIssue.fill(-Infinity);
    queued.fill(0);
    unit.begin(steps);
    let operations = 0;
    let internal = 0;
    // Of the merge before: when it was over.
    let merged = -Infinity;
    pushed = 0;
    barrier = 1;
    for (let step = 0; step < total; step++) {
      const start = barrier;
      issues = 0;
      traceIssues = trace && [];
      traceRows = trace && [];
      traceDeliveries = trace && [];
      inputStep();
      internalStep(step % delaySlots);
      let quiet = 0;
      for (let q = 0; q < ports; q++) quiet = Math.max(quiet, inputsEnd[q]! + 1, lastIssue[q]! + 1);
      for (let p = 0; p < spus; p++) quiet = Math.max(quiet, spuEnd[p]! + timing.spuDrain);
      barrier = Math.max(quiet + timing.quietToBarrier, merged + 2, start + timing.leastStep);
      for (let i = 0; i < issues; i++) operations += axonOperations[issued[i]!]!;

      const spikes = unit.step(addUp(), fired);
      internal += spikes;
      const stepWord = (step & 0x3fff) << 16;
      for (let k = 0; k < spikes; k++) if (unit.recorded[fired[k]!]) put(stepWord | fired[k]!);
      merged = mergeTimes(step, spikes);
      if (range.everyStep && range.count > 0) {
        putPotentials();
        merged = readEnd(merged);
      }
      trace?.push({
        step,
        start,
        barrier,
        accumulated: quiet,
        issues: traceIssues ?? [],
        rows: traceRows ?? [],
        sweepStart: groups > 0 ? barrier + 1 : -1,
        sweepEnd: groups > 0 ? barrier + groups + sweep.waits : -1,
        sweepWaits: sweep.waits,
        deliveries: traceDeliveries ?? [],
        merged,
      });
    }
    if (range.count > 0) {
      putPotentials();
      merged = readEnd(merged);
    }
    if (unit.overflow) status |= STATUS.overflow;
    unit.overflow = false;
    put(((OUTPUT.end << 30) | (status << 16) | tag) >>> 0);
    status = 0;
    put((merged + timing.end) >>> 0);
    put(operations >>> 0);
    put(internal);
  }

  /** A `load` between samples: of the control memory, and only of what may change while a program stays. */
  function load(head: number): void {
    const memory = (head >>> 24) & 63;
    const place = words[at]!;
    const count = words[at + 1]!;
    const refuse = (what: string): TuttiError =>
      new TuttiError('INPUT_INVALID', `word ${at - 1} ${what}; make a model of the program that is to be loaded`, {
        where: `words[${at - 1}]`,
      });
    if (!(at + 2 + count <= words.length)) throw refuse('begins a load that the words do not hold to its end');
    if (memory !== MEMORY.control) throw refuse(`loads memory ${memory} of another program`);
    const { stretch, maxSkew } = program;
    const control = [stretch, maxSkew, groups, range.first, range.count, Number(range.everyStep), axons];
    for (let k = 0; k < count; k++) {
      if (place + k >= CONTROL_WORDS) status |= STATUS.badWord;
      else if (place + k >= 3 && place + k < 6) control[place + k] = words[at + 2 + k]!;
      else if (words[at + 2 + k] !== control[place + k])
        throw refuse(`sets control word ${place + k} to ${words[at + 2 + k]}, not this program's`);
    }
    range = checkedRange(program, { first: control[3]!, count: control[4]!, everyStep: (control[5]! & 1) !== 0 });
    at += 2 + count;
  }

  return {
    run(input, trace) {
      words = input;
      at = 0;
      length = 0;
      while (at < words.length) {
        const word = words[at++]!;
        const kind = word >>> 30;
        const steps = word & 0x3fff;
        if (kind === INPUT.begin && steps > 0) sample(steps, (word >>> 14) & 0xffff, trace);
        else if (kind === INPUT.load) load(word);
        else status |= STATUS.badWord;
      }
      return out.slice(0, length);
    },
  };
}

function checkedRange(program: Program, read: ReadRequest): ReadRequest {
  const { first, count } = read;
  if (first < 0 || count < 0 || first + count > program.neurons) {
    throw new TuttiError(
      'OPTION_INVALID',
      `read is ids ${first} .. ${first + count - 1}; program "${program.name}" has ${program.neurons} neurons`,
      { where: 'read', facts: { first, count, neurons: program.neurons } },
    );
  }
  return read;
}
