/** The RTL twin as a machine link. Contract: `openTwin()` gives a function that opens a fresh, reset machine each time (machine-link.ts). */
import { TuttiError } from '../errors.js';
import type { OpenMachineLink } from './machine-link.js';

export function openTwin(): OpenMachineLink {
  return async () => {
    throw new TuttiError('DEVICE_UNAVAILABLE', 'this build of tutti has no RTL twin; give the url of a board');
  };
}
