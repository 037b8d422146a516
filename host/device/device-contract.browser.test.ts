import { deviceContract } from './device-contract.js';
import { createWasmDevice } from './wasm.js';
import { createWebGpuDevice } from './webgpu.js';

const memoryBudget = 8 * 2 ** 20;

deviceContract('Wasm in Chromium', () => createWasmDevice({ memoryBudget }));
deviceContract('Wasm threads in Chromium', () => createWasmDevice({ memoryBudget, threads: 2 }));
deviceContract('WebGPU in Chromium', () => createWebGpuDevice({ memoryBudget }));
