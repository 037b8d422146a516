import bytes from '../../../build/training.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm bodies of the training kernels, embedded. */
export const trainingModule: WasmModuleSource = { name: 'training', bytes };
