import type { createProgramEngine as create } from './program-engine.js';

/** `createProgramEngine`, whose code (and the Wasm and WGSL of its kernel) is loaded when it is first asked for. */
export const createProgramEngine: typeof create = async (...given) =>
  (await import('./program-engine.js')).createProgramEngine(...given);
