import bytes from '../../../build/dit.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm bodies of the diffusion transformers' kernels, embedded. */
export const ditModule: WasmModuleSource = { name: 'dit', bytes };
