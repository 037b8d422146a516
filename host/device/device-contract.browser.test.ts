import { CONTRACT_BUDGET as memoryBudget, deviceContract } from './device-contract.js';
import { createWasmDevice } from './wasm.js';
import { createWebGpuDevice } from './webgpu.js';

deviceContract('Wasm in Chromium', () => createWasmDevice({ memoryBudget }));
deviceContract('Wasm threads in Chromium', () => createWasmDevice({ memoryBudget, threads: 2 }));
deviceContract('WebGPU in Chromium', () => createWebGpuDevice({ memoryBudget }));
