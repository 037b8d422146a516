import bytes from '../../../build/snn.wasm';
import type { WasmModuleSource } from '../../device/device.js';

/** The Wasm bodies of all spiking kernels, embedded. */
export const snnModule: WasmModuleSource = { name: 'snn', bytes };
