/** What a NIR graph does not say, as options. */
import { TuttiError } from '../../errors.js';
import type { NirChoices } from './source.js';
import { whole } from './whole-number.js';

export interface NirOptions {
  readonly dt: string;
  readonly reset: string;
  readonly spikesPerStep: string;
}

export const NIR_OPTIONS = [
  ['--dt <seconds>', 'NIR: length of a step', '0.001'],
  ['--reset <kind>', 'NIR: what a spike does, value (to v_reset) or subtract', 'value'],
  ['--spikes-per-step <count>', 'NIR: how often a neuron may spike in a step', '1'],
] as const;

/** @throws TuttiError OPTION_INVALID */
export function nirChoices({ dt, reset, spikesPerStep }: NirOptions): NirChoices {
  const seconds = Number(dt);
  if (!(seconds > 0)) throw new TuttiError('OPTION_INVALID', `--dt must be above 0 seconds, got "${dt}"`);
  if (reset !== 'value' && reset !== 'subtract')
    throw new TuttiError('OPTION_INVALID', `--reset must be value or subtract, got "${reset}"`);
  return { dt: seconds, reset, maxSpikesPerStep: whole(spikesPerStep, '--spikes-per-step') };
}
