import bytes from '../../../build/kv.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm bodies of the kv kernels, embedded. */
export const kvModule: WasmModuleSource = { name: 'kv', bytes };
