/** Kernels of surrogate-gradient training. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { adamStep } from './adam_step.js';
import { lifBackward, lifForward } from './lif_time.js';
import { quantiseWeights } from './quantise_weights.js';
import { readoutGradient, readoutLoss } from './readout.js';
import { spikeOuterRows } from './spike_outer_rows.js';

export { adamStep, lifBackward, lifForward, quantiseWeights, readoutGradient, readoutLoss, spikeOuterRows };

export const trainingKernels = (): readonly KernelBody[] =>
  [adamStep, lifBackward, lifForward, quantiseWeights, readoutGradient, readoutLoss, spikeOuterRows].map(
    (kernel) => kernel.body,
  );
