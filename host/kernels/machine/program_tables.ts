/**
 * What the bodies of `runProgram` want to know of a program beside its words: rows with their addresses worked out, where each SPU's
 * partial sums lie in the scratch, and how much of everything the program really uses (a machine has room for more).
 */
import { TuttiError } from '../../errors.js';
import { MACHINE_FIELDS, routingWords, spusPerPort, type MachineConfig } from '../../snn/machine/config.js';
import { HEADER, SPU_TABLE } from '../../snn/machine/program-file.js';
import { CLASS_WORDS } from '../../snn/machine/stream.js';

/** Word addresses in the head of the tables. Those named `...At` up to `mergeAt`, and the last, hold addresses in the tables, the others in a sample's scratch. */
export const TABLES = {
  /** [axons + 1] into the targets. */
  targetStartAt: 0,
  /** [targets][TARGET.words]. */
  targetsAt: 1,
  /** [axons]: most that an axon can add to any one partial sum, in magnitude; 2^32 - 1 for more. */
  reachAt: 2,
  /** [spus][ceil(groups / 32)]: address in the scratch of the partial sums of the first of 32 groups that is emitted. */
  mergeAt: 3,
  /** Places per port and slot of the queues, and slots: what the program can fill. */
  queueDepth: 4,
  delaySlots: 5,
  /** Partial sums of all SPUs, those of one after those of another. */
  accumulatorsAt: 6,
  /** [neurons] each; merged sums, potentials, refractory times, ids of neurons that fired. */
  sumsAt: 7,
  potentialsAt: 8,
  refractoryAt: 9,
  firedAt: 10,
  /** [ports][delaySlots], [ports][delaySlots][queueDepth]. */
  queueCountAt: 11,
  queueAt: 12,
  /** Length of a sample's scratch. Its first `SCRATCH_HEAD` words are the bodies' own. */
  stateWords: 13,
  /** [neurons], in the tables: end of the run of neighbours of one class to which a neuron belongs. */
  runEndAt: 14,
  end: 15,
} as const;

/** A row of an SPU, as an axon finds it. */
export const TARGET = {
  /** Word addresses in the program. */
  operationsAt: 0,
  weightsAt: 1,
  /** Word address in the scratch, the row's base added. */
  accumulatorsAt: 2,
  /** Operations (bits 0 .. 11), SPU (bits 12 .. 17), shift (bits 27 .. 31). */
  rest: 3,
  words: 4,
} as const;

/** Words for counters, the barrier, and what each of at most 64 threads has to tell. */
export const SCRATCH_HEAD = 16 + 4 * 64;

export interface ProgramTables {
  readonly words: Uint32Array;
  /** Words of scratch per sample. */
  readonly stateWords: number;
}

const MOST = 0xffffffff;

/**
 * `program`: the words of `encodeProgram`, or words that `decodeProgram` took.
 * @throws TuttiError FILE_INVALID when an operation, row, class or axon points to something that is not there
 */
