/** Whether a sample's input words are ones that a machine will end: checked before they are sent, since a machine that waits for more cannot say so. */
import { TuttiError } from '../errors.js';
import { INPUT, LAST } from '../snn/machine/stream.js';

export interface SampleShape {
  /** For messages. */
  readonly sample: number;
  readonly steps: number;
  readonly stretch: number;
  readonly maxSkew: number;
}

/** @throws TuttiError INPUT_INVALID naming sample and word */
export function checkSampleWords(words: Uint32Array, { sample, steps, stretch, maxSkew }: SampleShape): void {
  const where = `inputs[${sample}]`;
  const refuse = (what: string): TuttiError =>
    new TuttiError('INPUT_INVALID', `sample ${sample} of the input words ${what}`, { where });
  const begin = words[0];
  if (begin === undefined || begin >>> 30 !== INPUT.begin) throw refuse('does not start with a begin word');
  if ((begin & 0x3fff) !== steps) throw refuse(`begins a run of ${begin & 0x3fff} steps; ${steps} were asked for`);
  if (steps < 1) throw refuse('has no steps');
  const total = stretch * (steps - 1) + maxSkew + 1;
  let ended = 0;
  for (let i = 1; i < words.length; i++) {
    const word = words[i]!;
    const kind = word >>> 30;
    if (ended === total) throw refuse(`goes on at word ${i} after its ${total} machine steps`);
    // Words that make no sense where they stand are the machine's to find: it says so in the status and goes on.
    if (kind === INPUT.stepEnd || (kind === INPUT.spike && word & LAST)) ended++;
  }
  if (ended !== total) throw refuse(`ends after ${ended} of ${total} machine steps`);
}
