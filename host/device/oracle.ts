/** A device that runs every kernel's plain-TypeScript oracle: slow, clear, and the reference that the others are held to. */
import { createArrayStorage } from './array-storage.js';
import { type ELEMENT_BYTES, type Device, type KernelCall, type TypedView } from './device.js';
import { createHostDevice, type HostBuffer } from './host-device.js';

export interface OracleDeviceOptions {
  readonly id?: string;
  /** Bytes; default 1 GiB. */
  readonly memoryBudget?: number;
}

export function createOracleDevice(options: OracleDeviceOptions = {}): Device {
  const storage = createArrayStorage();
  const viewOf = (buffer: HostBuffer, type: keyof typeof ELEMENT_BYTES): TypedView => {
    const bytes = storage.bytesAt(buffer.address, buffer.label);
    if (type === 'f32') return new Float32Array(bytes);
    if (type === 'i32') return new Int32Array(bytes);
    if (type === 'u32') return new Uint32Array(bytes);
    return new Int8Array(bytes);
  };
  const runOnce = (calls: readonly KernelCall[], step: number): void => {
    for (const { kernel, buffers, scalars } of calls) {
      const views = kernel.buffers.map((param, i) => viewOf(buffers[i] as HostBuffer, param.type));
      kernel.oracle(views, scalars, step);
    }
  };
  return createHostDevice({
    id: options.id ?? 'oracle',
    kind: 'oracle',
    capabilities: {
      name: 'plain TypeScript reference',
      features: new Set(),
      threads: 1,
      subgroupSize: undefined,
      maxBufferBytes: 2 ** 31,
      maxWorkgroupInvocations: 1,
      maxWorkgroupBytes: 0,
      maxBuffersPerKernel: 16,
      software: true,
      notices: [],
    },
    memoryBudget: options.memoryBudget ?? 2 ** 30,
    storage,
    executor: {
      ready: () => true,
      // Nothing to compile: ready as soon as it is asked.
      prepare: (kernels, { onProgress } = {}) =>
        Promise.resolve(onProgress?.({ done: kernels.length, total: kernels.length, what: 'oracles' })),
      slice(calls, firstStep, steps) {
        const until = performance.now() + 10;
        let done = 0;
        do runOnce(calls, firstStep + done++);
        while (done < steps && performance.now() < until);
        return done;
      },
      close: () => Promise.resolve(storage.clear()),
    },
  }).device;
}
