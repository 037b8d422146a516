// Executes programs of the synapse machine. See docs/kernels.md for the contract.
export { runCommands } from '../commands';
export { runProgram } from './run_program';
