/**
 * A WebGPU device, in Node (Dawn) and browsers. Many steps of a kernel list go into one submit; scalars lie in one uniform
 * arena, a slot per call (and per step for kernels that read the step number); operations keep the order of issue even
 * while a pipeline is still compiling.
 */
import { abortedError, DeviceLostError, throwIfAborted, TuttiError } from '../errors.js';
import {
  checkAllocation,
  checkBuffer,
  checkRange,
  checkRun,
  closedError,
  createLifetime,
  createOperationQueue,
  roundUp4,
} from './arguments.js';
import { createBufferPool, type BufferPoolStatistics } from './buffer-pool.js';
import type {
  Capabilities,
  Device,
  DeviceBuffer,
  KernelBody,
  KernelCall,
  LongCallOptions,
  RunOptions,
} from './device.js';
import { createMemoryBudget, type MemoryBudget } from './memory-budget.js';
import { describeAdapter, findAdapter, isSoftware } from './webgpu-adapter.js';
import { createPipelineCache, type KernelPipeline } from './webgpu-pipelines.js';

export interface WebGpuDeviceOptions {
  readonly id?: string;
  /** Bytes; default 1 GiB. */
  readonly memoryBudget?: number;
  /** Adapter features not to use, so that kernels take their plainer variants: 'subgroups', 'shader-f16', 'timestamp-query'. */
  readonly disableFeatures?: readonly string[];
  /** Whether a software GPU will do. Default 'auto': when there is nothing else. */
  readonly software?: 'auto' | 'never' | 'only';
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** Most bytes of released buffers kept for reuse; default an eighth of the budget. */
  readonly poolBytes?: number;
  readonly signal?: AbortSignal;
}

export interface WebGpuReport {
  readonly available: boolean;
  readonly why?: string;
  readonly capabilities?: Capabilities;
}

// GPUBufferUsage and GPUMapMode, which are no globals in Node.
const MAP_READ = 1;
const COPY_SRC = 4;
const COPY_DST = 8;
const UNIFORM = 64;
const STORAGE = 128;
const MAP_MODE_READ = 1;

const WANTED_FEATURES = ['subgroups', 'shader-f16', 'timestamp-query'] as const;
const MAX_DISPATCH = 65535;
/** Bounds the time of one submit, so that an abort is answered and no driver watchdog fires. */
const DISPATCHES_PER_SUBMIT = 1024;
const CACHED_LISTS = 64;

interface GpuState {
  readonly gpu: GPUDevice;
  poolStatistics(): BufferPoolStatistics;
}
const states = new WeakMap<Device, GpuState>();

function stateOf(device: Device): GpuState {
  const state = states.get(device);
  if (!state)
    throw new TuttiError('OPTION_INVALID', `${device.id} is not a WebGPU device of this process`, { where: device.id });
  return state;
}

/**
 * The GPUDevice underneath, for interoperation.
 * @internal Published declarations name no WebGPU type, so that users need not install @webgpu/types.
 */
export const gpuDeviceOf = (device: Device): GPUDevice => stateOf(device).gpu;

/** Fault injection: destroys the GPUDevice behind the device's back, as a driver reset would. */
export const simulateLoss = (device: Device): void => stateOf(device).gpu.destroy();

export const bufferPoolStatistics = (device: Device): BufferPoolStatistics => stateOf(device).poolStatistics();

/** Whether WebGPU can be had here, and if not, why. Never throws. */
export async function describeWebGpu(options: Pick<WebGpuDeviceOptions, 'software'> = {}): Promise<WebGpuReport> {
  try {
    const { adapter, notices } = await findAdapter({ software: options.software ?? 'auto' });
    return { available: true, capabilities: capabilitiesOf(adapter, adapter.features, adapter.limits, [], notices) };
  } catch (error) {
    return { available: false, why: error instanceof Error ? error.message : String(error) };
  }
}