export function programTables(program: Uint32Array): ProgramTables {
  const refuse = (what: string): TuttiError =>
    new TuttiError('FILE_INVALID', `the program ${what}; compile the network again`, { where: 'program' });
  const machine = Object.fromEntries(
    MACHINE_FIELDS.map((field, i) => [field, program[HEADER.machine + i]!]),
  ) as unknown as MachineConfig;
  const { spus, ports, lanes } = machine;
  const head = (field: keyof typeof HEADER): number => program[HEADER[field]]!;
  const spuWord = (p: number, field: keyof typeof SPU_TABLE): number =>
    program[head('spusAt') + SPU_TABLE.words * p + SPU_TABLE[field]]!;
  const [neurons, axons] = [head('neurons'), head('axons')];
  const emissionWords = Math.ceil(neurons / lanes / 32);
  const perPort = spusPerPort(machine);
  const routing = routingWords(machine);

  // ---- the scratch
  const merge = new Uint32Array(spus * emissionWords);
  const firstAccumulator = new Uint32Array(spus + 1);
  let at = SCRATCH_HEAD;
  for (let p = 0; p < spus; p++) {
    firstAccumulator[p] = at;
    for (let w = 0; w < emissionWords; w++) {
      merge[p * emissionWords + w] = at;
      at += lanes * ones(program[spuWord(p, 'emissionAt') + w]!);
    }
    if (at - firstAccumulator[p]! > machine.accumulators) throw refuse(`emits more groups at SPU ${p} than it holds`);
  }
  firstAccumulator[spus] = at;
  const accumulatorsAt = SCRATCH_HEAD;
  const aligned = (): number => (at = Math.ceil(at / 4) * 4);
  const room = (length: number): number => {
    const start = aligned();
    at = start + length;
    return start;
  };
  const [sumsAt, potentialsAt, refractoryAt, firedAt] = [room(neurons), room(neurons), room(neurons), room(neurons)];
  let longestDelay = 0;
  const fired = new Float64Array(ports);
  for (let n = 0; n < neurons; n++) {
    const fanOut = program[head('fanOutAt') + n]!;
    const [first, count] = [fanOut >>> 12, fanOut & 0xfff];
    if (first + count > axons && count > 0) throw refuse(`gives neuron ${n} axons beyond its ${axons}`);
    for (let axon = first; axon < first + count; axon++) {
      const delay = program[head('axonDelayAt') + axon]!;
      if (delay === 0 || delay >= machine.delaySlots)
        throw refuse(
          `has a delay of ${delay} at axon ${axon} of neuron ${n}; it must be in 1 .. ${machine.delaySlots - 1}`,
        );
      longestDelay = Math.max(longestDelay, delay);
      fired[axon % ports]!++;
    }
    const kind = program[head('neuronsAt') + n]! >>> 26;
    if (kind >= head('classes')) throw refuse(`gives neuron ${n} class ${kind} of ${head('classes')}`);
  }
  for (let c = 0; c < head('classes'); c++) {
    const skew = program[head('classesAt') + CLASS_WORDS * c + 5]!;
    if (skew >= 2 ** 14) throw refuse(`has a skew of ${skew} in class ${c}`);
  }
  const runEnd = new Uint32Array(neurons);
  for (let n = neurons - 1; n >= 0; n--) {
    const same =
      n + 1 < neurons && program[head('neuronsAt') + n]! >>> 26 === program[head('neuronsAt') + n + 1]! >>> 26;
    runEnd[n] = same ? runEnd[n + 1]! : n + 1;
  }
  const delaySlots = longestDelay + 1;
  const queueDepth = Math.min(
    machine.queue,
    fired.reduce((a, b) => Math.max(a, b), 0),
  );
  const queueCountAt = room(ports * delaySlots);
  const queueAt = room(ports * delaySlots * queueDepth);
  const stateWords = aligned();

  // ---- targets
  const targetStart = new Uint32Array(axons + 1);
  const reach = new Uint32Array(axons);
  const targets: number[] = [];
  const added = new Float64Array(machine.accumulators);
  for (let axon = 0; axon < axons; axon++) {
    const row = Math.floor(axon / ports);
    for (let k = 0; k < perPort; k++) {
      if (((program[head('routingAt') + axon * routing + (k >> 5)]! >>> (k & 31)) & 1) === 0) continue;
      const p = (axon % ports) * perPort + k;
      const start = program[spuWord(p, 'rowsAt') + 2 * row]!;
      const rest = program[spuWord(p, 'rowsAt') + 2 * row + 1]!;
      const [count, base, shift] = [rest & 0xfff, (rest >>> 12) & 0x7fff, rest >>> 27];
      if (count === 0) continue;
      if (start + count > spuWord(p, 'operations')) throw refuse(`has a row of axon ${axon} that ends beyond SPU ${p}`);
      if (shift > 23) throw refuse(`shifts the weights of axon ${axon} by ${shift}; at most 23 are possible`);
      const held = firstAccumulator[p + 1]! - firstAccumulator[p]!;
      const weights = spuWord(p, 'weights');
      let most = 0;
      const operations = program.subarray(
        spuWord(p, 'operationsAt') + start,
        spuWord(p, 'operationsAt') + start + count,
      );
      for (const operation of operations) {
        const to = (operation & 0xffff) + base;
        if (to >= held || operation >>> 16 >= weights)
          throw refuse(
            `has an operation of axon ${axon} at SPU ${p} on partial sum ${to} of ${held}, weight ${operation >>> 16} of ${weights}`,
          );
        const weight = program[spuWord(p, 'weightsAt') + (operation >>> 16)]! | 0;
        added[to]! += Math.abs(weight) * 2 ** shift;
        most = Math.max(most, added[to]!);
      }
      for (const operation of operations) added[(operation & 0xffff) + base] = 0;
      reach[axon] = Math.min(MOST, Math.max(reach[axon]!, most));
      targets.push(
        spuWord(p, 'operationsAt') + start,
        spuWord(p, 'weightsAt'),
        firstAccumulator[p]! + base,
        count | (p << 12) | (shift << 27),
      );
    }
    targetStart[axon + 1] = targets.length / TARGET.words;
  }

  const words = new Uint32Array(
    Math.ceil(TABLES.end / 4) * 4 + targetStart.length + targets.length + reach.length + merge.length + neurons,
  );
  let end = Math.ceil(TABLES.end / 4) * 4;
  const section = (data: ArrayLike<number>): number => {
    const start = end;
    words.set(data, start);
    end += data.length;
    return start;
  };
  words[TABLES.targetsAt] = section(targets);
  words[TABLES.targetStartAt] = section(targetStart);
  words[TABLES.reachAt] = section(reach);
  words[TABLES.mergeAt] = section(merge);
  words[TABLES.runEndAt] = section(runEnd);
  words.set(
    [
      queueDepth,
      delaySlots,
      accumulatorsAt,
      sumsAt,
      potentialsAt,
      refractoryAt,
      firedAt,
      queueCountAt,
      queueAt,
      stateWords,
    ],
    TABLES.queueDepth,
  );
  return { words, stateWords };
}

function ones(word: number): number {
  let count = 0;
  for (let w = word; w !== 0; w = (w & (w - 1)) >>> 0) count++;
  return count;
}
