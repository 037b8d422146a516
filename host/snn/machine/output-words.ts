/** What the machine puts out for one sample, taken apart. */
import { TuttiError } from '../../errors.js';
import type { ReadRequest } from './load-words.js';
import { END_WORDS, OUTPUT, STATUS } from './stream.js';

export interface SampleOutput {
  readonly tag: number;
  /** Bits of `STATUS`. */
  readonly status: number;
  /** 0 where the sample ran on something that has no cycles. */
  readonly cycles: number;
  /** Synaptic operations. */
  readonly operations: number;
  /** Spikes that neurons fired. */
  readonly internalSpikes: number;
  /** Recorded spikes: machine step and neuron id, in the order of steps and ids. */
  readonly spikeSteps: Uint16Array;
  readonly spikeNeurons: Uint16Array;
  /** [machine steps if every step is read][count], then [count] at the end of the sample. */
  readonly potentials: Int32Array;
  /** Words that the sample took. */
  readonly words: number;
}

/** Most words that a sample can put out. */
export function outputBound(recordedNeurons: number, machineSteps: number, read: ReadRequest): number {
  return machineSteps * recordedNeurons + read.count * (read.everyStep ? machineSteps + 1 : 1) + END_WORDS;
}

/**
 * Takes the output of the sample that begins at word `at`.
 * @throws TuttiError DEVICE_FAILED when the words are none of a machine: cut off, or of the wrong number of potentials
 */
export function readOutput(words: Uint32Array, at: number, machineSteps: number, read: ReadRequest): SampleOutput {
  const end = findEnd(words, at);
  if (end < 0)
    throw new TuttiError(
      'DEVICE_FAILED',
      `the machine's output stops after ${words.length - at} words without an end word`,
    );
  const potentials = new Int32Array(read.count * (read.everyStep ? machineSteps + 1 : 1));
  const body = end - at;
  const spikes = body - potentials.length;
  if (spikes < 0) {
    throw new TuttiError(
      'DEVICE_FAILED',
      `the machine put out ${body} words before its end word; ${potentials.length} potentials alone were asked for`,
    );
  }
  const spikeSteps = new Uint16Array(spikes);
  const spikeNeurons = new Uint16Array(spikes);
  let spike = 0;
  let potential = 0;
  for (let k = at; k < end; k++) {
    const word = words[k]!;
    if (word >>> 30 === OUTPUT.spike && spike < spikes) {
      spikeSteps[spike] = (word >>> 16) & 0x3fff;
      spikeNeurons[spike++] = word & 0xffff;
    } else if (word >>> 30 === OUTPUT.potential && potential < potentials.length) {
      potentials[potential++] = (word << 2) >> 2;
    } else {
      throw new TuttiError(
        'DEVICE_FAILED',
        `the machine put out 0x${word.toString(16)} as word ${k - at} of a sample, where no such word belongs; ` +
          `${potentials.length} potentials were asked for`,
      );
    }
  }
  return {
    tag: words[end]! & 0xffff,
    status: (words[end]! >>> 16) & 0x3fff,
    cycles: words[end + 1]!,
    operations: words[end + 2]!,
    internalSpikes: words[end + 3]!,
    spikeSteps,
    spikeNeurons,
    potentials,
    words: end + END_WORDS - at,
  };
}

/** Index of the sample's `end` word, or -1 when it is not there with all its words. */
export function findEnd(words: Uint32Array, at: number): number {
  for (let k = at; k + END_WORDS <= words.length; k++) if (words[k]! >>> 30 === OUTPUT.end) return k;
  return -1;
}

/** What the status bits of an `end` word say, for a person; empty when all is well. */
export function explainStatus(status: number): string[] {
  const said: string[] = [];
  if (status & STATUS.overflow) said.push('a partial sum, merged sum or potential left its width');
  if (status & STATUS.queueFull) said.push('more axons were due in one step than a queue holds');
  if (status & STATUS.badWord) said.push('a word made no sense where it stood');
  return said;
}
