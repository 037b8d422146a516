import bytes from '../../../build/tensor.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm bodies of the tensor kernels, embedded. */
export const tensorModule: WasmModuleSource = { name: 'tensor', bytes };
