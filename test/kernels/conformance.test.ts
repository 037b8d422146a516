import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { conformanceSuite } from '../../host/kernels/conformance/suite.js';

conformanceSuite('Wasm, one thread', () => createWasmDevice(), 150);
conformanceSuite('Wasm, two threads', () => createWasmDevice({ threads: 2 }), 80);
conformanceSuite('Wasm, three threads', () => createWasmDevice({ threads: 3 }), 40);
conformanceSuite('WebGPU', () => createWebGpuDevice(), 40);
conformanceSuite(
  'WebGPU without subgroups and f16',
  () => createWebGpuDevice({ disableFeatures: ['subgroups', 'shader-f16'] }),
  15,
);
