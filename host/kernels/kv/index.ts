/** Kernels of paged keys and values. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { kvAppend } from './append_tail.js';
import { attendF16, attendF32, attendInt4, attendInt8 } from './attend.js';
import { kvMoveBlocks, kvMoveWithin } from './move_blocks.js';
import { kvPackF16, kvPackF32, kvPackInt4, kvPackInt8 } from './pack_blocks.js';
import { kvUnpackF16, kvUnpackF32, kvUnpackInt4, kvUnpackInt8 } from './unpack_blocks.js';

export {
  KV_FORMATS,
  kvBlockLayout,
  kvBlockWords,
  MOST_BLOCK_SIZE,
  MOST_HEAD_SIZE,
  type KvBlockLayout,
  type KvBlockShape,
  type KvFormat,
} from './block-layout.js';
export { NO_BLOCK } from './move_blocks.js';
export { attendF16, attendF32, attendInt4, attendInt8 };
export { kvAppend };
export { kvMoveBlocks, kvMoveWithin };
export { kvPackF16, kvPackF32, kvPackInt4, kvPackInt8 };
export { kvUnpackF16, kvUnpackF32, kvUnpackInt4, kvUnpackInt8 };

/** The kernels of each format, which have the same arguments. */
export const kvFormatKernels = {
  f32: { pack: kvPackF32, unpack: kvUnpackF32, attend: attendF32 },
  f16: { pack: kvPackF16, unpack: kvUnpackF16, attend: attendF16 },
  int8: { pack: kvPackInt8, unpack: kvUnpackInt8, attend: attendInt8 },
  int4: { pack: kvPackInt4, unpack: kvUnpackInt4, attend: attendInt4 },
};

export const kvKernels = (): readonly KernelBody[] => [
  ...Object.values(kvFormatKernels).flatMap(({ pack, unpack, attend }) => [pack.body, unpack.body, attend.body]),
  ...[kvAppend, kvMoveBlocks, kvMoveWithin].map((kernel) => kernel.body),
];
