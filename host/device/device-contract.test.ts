import { MessageChannel, type Worker } from 'node:worker_threads';
import { afterAll, beforeAll } from 'vitest';
import { snnKernels } from '../kernels/snn/index.js';
import { CONTRACT_BUDGET as memoryBudget, deviceContract } from './device-contract.js';
import type { Device } from './device.js';
import { bundleDeviceWorker, type WorkerBundle } from './fixtures/bundle-worker.js';
import { createOracleDevice } from './oracle.js';
import { createRemoteDevice } from './remote.js';
import { serveDevice } from './serve-device.js';
import { createWasmDevice } from './wasm.js';
import { createWebGpuDevice } from './webgpu.js';

deviceContract('oracle', async () => createOracleDevice({ memoryBudget }));
deviceContract('Wasm, one thread', () => createWasmDevice({ memoryBudget }));
deviceContract('Wasm, two threads', () => createWasmDevice({ memoryBudget, threads: 2 }));
deviceContract('WebGPU', () => createWebGpuDevice({ memoryBudget }));
deviceContract(
  'WebGPU without optional features',
  () => createWebGpuDevice({ memoryBudget, disableFeatures: ['subgroups', 'shader-f16', 'timestamp-query'] }),
  { rounds: 200 },
);

const ports: MessageChannel['port1'][] = [];
/** The device at the other end of a channel, in the same thread. */
function overPort(open: () => Device | Promise<Device>): Promise<Device> {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  serveDevice(port2, open(), snnKernels());
  return createRemoteDevice(port1);
}
const closePorts = (): void => ports.splice(0).forEach((port) => port.close());

deviceContract('oracle over a port', () => overPort(() => createOracleDevice({ memoryBudget })), {
  cleanUp: closePorts,
});
deviceContract('WebGPU over a port', () => overPort(() => createWebGpuDevice({ memoryBudget })), {
  rounds: 200,
  cleanUp: closePorts,
});

let bundle: WorkerBundle;
let worker: Worker;
beforeAll(async () => {
  bundle = await bundleDeviceWorker();
});
afterAll(() => bundle.remove());

deviceContract(
  'Wasm in a worker thread',
  () => createRemoteDevice((worker = bundle.start('wasm', memoryBudget)), { terminate: true }),
  { cleanUp: () => worker.terminate() },
);
