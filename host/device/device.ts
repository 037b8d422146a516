/**
 * What can compute. `Device` is the one contract between the rooms above (kernels, snn, llm, dit) and the silicon below:
 * allocate, write, run a list of kernel calls, read. Its implementations (wasm.ts, webgpu.ts, oracle.ts, remote.ts) share
 * nothing with each other but this file, memory-budget.ts and buffer-pool.ts.
 *
 * Ordering: operations issued on one device take effect in the order in which they were issued. A caller may issue
 * write, run, run, read without awaiting in between and awaits the read only.
 */
import type { MachineConfig } from '../snn/machine/config.js';
import type { MemoryBudget } from './memory-budget.js';

export type DeviceKind = 'webgpu' | 'wasm' | 'oracle' | 'fpga' | 'simulated';

export type ElementType = 'f32' | 'i32' | 'u32' | 'i8';

/** Bytes in one element of a kernel buffer. */
export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = { f32: 4, i32: 4, u32: 4, i8: 1 };

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly what: string;
}

export interface LongCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface DeviceLost {
  readonly reason: 'destroyed' | 'lost';
  readonly message: string;
}

/** A plain description of what a device offers. Making one never throws. */
export interface Capabilities {
  /** A person's name for the silicon: adapter description, or "WebAssembly SIMD, 2 threads". */
  readonly name: string;
  /** Optional features that kernels may choose a variant by: 'subgroups', 'shader-f16', 'timestamp-query', 'simd', 'threads'. */
  readonly features: ReadonlySet<string>;
  readonly threads: number;
  readonly subgroupSize: { readonly min: number; readonly max: number } | undefined;
  /** Largest single buffer in bytes. */
  readonly maxBufferBytes: number;
  readonly maxWorkgroupInvocations: number;
  readonly maxWorkgroupBytes: number;
  readonly maxBuffersPerKernel: number;
  /** True when the "GPU" is a software rasteriser (SwiftShader, lavapipe). */
  readonly software: boolean;
  /** What a person should know: "single-threaded because the page is not cross-origin isolated". */
  readonly notices: readonly string[];
  /** Of a synapse machine (kind 'fpga'): what it was built with, and the version of its RTL where it could be asked. */
  readonly machine?: MachineConfig;
  readonly rtlVersion?: string;
}

/** A range of device memory. Zero-filled when allocated. Its bytes are leased from the device's budget until `release()`. */
export interface DeviceBuffer {
  readonly device: Device;
  /** Unique on its device. */
  readonly id: number;
  /** What the caller asked for; the leased size may be larger (size classes). */
  readonly bytes: number;
  readonly label: string;
  readonly released: boolean;
  release(): void;
}

/** One kernel applied to buffers and scalars of one device: plain data apart from the kernel's bodies. Made by the typed functions of host/kernels. */
export interface KernelCall {
  readonly kernel: KernelBody;
  /** In the order of `kernel.buffers`. */
  readonly buffers: readonly DeviceBuffer[];
  /** In the order of `kernel.scalars`. */
  readonly scalars: readonly number[];
}

export type ScalarType = 'u32' | 'i32' | 'f32';

export interface KernelBufferParam {
  readonly name: string;
  readonly type: ElementType;
  readonly access: 'read' | 'read-write';
}

export interface KernelScalarParam {
  readonly name: string;
  readonly type: ScalarType;
}

export type TypedView = Float32Array | Int32Array | Uint32Array | Int8Array;

/** A Wasm module that kernels live in; compiled once per process, instantiated once per device and thread. */
export interface WasmModuleSource {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface WgslVariant {
  /** Capability features without which this source does not compile. The first variant whose needs are met is taken. */
  readonly requires: readonly string[];
  readonly source: string;
}

/**
 * A kernel in its three bodies. All of them have the same buffers and scalars in the same order.
 *
 * Oracle: `oracle(views, scalars, step)`, plain TypeScript.
 *
 * Wasm: export `name(args: usize, step: i32, thread: i32, threads: i32): void`; at `args` lie one u32 address per buffer,
 * then one 4-byte scalar each. Every thread calls it with the same `args`; it does its own share of the work, chosen by
 * `thread` of `threads` only, so that no two threads write the same element. The device puts a barrier after each call.
 *
 * WGSL: entry point `name`; `@group(0) @binding(0) var<uniform> params: Params` with `struct Params { step: u32, then the
 * scalars in order }`; buffers at bindings 1.. in order as `var<storage, read>` or `var<storage, read_write>`; i8 buffers
 * are `array<u32>`, four to a word, little-endian. `override WORKGROUP_SIZE: u32` where the size may vary.
 */
export interface KernelBody {
  readonly name: string;
  readonly buffers: readonly KernelBufferParam[];
  readonly scalars: readonly KernelScalarParam[];
  /** True when a body reads the step number (a device may then need a uniform per step). */
  readonly usesStep: boolean;
  /** Smallest element count that each buffer must have for these scalars; checked before anything runs. */
  readonly elements: (scalars: readonly number[]) => readonly number[];
  readonly oracle: (views: readonly TypedView[], scalars: readonly number[], step: number) => void;
  readonly wasm: { readonly module: WasmModuleSource };
  readonly wgsl: {
    readonly variants: readonly WgslVariant[];
    /** Workgroup counts (x, y, z) for these scalars at this WORKGROUP_SIZE. A zero anywhere skips the dispatch. */
    readonly workgroups: (scalars: readonly number[], workgroupSize: number) => readonly [number, number, number];
    /** Preferred WORKGROUP_SIZE, lowered to what the device allows. Default 64. */
    readonly workgroupSize?: number;
  };
}

export interface RunOptions extends LongCallOptions {
  /** How often the whole list runs; the step number counts up by one each time. Default 1. */
  readonly steps?: number;
  /** Step number of the first repetition. Default 0. */
  readonly firstStep?: number;
}

export interface Device {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly capabilities: Capabilities;
  readonly memory: MemoryBudget;
  /** Resolves once, when the device is gone; `reason` 'destroyed' when its owner closed it. Never rejects. */
  readonly lost: Promise<DeviceLost>;

  /**
   * Leases `bytes` of zero-filled device memory.
   * @throws MemoryRefusedError when the budget cannot meet it; TuttiError LIMIT_EXCEEDED above `maxBufferBytes`;
   *   DeviceLostError / DEVICE_CLOSED when the device is gone. Nothing is left behind in any case.
   */
  allocate(bytes: number, label: string): DeviceBuffer;

  /** Copies host bytes into `buffer` at `byteOffset` (multiple of 4); `data` may be reused at once. */
  write(buffer: DeviceBuffer, data: ArrayBufferView, byteOffset?: number): void;

  /** Copies device bytes into a fresh ArrayBuffer (offset and length multiples of 4; default: the whole buffer). */
  read(buffer: DeviceBuffer, byteOffset?: number, bytes?: number): Promise<ArrayBuffer>;

  /** Runs every call of the list in order, `steps` times over, with no read-back in between. Resolves when it has been executed. */
  run(calls: readonly KernelCall[], options?: RunOptions): Promise<void>;

  /** Compiles what these kernels need, in parallel and at most once each, so that the first `run` does not stall. */
  warmup(kernels: readonly KernelBody[], options?: LongCallOptions): Promise<void>;

  /** Releases everything. Idempotent; `lost` resolves with reason 'destroyed'. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
