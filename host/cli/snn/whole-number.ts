/** A number of the command line. */
import { TuttiError } from '../../errors.js';

/** @throws TuttiError OPTION_INVALID naming the option when `text` is not a whole number of at least 0. */
export function whole(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new TuttiError('OPTION_INVALID', `${option} must be a whole number, got "${text}"`, { where: option });
  return value;
}
