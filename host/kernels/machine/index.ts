/** The kernel that executes programs of the synapse machine. Contract: docs/kernels.md. */
import type { KernelBody } from '../../device/device.js';
import { runProgram } from './run_program.js';

export { OUTPUT_CUT, runProgram } from './run_program.js';
export { programTables, TABLES, TARGET } from './program_tables.js';
export type { ProgramTables } from './program_tables.js';

export const machineKernels = (): readonly KernelBody[] => [runProgram.body];
