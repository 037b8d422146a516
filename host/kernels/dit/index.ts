/** Kernels of diffusion transformers. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { attendRows } from './attend_rows.js';
import { convolvePoints } from './convolve_points.js';
import { eulerStep, heunCorrect, heunPredict } from './flow_steps.js';
import { gatedLinearRows } from './gated_linear_rows.js';
import { linearRows } from './linear_rows.js';
import { modulateRows } from './modulate_rows.js';
import { panelRows } from './panel_rows.js';
import { patchRows, unpatchRows } from './patch_rows.js';
import { siluSum } from './silu_sum.js';
import { timeRows } from './time_rows.js';

export { ACTIVATIONS, type Activation } from './activation.js';
export { MOST_HEAD } from './attend_rows.js';
export { SCHEDULE_ENTRY } from './flow_steps.js';
export { PANEL, panelElements, toPanels } from './panels.js';
export { attendRows, convolvePoints, eulerStep, gatedLinearRows, heunCorrect, heunPredict, linearRows };
export { modulateRows, panelRows, patchRows, siluSum, timeRows, unpatchRows };

export const ditKernels = (): readonly KernelBody[] =>
  [
    ...[attendRows, convolvePoints, eulerStep, gatedLinearRows, heunCorrect, heunPredict, linearRows],
    ...[modulateRows, panelRows, patchRows, siluSum, timeRows, unpatchRows],
  ].map((kernel) => kernel.body);
