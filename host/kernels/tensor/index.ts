/** Dense kernels of transformers. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { gatedRows } from './gated_rows.js';
import { gatherRowsF32 } from './gather_rows.js';
import { matmulF32 } from './matmul.js';
import { rmsNormF32 } from './rms_norm.js';
import { ropeRows } from './rope_rows.js';

export { gatedRows, gatherRowsF32, matmulF32, rmsNormF32, ropeRows };

export const tensorKernels = (): readonly KernelBody[] =>
  [gatedRows, gatherRowsF32, matmulF32, rmsNormF32, ropeRows].map((kernel) => kernel.body);
