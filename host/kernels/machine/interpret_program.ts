/**
 * The synapse machine in plain words: executes one sample of a program straight from the words of its file, machine step by machine
 * step, in the order in which the hardware does (docs/suprasnn.md). No cycles. This is what all bodies of `runProgram` are held to.
 */
import { HEADER, SPU_TABLE } from '../../snn/machine/program-file.js';
import { MACHINE_FIELDS, routingWords, spusPerPort, type MachineConfig } from '../../snn/machine/config.js';
import { CLASS_WORDS, INPUT, LAST, OUTPUT, PAIR, STATUS } from '../../snn/machine/stream.js';

export interface SampleRequest {
  readonly steps: number;
  readonly readFirst: number;
  readonly readCount: number;
  readonly everyStep: boolean;
}

/** `words`: the sample's input words, from its `begin`. Returns what the machine puts out, with 0 cycles. */
export function interpretProgram(program: Uint32Array, words: Uint32Array, request: SampleRequest): number[] {
  const machine = Object.fromEntries(
    MACHINE_FIELDS.map((field, i) => [field, program[HEADER.machine + i]!]),
  ) as unknown as MachineConfig;
  const { ports, lanes, delaySlots, accumulators } = machine;
  const neurons = program[HEADER.neurons]!;
  const axons = program[HEADER.axons]!;
  const stretch = program[HEADER.stretch]!;
  const { steps } = request;
  const total = steps === 0 ? 0 : stretch * (steps - 1) + program[HEADER.maxSkew]! + 1;
  const readEnd = Math.min(request.readFirst + request.readCount, neurons);
  const out: number[] = [];
  let status = 0;
  let operations = 0;
  let internalSpikes = 0;

  const wrap = (value: number, bits: number): number => {
    const size = 2 ** bits;
    const kept = value - size * Math.floor((value + size / 2) / size);
    if (kept !== value) status |= STATUS.overflow;
    return kept;
  };
  const spuWord = (p: number, field: keyof typeof SPU_TABLE): number =>
    program[program[HEADER.spusAt]! + SPU_TABLE.words * p + SPU_TABLE[field]]!;

  // ---- accumulate
  const partial = new Int32Array(machine.spus * accumulators);
  const issue = (axon: number): void => {
    const perPort = spusPerPort(machine);
    const routing = program[HEADER.routingAt]! + axon * routingWords(machine);
    for (let k = 0; k < perPort; k++) {
      if (((program[routing + (k >> 5)]! >>> (k & 31)) & 1) === 0) continue;
      const p = (axon % ports) * perPort + k;
      const row = spuWord(p, 'rowsAt') + 2 * Math.floor(axon / ports);
      const rest = program[row + 1]!;
      const [count, base, shift] = [rest & 0xfff, (rest >>> 12) & 0x7fff, rest >>> 27];
      const operationsAt = spuWord(p, 'operationsAt') + program[row]!;
      const weightsAt = spuWord(p, 'weightsAt');
      for (let i = 0; i < count; i++) {
        const operation = program[operationsAt + i]!;
        const at = p * accumulators + (operation & 0xffff) + base;
        const weight = program[weightsAt + (operation >>> 16)]! | 0;
        partial[at] = wrap(partial[at]! + weight * 2 ** shift, machine.accumulatorBits);
        operations++;
      }
    }
  };

  // ---- merge: the sums of all neurons, the partial ones cleared
  const merge = (): number[] => {
    const sums = new Array<number>(neurons).fill(0);
    for (let p = 0; p < machine.spus; p++) {
      let at = p * accumulators;
      for (let g = 0; g < neurons / lanes; g++) {
        if (((program[spuWord(p, 'emissionAt') + (g >> 5)]! >>> (g & 31)) & 1) === 0) continue;
        for (let lane = 0; lane < lanes; lane++, at++) {
          sums[g * lanes + lane]! += partial[at]!;
          partial[at] = 0;
        }
      }
    }
    return sums;
  };

  // ---- neurons
  const v = new Int32Array(neurons);
  const refractory = new Uint32Array(neurons);
  const classes = Array.from({ length: program[HEADER.classes]! }, (_, c) => {
    const at = program[HEADER.classesAt]! + CLASS_WORDS * c;
    const flags = program[at + 3]!;
    return {
      threshold: program[at]! | 0,
      resetValue: narrow(program[at + 1]!, machine.potentialBits),
      initial: narrow(program[at + 2]!, machine.potentialBits),
      leakShift: flags & 31,
      spiking: (flags & 0x100) !== 0,
      subtract: (flags & 0x200) !== 0,
      record: (flags & 0x400) !== 0,
      // A sample is shorter than this.
      refractorySteps: Math.min(program[at + 4]!, 2 ** 14 - 1),
      skew: program[at + 5]!,
    };
  });
  const classOf = (n: number) => classes[program[program[HEADER.neuronsAt]! + n]! >>> 26]!;
  const update = (step: number, n: number, merged: number): boolean => {
    const c = classOf(n);
    const sum = wrap(merged, machine.potentialBits);
    const since = step - c.skew;
    if (since < 0 || since % stretch !== 0 || since / stretch >= steps) return false;
    if (since === 0) {
      v[n] = c.initial;
      refractory[n] = 0;
    }
    if (refractory[n]! > 0) {
      refractory[n]!--;
      return false;
    }
    const bias = (program[program[HEADER.neuronsAt]! + n]! << 6) >> 6;
    const leak = c.leakShift > 0 ? v[n]! >> c.leakShift : 0;
    const next = wrap(v[n]! - leak + sum + bias, machine.potentialBits);
    const fires = c.spiking && next >= c.threshold;
    if (!fires) v[n] = next;
    else v[n] = c.subtract ? wrap(next - c.threshold, machine.potentialBits) : c.resetValue;
    if (fires) refractory[n] = c.refractorySteps;
    return fires;
  };
  const putPotentials = (step: number): void => {
    for (let n = request.readFirst; n < readEnd; n++) {
      const { skew, initial } = classOf(n);
      out.push(((OUTPUT.potential << 30) | ((step >= skew ? v[n]! : initial) & 0x3fffffff)) >>> 0);
    }
  };

  // ---- fan-out
  const queues: number[][] = Array.from({ length: ports * delaySlots }, () => []);
  const deliver = (step: number, n: number): void => {
    const fanOut = program[program[HEADER.fanOutAt]! + n]!;
    for (let axon = fanOut >>> 12; axon < (fanOut >>> 12) + (fanOut & 0xfff); axon++) {
      const delay = program[program[HEADER.axonDelayAt]! + axon]!;
      const queue = queues[(axon % ports) * delaySlots + ((step + delay) % delaySlots)]!;
      if (queue.length === machine.queue) status |= STATUS.queueFull;
      else queue.push(axon);
    }
  };

  // ---- inputs
  let at = 1;
  const begin = words[0] ?? 0;
  if (words.length === 0 || begin >>> 30 !== INPUT.begin || (begin & 0x3fff) !== steps) status |= STATUS.badWord;
  const issueInputs = (): void => {
    for (;;) {
      const word = words[at];
      if (word === undefined) {
        status |= STATUS.badWord;
        return;
      }
      at++;
      const kind = word >>> 30;
      if (kind === INPUT.stepEnd) return;
      if (kind !== INPUT.spike) {
        status |= STATUS.badWord;
        continue;
      }
      for (const axon of word & PAIR ? [word & 0x3fff, (word >>> 14) & 0x3fff] : [word & 0xfffff]) {
        if (axon < axons) issue(axon);
        else status |= STATUS.badWord;
      }
      if (word & LAST) return;
    }
  };

  for (let step = 0; step < total; step++) {
    issueInputs();
    for (let port = 0; port < ports; port++) {
      const due = queues[port * delaySlots + (step % delaySlots)]!;
      due.forEach(issue);
      due.length = 0;
    }
    merge().forEach((sum, n) => {
      if (!update(step, n, sum)) return;
      internalSpikes++;
      if (classOf(n).record) out.push(((OUTPUT.spike << 30) | (step << 16) | n) >>> 0);
      deliver(step, n);
    });
    if (request.everyStep) putPotentials(step);
  }
  putPotentials(total - 1);
  if (at < words.length) status |= STATUS.badWord;
  out.push(((OUTPUT.end << 30) | (status << 16) | ((begin >>> 14) & 0xffff)) >>> 0, 0, operations, internalSpikes);
  return out;
}

function narrow(word: number, bits: number): number {
  return (word << (32 - bits)) >> (32 - bits);
}
