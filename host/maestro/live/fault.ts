/** Whose fault it was that an answer ended: the request's own, or the node's, so that another node may do better. */
import { TuttiError } from '../../errors.js';

export function faultOf(error: unknown): 'request' | 'node' {
  if (!(error instanceof TuttiError)) return 'request';
  switch (error.code) {
    case 'DEVICE_LOST':
    case 'DEVICE_CLOSED':
    case 'DEVICE_FAILED':
    case 'DEVICE_UNAVAILABLE':
    case 'MEMORY_REFUSED':
    case 'BUFFER_RELEASED':
      return 'node';
    default:
      return 'request';
  }
}
