/** `tutti`: devices, their pool and the runtime. Spiking networks are in `tutti/snn`. */
export { createRuntime } from './runtime.js';
export type { Runtime, RuntimeDeviceReport, RuntimeOptions, RuntimeReport } from './runtime.js';

export { createDevicePool } from './device/pool.js';
export type {
  DevicePool,
  DevicePoolOptions,
  Lease,
  LeaseLost,
  LeaseRequest,
  MemberReport,
  PoolEvents,
  PoolMember,
} from './device/pool.js';
export { runWithReplay } from './device/replay.js';
export type { Replay, ReplayOptions } from './device/replay.js';

export { createOracleDevice } from './device/oracle.js';
export type { OracleDeviceOptions } from './device/oracle.js';
export { createWasmDevice } from './device/wasm.js';
export type { WasmDeviceOptions } from './device/wasm.js';
export { createWebGpuDevice } from './device/webgpu.js';
export type { WebGpuDeviceOptions } from './device/webgpu.js';
export { createFpgaDevice } from './fpga/create-fpga-device.js';
export type { FpgaDeviceOptions } from './fpga/create-fpga-device.js';
export type {
  ByteLink,
  DialByteLink,
  MachineLink,
  OpenMachineLink,
  RegisterPort,
  WordLink,
} from './fpga/machine-link.js';
export { createRemoteDevice } from './device/remote.js';
export type { RemoteDeviceOptions } from './device/remote.js';
export type { RemotePort } from './device/remote-port.js';
export { serveDevice } from './device/serve-device.js';
export type { ServedDevice } from './device/serve-device.js';
export { describeDevices } from './device/discover.js';
export type { DescribeOptions, DeviceReport } from './device/discover.js';

export { DeviceLostError, MemoryRefusedError, TuttiError } from './errors.js';
export type { MemoryHolder, TuttiErrorCode, TuttiErrorDetails } from './errors.js';
export type { MemoryBudget, MemoryLease } from './device/memory-budget.js';
export type * from './device/device.js';
