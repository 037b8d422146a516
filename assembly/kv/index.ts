// Paged keys and values. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { kvAppendF32 } from './kv_append';
export { pagedAttentionF32 } from './paged_attention';