/** @throws TuttiError DEVICE_UNAVAILABLE, saying why and what to do; OPTION_INVALID, ABORTED. */
export async function createWebGpuDevice(options: WebGpuDeviceOptions = {}): Promise<Device> {
  const id = options.id ?? 'webgpu';
  throwIfAborted(options.signal, `opening ${id}`);
  const memory = createMemoryBudget(id, options.memoryBudget ?? 2 ** 30);
  const { poolBytes = Math.floor(memory.budget / 8) } = options;
  if (!(poolBytes >= 0)) {
    throw new TuttiError('OPTION_INVALID', `poolBytes must be a number of bytes >= 0, got ${poolBytes}`, { where: id });
  }
  const disabled = options.disableFeatures ?? [];
  const { adapter, notices } = await findAdapter({
    software: options.software ?? 'auto',
    powerPreference: options.powerPreference,
  });
  const features = WANTED_FEATURES.filter((name) => adapter.features.has(name) && !disabled.includes(name));
  const limits = adapter.limits;
  let gpu: GPUDevice;
  try {
    gpu = await adapter.requestDevice({
      label: id,
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
        maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      },
    });
  } catch (cause) {
    throw new TuttiError(
      'DEVICE_UNAVAILABLE',
      `the adapter "${describeAdapter(adapter)}" refused a device: ${String(cause)}`,
      { where: id, cause },
    );
  }
  if (options.signal?.aborted) {
    gpu.destroy();
    throw abortedError(options.signal, `opening ${id}`);
  }
  const capabilities = capabilitiesOf(adapter, new Set(features), gpu.limits, disabled, notices);
  return wrap(gpu, id, capabilities, memory, poolBytes);
}

function capabilitiesOf(
  adapter: GPUAdapter,
  features: { has(name: string): boolean },
  limits: GPUSupportedLimits,
  disabled: readonly string[],
  notices: readonly string[],
): Capabilities {
  const info = adapter.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  const smallest = features.has('subgroups') ? info.subgroupMinSize : undefined;
  return {
    name: describeAdapter(adapter),
    features: new Set(WANTED_FEATURES.filter((name) => features.has(name))),
    threads: 1,
    subgroupSize: smallest === undefined ? undefined : { min: smallest, max: info.subgroupMaxSize ?? smallest },
    maxBufferBytes: Math.min(Number(limits.maxBufferSize), Number(limits.maxStorageBufferBindingSize)),
    maxWorkgroupInvocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxBuffersPerKernel: limits.maxStorageBuffersPerShaderStage,
    software: isSoftware(adapter),
    notices: [...notices, ...(disabled.length ? [`features switched off: ${disabled.join(', ')}`] : [])],
  };
}

interface GpuBuffer extends DeviceBuffer {
  readonly raw: GPUBuffer;
}

/** What a list of calls needs to be encoded, kept as long as the list is in use. */
interface PreparedList {
  readonly pipelines: readonly KernelPipeline[];
  readonly groups: readonly GPUBindGroup[];
  readonly dispatches: readonly (readonly [number, number, number])[];
}

