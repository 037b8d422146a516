/** Kernels of paged keys and values. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { kvAppendF32 } from './kv_append.js';
import { MOST_HEAD_SIZE, pagedAttentionF32 } from './paged_attention.js';

export { kvAppendF32, MOST_HEAD_SIZE, pagedAttentionF32 };

export const kvKernels = (): readonly KernelBody[] => [kvAppendF32, pagedAttentionF32].map((kernel) => kernel.body);
