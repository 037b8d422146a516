/** What this machine offers, and why something is not available: what `npx tutti devices` prints. */
import { createFpgaDevice } from '../fpga/create-fpga-device.js';
import type { MachineConfig } from '../snn/machine/config.js';
import type { Capabilities, Device, DeviceKind } from './device.js';
import { createWasmDevice, describeWasm } from './wasm.js';
import { createWebGpuDevice, type WebGpuDeviceOptions } from './webgpu.js';

/** Plain data, ready for JSON. */
export interface DeviceReport {
  readonly kind: DeviceKind;
  readonly available: boolean;
  /** Why it is not available and what to do about it. */
  readonly why?: string;
  readonly name?: string;
  /** Most threads that the device can run here. */
  readonly threads?: number;
  readonly features?: readonly string[];
  readonly subgroupSize?: { readonly min: number; readonly max: number };
  /** Bytes, unless another `memoryBudget` is given. */
  readonly memoryBudget?: number;
  /** Bytes of the largest single buffer. */
  readonly maxBufferBytes?: number;
  readonly maxWorkgroupInvocations?: number;
  readonly software?: boolean;
  /** Of an FPGA: where it is, and what its synapse machine was built with. */
  readonly address?: string;
  readonly machine?: MachineConfig;
  readonly notices: readonly string[];
}

export interface DescribeOptions extends Pick<WebGpuDeviceOptions, 'software'> {
  /** Addresses of boards to look for besides the RTL twin, as `createFpgaDevice` takes them as `url`. */
  readonly boards?: readonly string[];
}

/** Opens each kind of device for a moment, to be sure, and reports. Never throws. */
export async function describeDevices(options: DescribeOptions = {}): Promise<DeviceReport[]> {
  return [
    await describe(
      'wasm',
      () => createWasmDevice(),
      (capabilities) => {
        const { sharedMemory, processors } = describeWasm();
        if (!sharedMemory) {
          const notice =
            'one thread only: SharedArrayBuffer is not allowed here (serve the page with COOP: same-origin and COEP: require-corp)';
          return { ...capabilities, notices: [...capabilities.notices, notice] };
        }
        const threads = Math.min(64, processors);
        const name = `WebAssembly SIMD, up to ${threads} thread${threads > 1 ? 's' : ''}`;
        return { ...capabilities, name, threads, features: new Set([...capabilities.features, 'threads']) };
      },
    ),
    await describe('webgpu', () => createWebGpuDevice(options)),
    ...(await Promise.all(
      ['twin', ...(options.boards ?? [])].map(async (address) => ({
        ...(await describe('fpga', () => createFpgaDevice({ url: address, retries: 0 }))),
        address,
      })),
    )),
  ];
}

async function describe(
  kind: DeviceKind,
  open: () => Promise<Device>,
  refine = (capabilities: Capabilities): Capabilities => capabilities,
): Promise<DeviceReport> {
  try {
    const device = await open();
    const capabilities = refine(device.capabilities);
    const { subgroupSize, features, name, threads, maxBufferBytes, maxWorkgroupInvocations } = capabilities;
    const { software, notices, machine } = capabilities;
    const memoryBudget = device.memory.budget;
    await device.close();
    return {
      kind,
      available: true,
      name,
      threads,
      features: [...features],
      ...(subgroupSize ? { subgroupSize } : {}),
      memoryBudget,
      maxBufferBytes,
      maxWorkgroupInvocations,
      software,
      ...(machine ? { machine } : {}),
      notices,
    };
  } catch (error) {
    return { kind, available: false, why: error instanceof Error ? error.message : String(error), notices: [] };
  }
}