function wrap(gpu: GPUDevice, id: string, capabilities: Capabilities, memory: MemoryBudget, poolBytes: number): Device {
  const { budget } = memory;
  const pipelines = createPipelineCache(gpu, capabilities);
  const align = gpu.limits.minUniformBufferOffsetAlignment;
  const life = createLifetime();
  const operations = createOperationQueue(life);
  let nextBuffer = 1;
  const lists = new Map<readonly KernelCall[], PreparedList>();

  const pool = createBufferPool<GPUBuffer>({
    create: (bytes) => gpu.createBuffer({ size: bytes, usage: STORAGE | COPY_SRC | COPY_DST }),
    destroy: (raw) => raw.destroy(),
    capBytes: poolBytes,
  });
  const staging = createBufferPool<GPUBuffer>({
    create: (bytes) => gpu.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST }),
    destroy: (raw) => raw.destroy(),
    capBytes: Math.min(2 ** 26, Math.floor(budget / 8)),
  });

  void gpu.lost.then((info) => {
    life.end(new DeviceLostError(id, info.message || info.reason), { reason: 'lost', message: info.message });
  });
  void life.lost.then(() => lists.clear());
  /** The first validation error that no scope caught; the next run reports it. */
  let stray: string | undefined;
  gpu.onuncapturederror = (event) => (stray ??= event.error.message);

  /** What compiling comes to; where the device was lost meanwhile, the loss, which may show as a failed compilation first. */
  const orLoss = <T>(compiling: Promise<T>): Promise<T> =>
    Promise.race([compiling, life.whenGone]).catch(async (error: unknown) => {
      if (!life.gone) await Promise.race([life.lost, afterEvents()]);
      throw life.gone ?? error;
    });

  const own = (buffer: DeviceBuffer, doing: string): GpuBuffer => {
    life.check();
    checkBuffer(device, buffer, doing);
    return buffer as GpuBuffer;
  };

  const prepare = async (calls: readonly KernelCall[]): Promise<PreparedList> => {
    const known = lists.get(calls);
    if (known) return known;
    if (calls.length > DISPATCHES_PER_SUBMIT) {
      throw new TuttiError(
        'LIMIT_EXCEEDED',
        `a list of ${calls.length} kernel calls is longer than ${DISPATCHES_PER_SUBMIT}; split it`,
        { where: id },
      );
    }
    const ready = await Promise.all(calls.map(async (call) => pipelines.get(call.kernel)));
    const groups = calls.map((call, i) =>
      gpu.createBindGroup({
        layout: ready[i]!.layout,
        entries: [
          { binding: 0, resource: { buffer: arena.buffer, size: slotBytes(call.kernel) } },
          ...call.buffers.map((buffer, k) => ({ binding: k + 1, resource: { buffer: (buffer as GpuBuffer).raw } })),
        ],
      }),
    );
    const dispatches = calls.map((call, i) => {
      const counts = call.kernel.wgsl.workgroups(call.scalars, ready[i]!.workgroupSize);
      if (counts.some((count) => count > MAX_DISPATCH)) {
        throw new TuttiError(
          'LIMIT_EXCEEDED',
          `kernel ${call.kernel.name} needs ${counts.join(' x ')} workgroups; WebGPU allows ${MAX_DISPATCH} a dimension`,
          {
            where: call.kernel.name,
          },
        );
      }
      return counts;
    });
    if (lists.size >= CACHED_LISTS) lists.delete(lists.keys().next().value!);
    const list = { pipelines: ready, groups, dispatches };
    lists.set(calls, list);
    return list;
  };

  const slotBytes = (kernel: KernelBody): number => Math.ceil((4 + 4 * kernel.scalars.length) / 16) * 16;
  // Bind groups point at this one buffer; each submit's scalars are written before it, in queue order.
  const slot = Math.max(align, 256);
  const arena = {
    buffer: gpu.createBuffer({
      label: `${id} scalars`,
      size: slot * (DISPATCHES_PER_SUBMIT + 1),
      usage: UNIFORM | COPY_DST,
    }),
    words: new DataView(new ArrayBuffer(slot * (DISPATCHES_PER_SUBMIT + 1))),
  };

  /** Encodes and submits as many whole steps as fit (at least one), and returns how many. */
  const submit = (calls: readonly KernelCall[], list: PreparedList, firstStep: number, steps: number): number => {
    const count = Math.max(1, Math.min(steps, Math.floor(DISPATCHES_PER_SUBMIT / calls.length)));
    let slots = 0;
    const put = (call: KernelCall, step: number): number => {
      const at = slot * slots++;
      arena.words.setInt32(at, step, true);
      call.scalars.forEach((value, k) => {
        const offset = at + 4 + 4 * k;
        if (call.kernel.scalars[k]!.type === 'f32') arena.words.setFloat32(offset, value, true);
        else arena.words.setInt32(offset, value | 0, true);
      });
      return at;
    };
    const fixed = calls.map((call) => (call.kernel.usesStep ? -1 : put(call, firstStep)));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    let bound: GPUComputePipeline | undefined;
    for (let s = 0; s < count; s++) {
      for (let i = 0; i < calls.length; i++) {
        const offset = fixed[i]! >= 0 ? fixed[i]! : put(calls[i]!, firstStep + s);
        const [x, y, z] = list.dispatches[i]!;
        if (x === 0 || y === 0 || z === 0) continue;
        const { pipeline } = list.pipelines[i]!;
        if (pipeline !== bound) pass.setPipeline((bound = pipeline));
        pass.setBindGroup(0, list.groups[i], [offset]);
        pass.dispatchWorkgroups(x, y, z);
      }
    }
    pass.end();
    gpu.queue.writeBuffer(arena.buffer, 0, arena.words.buffer, 0, slot * slots);
    gpu.queue.submit([encoder.finish()]);
    return count;
  };

  const device: Device = {
    id,
    kind: 'webgpu',
    capabilities,
    memory,
    lost: life.lost,
    allocate(bytes, label) {
      life.check();
      checkAllocation(id, capabilities, bytes, label);
      const lease = memory.lease(roundUp4(bytes), label);
      // Idle buffers make room for leased ones.
      pool.trim(Math.max(0, budget - memory.inUse));
      let acquired: ReturnType<typeof pool.acquire>;
      try {
        acquired = pool.acquire(Math.max(4, roundUp4(bytes)));
      } catch (cause) {
        lease.release();
        throw new TuttiError('DEVICE_FAILED', `${id} could not make a buffer of ${bytes} B for "${label}"`, {
          where: id,
          cause,
        });
      }
      const { raw, bytes: size, reused } = acquired;
      let released = false;
      const buffer: GpuBuffer = {
        device,
        id: nextBuffer++,
        bytes,
        label,
        raw,
        get released() {
          return released;
        },
        release() {
          if (released) return;
          released = true;
          lease.release();
          if (life.gone) return;
          // Lists that bind it hold its bind group; drop them so that they go with it.
          for (const calls of lists.keys())
            if (calls.some((call) => call.buffers.includes(buffer))) lists.delete(calls);
          operations.after(() => life.gone ?? pool.release(raw, size));
        },
      };
      if (reused) {
        const clear = (): void => {
          const encoder = gpu.createCommandEncoder();
          encoder.clearBuffer(raw);
          gpu.queue.submit([encoder.finish()]);
        };
        if (operations.busy) operations.add(clear).catch(() => {});
        else clear();
      }
      return buffer;
    },
    write(buffer, data, byteOffset = 0) {
      const target = own(buffer, 'write');
      checkRange(buffer, byteOffset, data.byteLength, 'write');
      let source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (data.byteLength % 4) {
        const padded = new Uint8Array(roundUp4(data.byteLength));
        padded.set(source);
        source = padded;
      }
      if (!operations.busy) gpu.queue.writeBuffer(target.raw, byteOffset, source as BufferSource);
      else {
        const copy = source.slice();
        operations.add(() => gpu.queue.writeBuffer(target.raw, byteOffset, copy as BufferSource)).catch(() => {}); // a lost device answers at the next read
      }
    },
    async read(buffer, byteOffset = 0, bytes = roundUp4(buffer.bytes) - byteOffset) {
      const source = own(buffer, 'read');
      checkRange(buffer, byteOffset, bytes, 'read');
      if (bytes === 0) return new ArrayBuffer(0);
      const size = roundUp4(bytes);
      let mapping: Promise<undefined> | undefined;
      let problem: Promise<GPUError | null> | undefined;
      const host = staging.acquire(size);
      try {
        await operations.add(() => {
          gpu.pushErrorScope('validation');
          const encoder = gpu.createCommandEncoder();
          encoder.copyBufferToBuffer(source.raw, byteOffset, host.raw, 0, size);
          gpu.queue.submit([encoder.finish()]);
          problem = gpu.popErrorScope();
          problem.catch(() => {}); // also awaited below
          mapping = host.raw.mapAsync(MAP_MODE_READ, 0, size);
          mapping.catch(() => {}); // also awaited below
        });
        const [error] = await Promise.race([Promise.all([problem, mapping]), life.whenGone]);
        life.check();
        if (error) {
          throw new TuttiError('DEVICE_FAILED', `${id} rejected a read of "${buffer.label}": ${error.message}`, {
            where: id,
          });
        }
        const out = host.raw.getMappedRange(0, size).slice(0, bytes);
        host.raw.unmap();
        staging.release(host.raw, host.bytes);
        return out;
      } catch (error) {
        // Loss may show first as a failed mapping.
        if (!life.gone && !(error instanceof TuttiError)) await Promise.race([life.lost, afterEvents()]);
        if (!life.gone) staging.discard(host.raw, host.bytes);
        throw life.gone ?? error;
      }
    },
    async run(calls, runOptions: RunOptions = {}) {
      const { steps = 1, firstStep = 0, signal, onProgress } = runOptions;
      life.check();
      checkRun(device, calls, runOptions);
      calls.forEach(checkAliases);
      if (calls.length === 0 || steps === 0) return;
      let finished: Promise<unknown> = Promise.resolve();
      await operations.add(async () => {
        const list = lists.get(calls) ?? (await orLoss(prepare(calls)));
        let done = 0;
        let earlier: Promise<unknown> = Promise.resolve();
        while (done < steps) {
          if (signal?.aborted) throw abortedError(signal, `run on ${id}`);
          life.check();
          gpu.pushErrorScope('validation');
          done += submit(calls, list, firstStep + done, steps - done);
          const problem = gpu.popErrorScope();
          const executed = gpu.queue.onSubmittedWorkDone();
          const total = done;
          finished = Promise.race([
            Promise.all([problem, executed]).then(([error]) => {
              life.check();
              const message = error?.message ?? stray;
              stray = undefined;
              if (message)
                throw new TuttiError('DEVICE_FAILED', `${id} rejected a run of ${kernelNames(calls)}: ${message}`, {
                  where: id,
                });
              onProgress?.({ done: total, total: steps, what: 'steps' });
            }),
            life.whenGone,
          ]);
          finished.catch(() => {}); // awaited below, or by the next round
          // Two submits in flight: the next one is encoded while this one runs.
          if (done < steps) await earlier;
          earlier = finished;
        }
      });
      await finished.catch(async (error: unknown) => {
        if (!life.gone && !(error instanceof TuttiError)) await Promise.race([life.lost, afterEvents()]);
        throw life.gone ?? error;
      });
    },
    async warmup(kernels: readonly KernelBody[], { signal, onProgress }: LongCallOptions = {}) {
      life.check();
      const doing = `warming up ${id}`;
      throwIfAborted(signal, doing);
      let done = 0;
      const all = Promise.all(
        kernels.map(async (kernel) => {
          await pipelines.get(kernel);
          onProgress?.({ done: ++done, total: kernels.length, what: `pipeline ${kernel.name}` });
        }),
      );
      if (!signal) return void (await orLoss(all));
      let abort = (): void => {};
      const aborted = new Promise<never>((_, reject) => (abort = () => reject(abortedError(signal, doing))));
      signal.addEventListener('abort', abort, { once: true });
      try {
        await Promise.race([orLoss(all), aborted]);
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    async close() {
      if (life.end(closedError(id), { reason: 'destroyed', message: 'closed by its owner' })) gpu.destroy();
    },
    [Symbol.asyncDispose]: () => device.close(),
  };
  states.set(device, { gpu, poolStatistics: pool.statistics });
  return device;
}

/** WebGPU forbids one buffer to be bound for reading and for writing in one dispatch. */
function checkAliases(call: KernelCall): void {
  call.buffers.forEach((buffer, i) => {
    const other = call.buffers.indexOf(buffer);
    if (other === i) return;
    const [first, second] = [call.kernel.buffers[other]!, call.kernel.buffers[i]!];
    if (first.access === 'read' && second.access === 'read') return;
    throw new TuttiError(
      'KERNEL_ARGUMENT',
      `kernel ${call.kernel.name}: "${first.name}" and "${second.name}" are the same buffer "${buffer.label}" and one of them is written; use two buffers`,
      { where: call.kernel.name },
    );
  });
}

const kernelNames = (calls: readonly KernelCall[]): string =>
  [...new Set(calls.map((call) => call.kernel.name))].join(', ');

/** Time for a loss that is being reported to arrive. */
const afterEvents = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
