// Dense kernels of transformers. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { gatherRowsF32 } from './gather_rows';
export { rmsNormF32 } from './rms_norm';
export { matmulF32 } from './matmul';
export { ropeRows } from './rope_rows';
export { gatedRows } from './gated_rows';
