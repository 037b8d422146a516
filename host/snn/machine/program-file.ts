/**
 * A program as one block of 32-bit little-endian words: the file that is saved, the buffer that `runProgram` reads, and, section by
 * section, what is loaded into the machine's memories (stream.ts). Layout: docs/suprasnn.md, "Program file".
 */
import { TuttiError } from '../../errors.js';
import { MACHINE_FIELDS, checkMachine, routingWords, type MachineConfig } from './config.js';
import type { NeuronClass, Program, ProgramPopulation, SpuProgram } from './program.js';
import { CLASS_WORDS } from './stream.js';

export const PROGRAM_MAGIC = 0x55505354;
export const PROGRAM_VERSION = 1;

/** Word addresses in the header. Those named `...At` hold word addresses of sections. */
export const HEADER = {
  magic: 0,
  version: 1,
  words: 2,
  checksum: 3,
  machine: 4,
  stretch: 19,
  maxSkew: 20,
  neurons: 21,
  axons: 22,
  classes: 23,
  synapses: 24,
  maxSteps: 25,
  seed: 26,
  classesAt: 27,
  neuronsAt: 28,
  fanOutAt: 29,
  axonDelayAt: 30,
  routingAt: 31,
  spusAt: 32,
  placementAt: 33,
  placements: 34,
  inputStartAt: 35,
  inputNeurons: 36,
  inputAxonAt: 37,
  inputAxons: 38,
  metadataAt: 39,
  metadataBytes: 40,
  /** Length of the header. */
  end: 41,
} as const;

/** Per SPU at `spusAt`. */
export const SPU_TABLE = {
  rowsAt: 0,
  operationsAt: 1,
  operations: 2,
  weightsAt: 3,
  weights: 4,
  emissionAt: 5,
  words: 6,
} as const;

const UNBOUNDED = 0xffffffff;
const MAX_METADATA = 1 << 24;

interface Metadata {
  readonly name: string;
  readonly strategy: string;
  readonly populations: readonly ProgramPopulation[];
}

/** The words of the file; sections are 32-bit aligned by nature. */
export function encodeProgram(program: Program): Uint32Array {
  const { machine } = program;
  const metadata = new TextEncoder().encode(
    JSON.stringify({ name: program.name, strategy: program.strategy, populations: program.populations }),
  );
  const groups = program.neurons / machine.lanes;
  const spuWords = program.spus.reduce(
    (sum, spu) => sum + 2 * spu.rowStart.length + spu.accumulator.length + spu.weights.length + Math.ceil(groups / 32),
    SPU_TABLE.words * machine.spus,
  );
  const total =
    HEADER.end +
    CLASS_WORDS * program.classes.length +
    2 * program.neurons +
    program.axons * (1 + routingWords(machine)) +
    spuWords +
    program.placement.length +
    program.inputStart.length +
    2 * program.inputAxon.length +
    Math.ceil(metadata.length / 4);
  const words = new Uint32Array(total);
  let at: number = HEADER.end;
  const section = (length: number, fill: (index: number) => number): number => {
    const start = at;
    for (let i = 0; i < length; i++) words[start + i] = fill(i);
    at += length;
    return start;
  };

  words[HEADER.magic] = PROGRAM_MAGIC;
  words[HEADER.version] = PROGRAM_VERSION;
  words[HEADER.words] = total;
  MACHINE_FIELDS.forEach((field, i) => (words[HEADER.machine + i] = machine[field]));
  words[HEADER.stretch] = program.stretch;
  words[HEADER.maxSkew] = program.maxSkew;
  words[HEADER.neurons] = program.neurons;
  words[HEADER.axons] = program.axons;
  words[HEADER.classes] = program.classes.length;
  words[HEADER.synapses] = program.synapses;
  words[HEADER.maxSteps] = Math.min(program.maxSteps, UNBOUNDED);
  words[HEADER.seed] = program.seed;
  const classes = program.classes.flatMap(classWords);
  words[HEADER.classesAt] = section(classes.length, (i) => classes[i]!);
  words[HEADER.neuronsAt] = section(
    program.neurons,
    (n) => (program.neuronClass[n]! << 26) | (program.bias[n]! & 0x3ffffff),
  );
  words[HEADER.fanOutAt] = section(program.neurons, (n) => (program.firstAxon[n]! << 12) | program.axonCount[n]!);
  words[HEADER.axonDelayAt] = section(program.axons, (a) => program.axonDelay[a]!);
  words[HEADER.routingAt] = section(program.routing.length, (i) => program.routing[i]!);
  const table = section(SPU_TABLE.words * machine.spus, () => 0);
  words[HEADER.spusAt] = table;
  program.spus.forEach((spu, p) => {
    const entry = table + SPU_TABLE.words * p;
    words[entry + SPU_TABLE.rowsAt] = section(2 * spu.rowStart.length, (i) => {
      const a = i >> 1;
      return i & 1 ? spu.rowCount[a]! | (spu.rowBase[a]! << 12) | (spu.rowShift[a]! << 27) : spu.rowStart[a]!;
    });
    words[entry + SPU_TABLE.operations] = spu.accumulator.length;
    words[entry + SPU_TABLE.operationsAt] = section(
      spu.accumulator.length,
      (k) => spu.accumulator[k]! | (spu.weightIndex[k]! << 16),
    );
    words[entry + SPU_TABLE.weights] = spu.weights.length;
    words[entry + SPU_TABLE.weightsAt] = section(spu.weights.length, (k) => spu.weights[k]!);
    words[entry + SPU_TABLE.emissionAt] = section(Math.ceil(groups / 32), (k) => spu.emission[k]!);
  });
  words[HEADER.placements] = program.placement.length;
  words[HEADER.placementAt] = section(program.placement.length, (i) => program.placement[i]!);
  words[HEADER.inputNeurons] = program.inputStart.length - 1;
  words[HEADER.inputStartAt] = section(program.inputStart.length, (i) => program.inputStart[i]!);
  words[HEADER.inputAxons] = program.inputAxon.length;
  words[HEADER.inputAxonAt] = section(2 * program.inputAxon.length, (i) =>
    i & 1 ? program.inputDelay[i >> 1]! : program.inputAxon[i >> 1]!,
  );
  words[HEADER.metadataBytes] = metadata.length;
  words[HEADER.metadataAt] = at;
  // Byte by byte, so that the file is the same on a machine of either byte order.
  metadata.forEach((byte, i) => (words[at + (i >> 2)]! |= byte << (8 * (i & 3))));
  words[HEADER.checksum] = checksum(words.subarray(HEADER.checksum + 1));
  return words;
}

