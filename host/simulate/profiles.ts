/**
 * Devices as the cost model knows them. Peaks are the makers' own figures (dense, without sparsity); efficiencies are what serving engines were measured to
 * reach, and are what a fit to measurements replaces.
 */
import { TuttiError } from '../errors.js';
import type { MeasuredCost } from './cost-model.js';
import type { ModelShape } from './workload.js';

export interface DeviceProfile {
  readonly name: string;
  /** Where its figures come from. */
  readonly source: string;
  readonly memoryBytes: number;
  /** Part of the memory that weights, keys and values may take. */
  readonly usable: number;
  readonly bytesPerSecond: number;
  /** Half-precision operations a second. */
  readonly operationsPerSecond: number;
  /** Parts of the peaks that are reached. */
  readonly memoryEfficiency: number;
  readonly computeEfficiency: number;
  /** Seconds of an iteration that do not depend on what is in it. */
  readonly iterationSeconds: number;
  readonly hostMemoryBytes: number;
  /** Between device and host, from storage, and between nodes. */
  readonly hostBytesPerSecond: number;
  readonly diskBytesPerSecond: number;
  readonly linkBytesPerSecond: number;
  /** From weights in place to the first iteration. */
  readonly warmupSeconds: number;
  /** A round trip to it. */
  readonly networkSeconds: number;
  /** Most sequences in an iteration, and most tokens. */
  readonly sequences: number;
  readonly chunkTokens: number;
  /** By name of the model, what was measured here instead of what follows from the figures above. */
  readonly measured?: Readonly<Record<string, MeasuredCost>>;
  /** Shapes of those models. */
  readonly models?: readonly ModelShape[];
}

const GiB = 2 ** 30;
const served = { usable: 0.9, memoryEfficiency: 0.75, computeEfficiency: 0.55, iterationSeconds: 0.002 };
const server = {
  ...{ hostMemoryBytes: 256 * GiB, diskBytesPerSecond: 3e9, linkBytesPerSecond: 12.5e9, warmupSeconds: 1 },
  ...{ networkSeconds: 0.001, sequences: 64, chunkTokens: 1024 },
};
const edge = {
  ...{ diskBytesPerSecond: 2e9, linkBytesPerSecond: 0.125e9, warmupSeconds: 1.5, networkSeconds: 0.02 },
  ...{
    sequences: 16,
    chunkTokens: 512,
    usable: 0.75,
    memoryEfficiency: 0.7,
    computeEfficiency: 0.4,
    iterationSeconds: 0.004,
  },
};

export const PROFILES: readonly DeviceProfile[] = [
  {
    ...{
      name: 'a100-40gb',
      source: 'NVIDIA A100 data sheet: 40 GB HBM2, 1,555 GB/s, 312 TFLOP/s FP16; PCIe 4.0 x16',
      ...served,
    },
    ...{
      ...server,
      memoryBytes: 40e9,
      bytesPerSecond: 1.555e12,
      operationsPerSecond: 312e12,
      hostBytesPerSecond: 25e9,
    },
  },
  {
    ...{
      name: 'a100-80gb',
      source: 'NVIDIA A100 data sheet: 80 GB HBM2e, 2,039 GB/s, 312 TFLOP/s FP16; PCIe 4.0 x16',
      ...served,
    },
    ...{
      ...server,
      memoryBytes: 80e9,
      bytesPerSecond: 2.039e12,
      operationsPerSecond: 312e12,
      hostBytesPerSecond: 25e9,
    },
  },
  {
    ...{
      name: 'h100-80gb',
      source: 'NVIDIA H100 SXM data sheet: 80 GB HBM3, 3.35 TB/s, 989 TFLOP/s FP16; PCIe 5.0 x16',
      ...served,
    },
    ...{ ...server, memoryBytes: 80e9, bytesPerSecond: 3.35e12, operationsPerSecond: 989e12, hostBytesPerSecond: 50e9 },
  },
  {
    ...{
      name: 'rtx-4090',
      source: 'NVIDIA Ada white paper: 24 GB GDDR6X, 1,008 GB/s, 165 TFLOP/s FP16 with FP32 sums; PCIe 4.0',
      ...served,
    },
    ...{
      ...server,
      memoryBytes: 24e9,
      bytesPerSecond: 1.008e12,
      operationsPerSecond: 165e12,
      hostBytesPerSecond: 25e9,
    },
    ...{ hostMemoryBytes: 64 * GiB, linkBytesPerSecond: 1.25e9, sequences: 32 },
  },
  {
    ...{
      name: 'm2-max',
      source: 'Apple: M2 Max, 32 GB unified, 400 GB/s; 13.6 TFLOP/s FP32 (press), taken for FP16',
      ...edge,
    },
    ...{ memoryBytes: 32e9, bytesPerSecond: 400e9, operationsPerSecond: 13.6e12, hostBytesPerSecond: 100e9 },
    hostMemoryBytes: 8 * GiB,
  },
  {
    ...{
      name: 'jetson-agx-orin',
      source: 'NVIDIA Jetson AGX Orin data sheet: 64 GB LPDDR5, 204.8 GB/s; 42 TFLOP/s dense FP16',
      ...edge,
    },
    ...{ memoryBytes: 64e9, bytesPerSecond: 204.8e9, operationsPerSecond: 42e12, hostBytesPerSecond: 50e9 },
    hostMemoryBytes: 16 * GiB,
  },
];

