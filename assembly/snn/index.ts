// Spiking kernels. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { cochleaLevels } from './cochlea_levels';
export { neuronStepF32, neuronStepI32 } from './neuron_step';
export { neuronBurstF32, neuronBurstI32 } from './neuron_burst';
export { spikeCompact } from './spike_compact';
export { spikeExpand } from './spike_expand';
export { scatterRowsF32, scatterRowsI8 } from './scatter_rows';
export { denseRowsF32, denseRowsI8 } from './dense_rows';
export { spikeFlags, gatherColumnsF32, gatherColumnsI8 } from './gather_columns';
export { convolveSpikesF32, convolveSpikesI8 } from './convolve_spikes';
export { injectCurrentF32, injectCurrentI32 } from './inject_current';
export { recordState } from './record_state';
export { cubaLifStep, cubaLifScatter, cubaLifPotential } from './cuba_lif';
