/** Every spiking kernel. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { cochleaLevels } from './cochlea_levels.js';
import { convolveSpikesF32, convolveSpikesI8 } from './convolve_spikes.js';
import { cubaLifPotential, cubaLifScatter, cubaLifStep } from './cuba_lif.js';
import { denseRowsF32, denseRowsI8 } from './dense_rows.js';
import { gatherColumnsF32, gatherColumnsI8, spikeFlags } from './gather_columns.js';
import { injectCurrentF32, injectCurrentI32 } from './inject_current.js';
import { neuronBurstF32, neuronBurstI32 } from './neuron_burst.js';
import { neuronStepF32, neuronStepI32 } from './neuron_step.js';
import { recordState } from './record_state.js';
import { scatterRowsF32, scatterRowsI8 } from './scatter_rows.js';
import { spikeCompact } from './spike_compact.js';
import { spikeExpand } from './spike_expand.js';

export {
  cochleaLevels,
  convolveSpikesF32,
  convolveSpikesI8,
  cubaLifPotential,
  cubaLifScatter,
  cubaLifStep,
  denseRowsF32,
  denseRowsI8,
  gatherColumnsF32,
  gatherColumnsI8,
  injectCurrentF32,
  injectCurrentI32,
  neuronBurstF32,
  neuronBurstI32,
  neuronStepF32,
  neuronStepI32,
  recordState,
  scatterRowsF32,
  scatterRowsI8,
  spikeCompact,
  spikeExpand,
  spikeFlags,
};

export const snnKernels = (): readonly KernelBody[] =>
  [
    cochleaLevels,
    convolveSpikesF32,
    convolveSpikesI8,
    cubaLifPotential,
    cubaLifScatter,
    cubaLifStep,
    denseRowsF32,
    denseRowsI8,
    gatherColumnsF32,
    gatherColumnsI8,
    injectCurrentF32,
    injectCurrentI32,
    neuronBurstF32,
    neuronBurstI32,
    neuronStepF32,
    neuronStepI32,
    recordState,
    scatterRowsF32,
    scatterRowsI8,
    spikeCompact,
    spikeExpand,
    spikeFlags,
  ].map((kernel) => kernel.body);
