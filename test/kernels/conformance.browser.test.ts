import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { conformanceSuite } from '../../host/kernels/conformance/suite.js';

conformanceSuite('Wasm in Chromium', () => createWasmDevice(), 40);
conformanceSuite('Wasm threads in Chromium', () => createWasmDevice({ threads: 2 }), 20);
conformanceSuite('WebGPU in Chromium', () => createWebGpuDevice(), 20);
conformanceSuite(
  'WebGPU without subgroups in Chromium',
  () => createWebGpuDevice({ disableFeatures: ['subgroups'] }),
  10,
);
