import { afterEach, describe, expect, it, vi } from 'vitest';
import { describeDevices } from './discover.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

describe('describeDevices', () => {
  it('reports Wasm and WebGPU as plain data', async () => {
    const devices = await describeDevices();
    expect(JSON.parse(JSON.stringify(devices))).toEqual(devices);
    const [wasm, webgpu] = devices;
    expect(wasm).toMatchObject({ kind: 'wasm', available: true, software: false, memoryBudget: 2 ** 30 });
    expect(wasm!.features).toEqual(expect.arrayContaining(['simd', 'threads']));
    expect(webgpu).toMatchObject({ kind: 'webgpu', available: true });
    expect(webgpu!.name).not.toBe('');
    expect(webgpu!.maxBufferBytes).toBeGreaterThan(2 ** 20);
  });

  it('says why there is no WebGPU', async () => {
    vi.stubEnv('VK_DRIVER_FILES', '/nowhere/no_driver.json');
    vi.stubEnv('VK_ICD_FILENAMES', '/nowhere/no_driver.json');
    const webgpu = (await describeDevices()).find((device) => device.kind === 'webgpu');
    expect(webgpu).toMatchObject({ available: false, why: expect.stringContaining('no_driver.json') });
  });

  it('says why there is no Wasm, and why there are no threads', async () => {
    vi.stubGlobal('crossOriginIsolated', false);
    const [single] = await describeDevices();
    expect(single).toMatchObject({
      available: true,
      threads: 1,
      notices: [expect.stringContaining('SharedArrayBuffer')],
    });
    expect(single!.features).not.toContain('threads');
    vi.stubGlobal('WebAssembly', undefined);
    const [none] = await describeDevices();
    expect(none).toMatchObject({ available: false, why: expect.stringContaining('no WebAssembly') });
  });
});
