/** The conformance suite over devices that live in worker threads. */
import { afterAll, beforeAll } from 'vitest';
import { bundleDeviceWorker, type WorkerBundle } from '../../host/device/fixtures/bundle-worker.js';
import { createRemoteDevice } from '../../host/device/remote.js';
import { conformanceSuite } from '../../host/kernels/conformance/suite.js';

let bundle: WorkerBundle;
beforeAll(async () => {
  bundle = await bundleDeviceWorker();
});
afterAll(() => bundle.remove());

conformanceSuite('Wasm in a worker thread', () => createRemoteDevice(bundle.start('wasm')), 40);
conformanceSuite(
  'Wasm with two threads of its own in a worker thread',
  () => createRemoteDevice(bundle.start('wasmThreads')),
  20,
);
conformanceSuite('WebGPU in a worker thread', () => createRemoteDevice(bundle.start('webgpu')), 10);
