/** Finds the samples in the machine's output as it comes, in any portions, and lays them out as `runProgram` does. */
import { TuttiError } from '../errors.js';
import { END_WORDS, OUTPUT } from '../snn/machine/stream.js';

/** `OUTPUT_CUT` of host/kernels/machine, which is not imported for its Wasm's sake. */
export const CUT_STATUS = 8;

export interface OutputCollector {
  /** Takes words; calls back for each sample that they end. @throws TuttiError DEVICE_FAILED for what no machine puts out */
  push(words: Uint32Array): void;
}

export interface CollectorOptions {
  /** Tags of the samples that are expected, in order. */
  readonly tags: readonly number[];
  /** Words to keep of one sample, at least `END_WORDS`: of one that puts out more, the last before its end are missing, and `CUT_STATUS` is set. */
  readonly longest: number;
  /** Words that no sample can exceed. */
  readonly bound: number;
  /** `sample` counts from 0; `words` is a view that is used again. */
  readonly onSample: (sample: number, words: Uint32Array) => void;
}

export function createOutputCollector({ tags, longest, bound, onSample }: CollectorOptions): OutputCollector {
  const held = new Uint32Array(longest);
  /** Words of the sample so far, and those of them that are held. */
  let count = 0;
  let length = 0;
  let sample = 0;
  /** Words of an `end` that are still to come. */
  let ending = 0;
  const garbage = (word: number, why: string): TuttiError =>
    new TuttiError('DEVICE_FAILED', `the machine put out 0x${word.toString(16)} as word ${count} of a sample, ${why}`);
  return {
    push(words) {
      for (const word of words) {
        if (sample === tags.length) throw garbage(word, 'when none was under way');
        if (count === bound) throw garbage(word, `of which this program cannot make more than ${bound}`);
        if (ending > 0) {
          held[length++] = word;
          if (--ending > 0) continue;
          const whole = held.subarray(0, length);
          count = length = 0;
          onSample(sample++, whole);
          continue;
        }
        const kind = word >>> 30;
        if (kind === 3) throw garbage(word, 'which is no output word');
        if (kind === OUTPUT.end) {
          if ((word & 0xffff) !== tags[sample])
            throw garbage(
              word,
              `the end of sample ${word & 0xffff}, but ${tags[sample]} was under way: words were lost`,
            );
          held[length++] = count > longest - END_WORDS ? (word | (CUT_STATUS << 16)) >>> 0 : word;
          ending = END_WORDS - 1;
        } else if (length < longest - END_WORDS) held[length++] = word;
        count++;
      }
    },
  };
}
