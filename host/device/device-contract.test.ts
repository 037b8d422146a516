import { deviceContract } from './device-contract.js';
import { createOracleDevice } from './oracle.js';
import { createWasmDevice } from './wasm.js';
import { createWebGpuDevice } from './webgpu.js';

const memoryBudget = 8 * 2 ** 20;

deviceContract('oracle', async () => createOracleDevice({ memoryBudget }));
deviceContract('Wasm, one thread', () => createWasmDevice({ memoryBudget }));
deviceContract('Wasm, two threads', () => createWasmDevice({ memoryBudget, threads: 2 }));
deviceContract('WebGPU', () => createWebGpuDevice({ memoryBudget }));
deviceContract('WebGPU without subgroups', () => createWebGpuDevice({ memoryBudget, disableFeatures: ['subgroups'] }));
