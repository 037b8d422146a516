/** Finds the samples in the machine's output as it comes, in any portions. */
import { TuttiError } from '../errors.js';
import { END_WORDS, OUTPUT } from '../snn/machine/stream.js';

export interface OutputCollector {
  /** Takes words; calls back for each sample that they end. @throws TuttiError DEVICE_FAILED, LIMIT_EXCEEDED */
  push(words: Uint32Array): void;
}

export interface CollectorOptions {
  /** Tags of the samples that are expected, in order. */
  readonly tags: readonly number[];
  /** Most words of one sample. */
  readonly longest: number;
  /** `sample` counts from 0; `words` is a view that is used again. */
  readonly onSample: (sample: number, words: Uint32Array) => void;
}

export function createOutputCollector({ tags, longest, onSample }: CollectorOptions): OutputCollector {
  const held = new Uint32Array(longest);
  let length = 0;
  let sample = 0;
  /** Words of an `end` that are still to come. */
  let ending = 0;
  return {
    push(words) {
      for (const word of words) {
        if (sample === tags.length) {
          throw new TuttiError(
            'DEVICE_FAILED',
            `the machine put out 0x${word.toString(16)} when no sample was under way`,
          );
        }
        const kind = ending > 0 ? undefined : word >>> 30;
        if (kind === 3) {
          throw new TuttiError(
            'DEVICE_FAILED',
            `the machine put out 0x${word.toString(16)} as word ${length} of a sample, which is no output word`,
          );
        }
        if (length === longest) {
          throw new TuttiError(
            'LIMIT_EXCEEDED',
            `sample ${sample} puts out more than the ${longest} words that were reserved for it; raise outputWords`,
            { facts: { sample, outputWords: longest } },
          );
        }
        held[length++] = word;
        if (kind === OUTPUT.end) {
          ending = END_WORDS - 1;
          const tag = word & 0xffff;
          if (tag !== tags[sample]) {
            throw new TuttiError(
              'DEVICE_FAILED',
              `the machine ended sample ${tag}, but ${tags[sample]} was under way: words were lost on the way`,
            );
          }
        } else if (ending > 0 && --ending === 0) {
          onSample(sample++, held.subarray(0, length));
          length = 0;
        }
      }
    },
  };
}
