/**
 * The front door: opens the devices that there are and puts them into a pool. Spiking networks, and whatever comes to run
 * beside them, take their devices from there.
 */
import { abortedError, throwIfAborted, TuttiError } from './errors.js';
import type { Capabilities, Device, DeviceKind, LongCallOptions } from './device/device.js';
import { createDevicePool, type DevicePool, type MemberReport, type PoolMember } from './device/pool.js';
import { createWasmDevice, type WasmDeviceOptions } from './device/wasm.js';
import { createFpgaDevice, type FpgaDeviceOptions } from './fpga/create-fpga-device.js';
import { createWebGpuDevice, type WebGpuDeviceOptions } from './device/webgpu.js';

export interface RuntimeOptions extends LongCallOptions {
  /**
   * 'auto' (default): Wasm, and WebGPU where there is an adapter; what cannot be opened becomes a notice of `report()`.
   * A list asks for exactly these: each must open.
   */
  readonly devices?: 'auto' | readonly ('wasm' | 'webgpu' | 'fpga')[] | readonly PoolMember[];
  /**
   * Boards with a synapse machine, each a member of kind 'fpga', besides `devices`. Default: none, or the RTL twin where `devices` names
   * 'fpga'. They run programs only, so a lease gets one only by asking for the kind.
   */
  readonly fpga?: FpgaDeviceOptions | readonly FpgaDeviceOptions[];
  /** Threads of the Wasm device. Default 'auto': as many as there are processors, where SharedArrayBuffer is allowed. */
  readonly threads?: number | 'auto';
  /** Bytes for each device. Default: the device's own. */
  readonly memoryBudget?: number;
  /** Whether a software GPU will do for WebGPU. Default 'auto': when there is nothing else. */
  readonly software?: NonNullable<WebGpuDeviceOptions['software']>;
}

export interface RuntimeDeviceReport {
  readonly name: string;
  readonly kind: DeviceKind;
  readonly state: MemberReport['state'];
  readonly capabilities?: Capabilities;
  /** Bytes. */
  readonly memory?: { readonly budget: number; readonly inUse: number; readonly peak: number };
  readonly restarts: number;
  /** Why there is no device. */
  readonly why?: string;
}

export interface RuntimeReport {
  readonly devices: readonly RuntimeDeviceReport[];
  /** What a person should know: what is missing and why, what runs slower than it could. */
  readonly notices: readonly string[];
}

export interface Runtime {
  readonly pool: DevicePool;
  /** Those that are open now. */
  readonly devices: readonly Device[];
  /** The state of now, as data. Never throws. */
  report(): RuntimeReport;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * @throws TuttiError DEVICE_UNAVAILABLE when nothing can be opened, or what opening a device threw that was asked for by
 *   name; OPTION_INVALID; ABORTED. Nothing stays open then.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const { devices: wanted = 'auto', signal, onProgress } = options;
  throwIfAborted(signal, 'opening the runtime');
  const members = membersOf(options);
  const pool = createDevicePool({ members });
  let done = 0;
  const stop = pool.on('joined', ({ member }) =>
    onProgress?.({ done: ++done, total: members.length, what: `device ${member}` }),
  );
  const abort = (): void => void pool.close();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await pool.settled();
    if (signal?.aborted) throw abortedError(signal, 'opening the runtime');
    const failed = pool.members.filter((member) => member.state === 'failed');
    if (failed.length > 0 && wanted !== 'auto') throw failed[0]!.error;
    if (pool.devices.length === 0) {
      throw new TuttiError(
        'DEVICE_UNAVAILABLE',
        `no device could be opened: ${failed.map((m) => `${m.name}: ${messageOf(m.error)}`).join('; ')}`,
        {
          cause: failed[0]?.error,
        },
      );
    }
  } catch (error) {
    await pool.close();
    throw error;
  } finally {
    stop();
    signal?.removeEventListener('abort', abort);
  }
  return {
    pool,
    get devices() {
      return pool.devices;
    },
    report: () => reportOf(pool),
    close: () => pool.close(),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

function membersOf({
  devices = 'auto',
  threads = 'auto',
  memoryBudget,
  software,
  fpga,
}: RuntimeOptions): readonly PoolMember[] {
  const budget = memoryBudget === undefined ? {} : { memoryBudget };
  const builtIn = {
    wasm: (options: WasmDeviceOptions) => createWasmDevice({ id: 'wasm', threads, ...budget, ...options }),
    webgpu: (options: WebGpuDeviceOptions) =>
      createWebGpuDevice({ id: 'webgpu', ...budget, ...(software === undefined ? {} : { software }), ...options }),
  };
  const list: unknown = devices === 'auto' ? ['webgpu', 'wasm'] : devices;
  const given = fpga === undefined ? [] : [fpga].flat();
  const boards = (given.length > 0 ? given : [{}]).map((options: FpgaDeviceOptions, i): PoolMember => {
    const name = options.id ?? (i === 0 ? 'fpga' : `fpga ${i + 1}`);
    const open = (signal?: AbortSignal): Promise<Device> =>
      createFpgaDevice({ id: name, ...budget, ...options, ...(signal ? { signal } : {}) });
    return { name, kind: 'fpga', open };
  });
  if (!Array.isArray(list) || list.length === 0) {
    throw new TuttiError(
      'OPTION_INVALID',
      "createRuntime: devices must be 'auto' or a list with at least one of 'wasm', 'webgpu', 'fpga' or a pool member",
    );
  }
  const members = (list as readonly unknown[]).flatMap((item, i): PoolMember | readonly PoolMember[] => {
    if (isMember(item)) return item;
    if (item === 'fpga') return boards;
    if (item === 'wasm' || item === 'webgpu') {
      return { name: item, kind: item, open: (given?: AbortSignal) => builtIn[item](given ? { signal: given } : {}) };
    }
    throw new TuttiError(
      'OPTION_INVALID',
      `createRuntime: devices[${i}] must be 'wasm', 'webgpu', 'fpga' or a pool member, got ${String(item)}`,
      { where: `devices[${i}]` },
    );
  });
  return given.length > 0 && !(list as readonly unknown[]).includes('fpga') ? [...members, ...boards] : members;
}

function isMember(item: unknown): item is PoolMember {
  return typeof item === 'object' && item !== null && typeof (item as Partial<PoolMember>).open === 'function';
}

function reportOf(pool: DevicePool): RuntimeReport {
  const devices = pool.members.map(({ name, kind, state, device, restarts, error }): RuntimeDeviceReport => {
    if (!device) return { name, kind, state, restarts, ...(error === undefined ? {} : { why: messageOf(error) }) };
    const { budget, inUse, peak } = device.memory;
    return { name, kind, state, restarts, capabilities: device.capabilities, memory: { budget, inUse, peak } };
  });
  const notices = devices.flatMap(({ name, capabilities, why }) => [
    ...(why === undefined ? [] : [`no ${name}: ${why}`]),
    ...(capabilities?.notices ?? []).map((notice) => `${name}: ${notice}`),
  ]);
  return { devices, notices };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