/** `CLASS_WORDS` words: threshold, reset value, initial, flags, refractory steps, skew. */
export function classWords(c: NeuronClass): number[] {
  const flags = c.leakShift | (Number(c.spiking) << 8) | (Number(c.subtract) << 9) | (Number(c.record) << 10);
  return [c.threshold, c.resetValue, c.initial, flags, c.refractorySteps, c.skew];
}

/**
 * The program in `words`. Checks version, checksum, every section's place and every limit of the header; whether the
 * program computes the right thing is for `validateProgram` (../compile) to say.
 * @throws TuttiError FILE_INVALID naming the field that is wrong
 */
export function decodeProgram(words: Uint32Array, name = 'program'): Program {
  const refuse = (what: string, where = name): TuttiError =>
    new TuttiError('FILE_INVALID', `${name} ${what}`, { where });
  if (words.length < HEADER.end)
    throw refuse(`holds ${words.length} words; a program has at least ${HEADER.end}: the file is cut short`);
  const head = (field: keyof typeof HEADER): number => words[HEADER[field]]!;
  if (head('magic') !== PROGRAM_MAGIC) throw refuse('is not a program of the synapse machine (wrong magic number)');
  if (head('version') !== PROGRAM_VERSION) {
    throw refuse(
      `has format version ${head('version')}, this release reads ${PROGRAM_VERSION}; compile the network again`,
    );
  }
  if (head('words') !== words.length)
    throw refuse(`says that it holds ${head('words')} words, but ${words.length} are there: it was cut or joined`);
  const sum = checksum(words.subarray(HEADER.checksum + 1));
  if (sum !== head('checksum'))
    throw refuse(
      `has checksum ${hex(sum)}, its header says ${hex(head('checksum'))}: it is damaged, compile the network again`,
    );

  const machine = checkMachine(
    Object.fromEntries(
      MACHINE_FIELDS.map((field, i) => [field, words[HEADER.machine + i]!]),
    ) as unknown as MachineConfig,
    `${name}: machine`,
  );
  const within = (field: keyof typeof HEADER, least: number, most: number): number => {
    const value = head(field);
    if (value < least || value > most)
      throw refuse(`has ${field} ${value}; it must be in ${least} .. ${most}`, `${name}.${field}`);
    return value;
  };
  const neurons = within('neurons', machine.lanes, machine.neurons);
  if (neurons % machine.lanes !== 0)
    throw refuse(`has ${neurons} neurons, not a multiple of its ${machine.lanes} lanes`, `${name}.neurons`);
  const axons = within('axons', 0, machine.axons);
  if (axons % machine.ports !== 0)
    throw refuse(`has ${axons} axons, not a multiple of its ${machine.ports} ports`, `${name}.axons`);
  const portRows = axons / machine.ports;
  const classCount = within('classes', 1, machine.classes);
  const stretch = within('stretch', 1, 2 ** 14 - 1);
  const maxSkew = within('maxSkew', 0, 2 ** 14 - 1);
  const section = (at: number, length: number, what: string): Uint32Array => {
    if (at < HEADER.end || at + length > words.length)
      throw refuse(`has its ${what} at word ${at}, ${length} long, beyond its end`, `${name}.${what}`);
    return words.subarray(at, at + length);
  };

  const neuronWords = section(head('neuronsAt'), neurons, 'neurons');
  const fanOut = section(head('fanOutAt'), neurons, 'fan-out');
  const groups = neurons / machine.lanes;
  const table = section(head('spusAt'), SPU_TABLE.words * machine.spus, 'SPU table');
  const spus = Array.from({ length: machine.spus }, (_, p): SpuProgram => {
    const entry = (field: keyof typeof SPU_TABLE): number => table[SPU_TABLE.words * p + SPU_TABLE[field]]!;
    if (entry('operations') > machine.operations)
      throw refuse(`gives SPU ${p} ${entry('operations')} operations; its memory holds ${machine.operations}`);
    if (entry('weights') > machine.weights)
      throw refuse(`gives SPU ${p} ${entry('weights')} weights; its memory holds ${machine.weights}`);
    const rows = section(entry('rowsAt'), 2 * portRows, `rows of SPU ${p}`);
    const operations = section(entry('operationsAt'), entry('operations'), `operations of SPU ${p}`);
    const weights = section(entry('weightsAt'), entry('weights'), `weights of SPU ${p}`);
    const spu: SpuProgram = {
      rowStart: Uint32Array.from({ length: portRows }, (_, a) => rows[2 * a]!),
      rowCount: Uint16Array.from({ length: portRows }, (_, a) => rows[2 * a + 1]! & 0xfff),
      rowBase: Uint16Array.from({ length: portRows }, (_, a) => (rows[2 * a + 1]! >>> 12) & 0x7fff),
      rowShift: Uint8Array.from({ length: portRows }, (_, a) => rows[2 * a + 1]! >>> 27),
      accumulator: Uint16Array.from(operations, (word) => word & 0xffff),
      weightIndex: Uint8Array.from(operations, (word) => word >>> 16),
      weights: Int8Array.from(weights, (word) => word | 0),
      emission: section(entry('emissionAt'), Math.ceil(groups / 32), `emission of SPU ${p}`).slice(),
    };
    for (let row = 0; row < portRows; row++) {
      if (spu.rowStart[row]! + spu.rowCount[row]! > operations.length)
        throw refuse(`has a row ${row} in SPU ${p} that ends beyond its ${operations.length} operations`);
    }
    return spu;
  });

  const inputNeurons = head('inputNeurons');
  const inputAxons = head('inputAxons');
  const inputStart = section(head('inputStartAt'), inputNeurons + 1, 'input index').slice();
  for (let i = 0; i < inputNeurons; i++)
    if (inputStart[i]! > inputStart[i + 1]!) throw refuse(`has an input index that falls at ${i}`);
  if (inputStart[0] !== 0 || inputStart[inputNeurons] !== inputAxons)
    throw refuse(`has an input index that does not span its ${inputAxons} input axons`);
  const pairs = section(head('inputAxonAt'), 2 * inputAxons, 'input axons');
  const inputAxon = Uint32Array.from({ length: inputAxons }, (_, i) => pairs[2 * i]!);
  const placement = section(head('placementAt'), head('placements'), 'placement').slice();
  for (const [ids, bound, what] of [
    [inputAxon, axons, 'an input axon'],
    [placement, neurons, 'a placement'],
  ] as const) {
    const wrong = ids.find((id) => id >= bound);
    if (wrong !== undefined) throw refuse(`has ${what} ${wrong}; it must be below ${bound}`);
  }
  const classRows = section(head('classesAt'), CLASS_WORDS * classCount, 'classes');
  const neuronClass = Uint8Array.from(neuronWords, (word) => word >>> 26);
  const strange = neuronClass.findIndex((c) => c >= classCount);
  if (strange >= 0) throw refuse(`gives neuron ${strange} class ${neuronClass[strange]}; it has ${classCount} classes`);
  const firstAxon = fanOut.map((word) => word >>> 12);
  const axonCount = Uint16Array.from(fanOut, (word) => word & 0xfff);
  for (let n = 0; n < neurons; n++)
    if (axonCount[n]! > 0 && firstAxon[n]! + axonCount[n]! > axons)
      throw refuse(`gives neuron ${n} axons beyond its ${axons}`);

  return {
    ...readMetadata(words, head('metadataAt'), head('metadataBytes'), refuse, {
      placements: placement.length,
      inputs: inputNeurons,
      neurons,
    }),
    machine,
    seed: head('seed'),
    synapses: head('synapses'),
    maxSteps: head('maxSteps') === UNBOUNDED ? Infinity : head('maxSteps'),
    stretch,
    maxSkew,
    placement,
    inputStart,
    inputAxon,
    inputDelay: Uint16Array.from({ length: inputAxons }, (_, i) => pairs[2 * i + 1]!),
    classes: Array.from({ length: classCount }, (_, c) => readClass(classRows.subarray(CLASS_WORDS * c))),
    neurons,
    neuronClass,
    bias: Int32Array.from(neuronWords, (word) => (word << 6) >> 6),
    firstAxon,
    axonCount,
    axons,
    axonDelay: Uint16Array.from(section(head('axonDelayAt'), axons, 'axon delays')),
    routing: section(head('routingAt'), axons * routingWords(machine), 'routing').slice(),
    spus,
  };
}

