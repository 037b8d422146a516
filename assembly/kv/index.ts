// Paged keys and values. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { kvAppend } from './append_tail';
export { attendF16, attendF32, attendInt4, attendInt8 } from './attend';
export { kvMoveBlocks, kvMoveWithin } from './move_blocks';
export { kvPackF16, kvPackF32, kvPackInt8 } from './pack_blocks';
export { kvPackInt4 } from './pack_int4';
export { kvUnpackF16, kvUnpackF32, kvUnpackInt4, kvUnpackInt8 } from './unpack_blocks';
