/** The words that load a program into the machine's memories: `load` sequences as stream.ts defines them. */
import { routingWords } from './config.js';
import { classWords } from './program-file.js';
import { groupsOf, type Program } from './program.js';
import { inputLoad, MEMORY } from './stream.js';

/** Neuron ids whose potentials are put out at the end of every sample, and after every machine step if asked for. */
export interface ReadRequest {
  readonly first: number;
  readonly count: number;
  readonly everyStep: boolean;
}

export const READ_NOTHING: ReadRequest = { first: 0, count: 0, everyStep: false };

/** The control memory alone: enough to change what is read of a program that is loaded. */
export function controlWords(program: Program, read: ReadRequest): Uint32Array {
  const { stretch, maxSkew, axons } = program;
  const data = [stretch, maxSkew, groupsOf(program), read.first, read.count, Number(read.everyStep), axons];
  return Uint32Array.of(inputLoad(MEMORY.control, 0), 0, data.length, ...data);
}

/** Everything. */
export function loadWords(program: Program, read: ReadRequest): Uint32Array {
  const { machine, neurons, axons } = program;
  const parts: Uint32Array[] = [controlWords(program, read)];
  const load = (memory: number, spu: number, length: number, word: (index: number) => number): void => {
    if (length === 0) return;
    const part = new Uint32Array(3 + length);
    part[0] = inputLoad(memory, spu);
    part[2] = length;
    for (let i = 0; i < length; i++) part[3 + i] = word(i);
    parts.push(part);
  };
  const classes = program.classes.flatMap(classWords);
  load(MEMORY.classes, 0, classes.length, (i) => classes[i]!);
  load(MEMORY.neurons, 0, neurons, (n) => (program.neuronClass[n]! << 26) | (program.bias[n]! & 0x3ffffff));
  load(MEMORY.fanOut, 0, neurons, (n) => (program.firstAxon[n]! << 12) | program.axonCount[n]!);
  load(MEMORY.axonDelay, 0, axons, (a) => program.axonDelay[a]!);
  load(MEMORY.routing, 0, axons * routingWords(machine), (i) => program.routing[i]!);
  program.spus.forEach((spu, p) => {
    load(MEMORY.rows, p, 2 * spu.rowStart.length, (i) => {
      const row = i >> 1;
      return i & 1 ? spu.rowCount[row]! | (spu.rowBase[row]! << 12) | (spu.rowShift[row]! << 27) : spu.rowStart[row]!;
    });
    load(MEMORY.operations, p, spu.accumulator.length, (k) => spu.accumulator[k]! | (spu.weightIndex[k]! << 16));
    load(MEMORY.weights, p, spu.weights.length, (k) => spu.weights[k]!);
    load(MEMORY.emission, p, spu.emission.length, (k) => spu.emission[k]!);
  });
  const words = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    words.set(part, at);
    at += part.length;
  }
  return words;
}
