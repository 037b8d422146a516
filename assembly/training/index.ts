// Kernels of surrogate-gradient back-propagation through time. See docs/kernels.md for their contract.
export { runCommands } from '../commands';
export { lifForward, lifBackward } from './lif_time';
export { readoutLoss, readoutGradient } from './readout';
export { spikeOuterRows } from './spike_outer_rows';
export { adamStep } from './adam_step';
export { quantiseWeights } from './quantise_weights';
