/** The browser that the other tests stand on: if something is missing here, it fails here first and by name. */
import { describe, expect, it } from 'vitest';

describe('the browser under test', () => {
  it('is cross-origin isolated and shares memory with workers', async () => {
    expect(globalThis.crossOriginIsolated).toBe(true);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    const script = 'onmessage = ({ data }) => { Atomics.store(new Int32Array(data), 5, 42); postMessage("done"); };';
    const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    const worker = new Worker(url);
    const done = new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
    });
    worker.postMessage(memory.buffer);
    await done;
    worker.terminate();
    URL.revokeObjectURL(url);
    expect(new Int32Array(memory.buffer)[5]).toBe(42);
  });

  it('runs WebAssembly SIMD', async () => {
    // (func (export "f") (param i32) (result i32) local.get 0 i32x4.splat local.get 0 i32x4.splat i32x4.add i32x4.extract_lane 3)
    const { instance } = await WebAssembly.instantiate(
      Uint8Array.of(
        ...[0, 97, 115, 109, 1, 0, 0, 0],
        ...[1, 6, 1, 96, 1, 127, 1, 127],
        ...[3, 2, 1, 0],
        ...[7, 5, 1, 1, 102, 0, 0],
        ...[10, 18, 1, 16, 0, 32, 0, 253, 17, 32, 0, 253, 17, 253, 174, 1, 253, 27, 3, 11],
      ),
    );
    const twice = instance.exports['f'] as (x: number) => number;
    expect(twice(21)).toBe(42);
  });

  it('computes on a WebGPU adapter', async () => {
    const adapter = await navigator.gpu.requestAdapter();
    expect(adapter, 'navigator.gpu has no adapter').not.toBeNull();
    const device = await adapter!.requestDevice();
    const code =
      '@group(0) @binding(0) var<storage, read_write> x: array<u32>;\n@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = id.x * id.x; }';
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }) },
    });
    const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    const result = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer } }],
      }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(buffer, 0, result, 0, 16);
    device.queue.submit([encoder.finish()]);
    await result.mapAsync(GPUMapMode.READ);
    expect([...new Uint32Array(result.getMappedRange())]).toEqual([0, 1, 4, 9]);
    device.destroy();
  });
});
