import { expect, it } from 'vitest';
import { describeWasm } from '../../host/device/wasm.js';
import { describeWebGpu } from '../../host/device/webgpu.js';

it('this Chromium has what the other browser tests rely on', async () => {
  expect(globalThis.crossOriginIsolated).toBe(true);
  expect(describeWasm()).toMatchObject({ available: true, simd: true, sharedMemory: true });
  const report = await describeWebGpu();
  expect(report.why).toBeUndefined();
  expect(report.available).toBe(true);
});
