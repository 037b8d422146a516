// Kernels of diffusion transformers. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { attendRows } from './attend_rows';
export { convolvePoints } from './convolve_points';
export { eulerStep, heunCorrect, heunPredict } from './flow_steps';
export { gatedLinearRows, linearRows } from './linear_rows';
export { modulateRows } from './modulate_rows';
export { panelRows } from './panel_rows';
export { patchRows, unpatchRows } from './patch_rows';
export { siluSum } from './silu_sum';
export { timeRows } from './time_rows';
