/** Dense kernels of transformers. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { addRows } from './add_rows.js';
import { argmaxRows } from './argmax_rows.js';
import { capRows } from './cap_rows.js';
import { gatedRows } from './gated_rows.js';
import { gatherRows } from './gather_rows.js';
import { matmulBf16, matmulF16, matmulF32 } from './matmul.js';
import { matmulQ4, matmulQ4K, matmulQ6K, matmulQ8 } from './matmul_blocks.js';
import { quantiseRows } from './quantise_rows.js';
import { rmsNormF32 } from './rms_norm.js';
import { ropeRows } from './rope_rows.js';

export { addRows, argmaxRows, capRows, gatedRows, gatherRows, quantiseRows, rmsNormF32, ropeRows };
export { matmulBf16, matmulF16, matmulF32, matmulQ4, matmulQ4K, matmulQ6K, matmulQ8 };
export { FORMAT_BLOCK, rowWords, WEIGHT_FORMATS, wordOf, nibblePlace, type WeightFormat } from './weight-formats.js';

export const tensorKernels = (): readonly KernelBody[] =>
  [
    ...[addRows, argmaxRows, capRows, gatedRows, gatherRows, quantiseRows, rmsNormF32, ropeRows],
    ...[matmulBf16, matmulF16, matmulF32, matmulQ4, matmulQ4K, matmulQ6K, matmulQ8],
  ].map((kernel) => kernel.body);
