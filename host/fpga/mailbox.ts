/** What arrives on a link before anybody listens. */
import type { ByteLink } from './machine-link.js';

/** Keeps what comes until somebody listens. */
export function mailbox(): Pick<ByteLink, 'listen'> & { readonly put: (bytes: Uint8Array) => void } {
  let listener: ((bytes: Uint8Array) => void) | undefined;
  let kept: Uint8Array[] = [];
  return {
    put: (bytes) => void (listener ? listener(bytes) : kept.push(bytes)),
    listen(to) {
      listener = to;
      for (const bytes of kept) to(bytes);
      kept = [];
    },
  };
}
