/** Ways of other schedulers to set memory aside. */
import type { Provisioning } from './levels.js';

/** Memory for the longest answer that is allowed, from the first on. Never too little, most of it never used. */
export function maxLength(): Provisioning {
  return { name: 'max-length', reserve: ({ stage }) => stage.maxTokens, headRoom: () => 0 };
}

/**
 * A block at a time as it is needed (Kwon et al. 2023), a hundredth of the memory kept free on admission; who came last is computed again when there is none
 * left.
 */
export function onDemand({ watermark = 0.01 } = {}): Provisioning {
  return {
    name: 'on-demand',
    reserve: (ticket) => ticket.generated + 1,
    headRoom: (node) => watermark * (node.deviceBytes - node.weightBytes),
  };
}
