// Dense kernels of transformers. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { addRows } from './add_rows';
export { argmaxRows } from './argmax_rows';
export { capRows } from './cap_rows';
export { gatedRows } from './gated_rows';
export { gatherRows } from './gather_rows';
export { matmulBf16, matmulF16, matmulF32 } from './matmul';
export { matmulQ4, matmulQ4K, matmulQ6K, matmulQ8 } from './matmul_blocks';
export { quantiseRows } from './quantise_rows';
export { rmsNormF32 } from './rms_norm';
export { ropeRows } from './rope_rows';