function readClass(row: Uint32Array): NeuronClass {
  const flags = row[3]!;
  return {
    threshold: row[0]! | 0,
    resetValue: row[1]! | 0,
    initial: row[2]! | 0,
    leakShift: flags & 31,
    spiking: (flags & 0x100) !== 0,
    subtract: (flags & 0x200) !== 0,
    record: (flags & 0x400) !== 0,
    refractorySteps: row[4]!,
    skew: row[5]!,
  };
}

function readMetadata(
  words: Uint32Array,
  at: number,
  bytes: number,
  refuse: (what: string) => TuttiError,
  bounds: { readonly placements: number; readonly inputs: number; readonly neurons: number },
): Metadata {
  if (bytes > MAX_METADATA || at < HEADER.end || at + Math.ceil(bytes / 4) > words.length)
    throw refuse(`has ${bytes} bytes of metadata at word ${at}, beyond its end`);
  const text = Uint8Array.from({ length: bytes }, (_, i) => words[at + (i >> 2)]! >>> (8 * (i & 3)));
  let parsed: Partial<Metadata>;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text)) as Partial<Metadata>;
  } catch {
    throw refuse('has metadata that is not JSON');
  }
  const { name, strategy, populations } = parsed ?? {};
  if (typeof name !== 'string' || typeof strategy !== 'string' || !Array.isArray(populations))
    throw refuse('has metadata without name, strategy or populations');
  for (const population of populations as readonly Partial<ProgramPopulation>[]) {
    const { name: who, model, size, offset, firstNeuron, skew } = population ?? {};
    const whole = [size, offset, firstNeuron, skew].every((n) => Number.isInteger(n) && n! >= 0);
    if (typeof who !== 'string' || !['input', 'lif', 'li', 'if'].includes(model as string) || !whole)
      throw refuse(`has a population in its metadata that is not one: ${JSON.stringify(population)}`);
    const room = model === 'input' ? bounds.inputs : bounds.placements;
    if (offset! + size! > room || (model !== 'input' && firstNeuron! + size! > bounds.neurons))
      throw refuse(`has a population "${who}" in its metadata that does not fit its tables`);
  }
  return { name, strategy, populations };
}

const hex = (word: number): string => `0x${word.toString(16).padStart(8, '0')}`;

let table: Uint32Array | undefined;

/** CRC-32 (IEEE 802.3) of the words' bytes, low byte first. */
export function checksum(words: Uint32Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });
  let crc = 0xffffffff;
  for (const word of words) {
    crc ^= word;
    for (let k = 0; k < 4; k++) crc = table[crc & 0xff]! ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
