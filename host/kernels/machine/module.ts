import bytes from '../../../build/machine.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm body of the kernel that executes programs, embedded. */
export const machineModule: WasmModuleSource = { name: 'machine', bytes };