/** Published shapes (config.json of each; Dubey et al. 2024, Qwen team 2024), weights and keys and values in 16 bits. */
export const MODEL_SHAPES: readonly ModelShape[] = [
  { name: 'llama-3.1-8b', weightBytes: 16.1e9, activeParameters: 8.03e9, kvBytesPerToken: 2 * 32 * 8 * 128 * 2 },
  { name: 'qwen2.5-7b', weightBytes: 15.2e9, activeParameters: 7.6e9, kvBytesPerToken: 2 * 28 * 4 * 128 * 2 },
  { name: 'qwen2.5-3b', weightBytes: 6.2e9, activeParameters: 3.1e9, kvBytesPerToken: 2 * 36 * 2 * 128 * 2 },
  { name: 'qwen2.5-1.5b', weightBytes: 3.1e9, activeParameters: 1.54e9, kvBytesPerToken: 2 * 28 * 2 * 128 * 2 },
  { name: 'qwen2.5-14b', weightBytes: 29.5e9, activeParameters: 14.7e9, kvBytesPerToken: 2 * 48 * 8 * 128 * 2 },
];

/** @throws TuttiError OPTION_INVALID for a name that there is not */
export function profileNamed(name: string): DeviceProfile {
  const found = PROFILES.find((profile) => profile.name === name);
  if (found) return found;
  throw new TuttiError(
    'OPTION_INVALID',
    `there is no device profile ${JSON.stringify(name)}; there are ${PROFILES.map((p) => p.name).join(', ')}`,
    { where: 'profile' },
  );
}

/** A profile as a file has it, checked. @throws TuttiError FILE_INVALID */
export function parseProfile(value: unknown, where: string): DeviceProfile {
  const fail = (what: string): never => {
    throw new TuttiError('FILE_INVALID', `${where} is not a device profile: ${what}`, { where });
  };
  if (typeof value !== 'object' || value === null) return fail('it must be an object');
  const given = value as Record<string, unknown>;
  const base = PROFILES[0]!;
  for (const name of Object.keys(base) as (keyof DeviceProfile)[]) {
    const own = given[name];
    if (typeof base[name] === 'string') {
      if (typeof own !== 'string') fail(`${name} must be a text`);
    } else if (typeof own !== 'number' || !Number.isFinite(own) || own < 0) {
      fail(`${name} must be a number of at least 0`);
    }
  }
  for (const name of ['memoryBytes', 'bytesPerSecond', 'operationsPerSecond', 'sequences', 'chunkTokens'] as const) {
    if (!((given[name] as number) > 0)) fail(`${name} must be above 0`);
  }
  const numbersOf = (own: unknown, what: string, names: readonly string[]): void => {
    if (typeof own !== 'object' || own === null) fail(`${what} must be an object`);
    for (const name of names) {
      const value = (own as Record<string, unknown>)[name];
      if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
        fail(`${what}.${name} must be a number of at least 0`);
    }
  };
  const { measured, models } = given;
  if (measured !== undefined) {
    if (typeof measured !== 'object' || measured === null) return fail('measured must be an object');
    for (const [name, cost] of Object.entries(measured))
      numbersOf(cost, `measured.${name}`, ['fixed', 'sequence', 'promptToken', 'context']);
  }
  if (models !== undefined) {
    if (!Array.isArray(models)) return fail('models must be a list');
    models.forEach((model: unknown, k) => {
      numbersOf(model, `models[${k}]`, ['weightBytes', 'activeParameters', 'kvBytesPerToken']);
      if (typeof (model as Record<string, unknown>)['name'] !== 'string') fail(`models[${k}].name must be a text`);
    });
  }
  return given as unknown as DeviceProfile;
}
