/**
 * Turns one declaration into one typed kernel function. Calling it checks names, types and buffer sizes and returns a
 * `KernelCall`; nothing runs until a device is given the call.
 */
import { TuttiError } from '../errors.js';
import {
  ELEMENT_BYTES,
  type DeviceBuffer,
  type ElementType,
  type KernelBody,
  type KernelCall,
  type ScalarType,
  type TypedView,
  type WasmModuleSource,
  type WgslVariant,
} from '../device/device.js';

type Access = 'read' | 'read-write';

export type BufferDeclarations = Readonly<Record<string, readonly [type: ElementType, access: Access]>>;
export type ScalarDeclarations = Readonly<Record<string, ScalarType>>;

interface ViewOf {
  readonly f32: Float32Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i8: Int8Array;
}

export type OracleArgs<B extends BufferDeclarations, S extends ScalarDeclarations> = {
  readonly [K in keyof B]: ViewOf[B[K][0]];
} & { readonly [K in keyof S]: number };

export type Scalars<S extends ScalarDeclarations> = { readonly [K in keyof S]: number };

export type KernelArgs<B extends BufferDeclarations, S extends ScalarDeclarations> = {
  readonly [K in keyof B]: DeviceBuffer;
} & { readonly [K in keyof S]: number };

export interface KernelDeclaration<B extends BufferDeclarations, S extends ScalarDeclarations> {
  /** The same in assembly/, gpu-kernels/ and here. */
  readonly name: string;
  readonly buffers: B;
  readonly scalars: S;
  readonly usesStep?: boolean;
  /** Smallest element count per buffer. */
  readonly elements: (scalars: Scalars<S>) => { readonly [K in keyof B]: number };
  readonly oracle: (args: OracleArgs<B, S>, step: number) => void;
  readonly wasm: WasmModuleSource;
  /** Best variant first; the last one must require nothing. */
  readonly wgsl: readonly WgslVariant[];
  readonly workgroups: (scalars: Scalars<S>, workgroupSize: number) => readonly [number, number, number];
  readonly workgroupSize?: number;
}

export interface Kernel<B extends BufferDeclarations, S extends ScalarDeclarations> {
  (args: KernelArgs<B, S>): KernelCall;
  readonly body: KernelBody;
}

export function defineKernel<const B extends BufferDeclarations, const S extends ScalarDeclarations>(
  declaration: KernelDeclaration<B, S>,
): Kernel<B, S> {
  const { name } = declaration;
  const bufferNames = Object.keys(declaration.buffers);
  const scalarNames = Object.keys(declaration.scalars);
  const named = (scalars: readonly number[]): Scalars<S> =>
    Object.fromEntries(scalarNames.map((key, i) => [key, scalars[i]])) as Scalars<S>;

  const body: KernelBody = {
    name,
    buffers: bufferNames.map((key) => ({
      name: key,
      type: declaration.buffers[key]![0],
      access: declaration.buffers[key]![1],
    })),
    scalars: scalarNames.map((key) => ({ name: key, type: declaration.scalars[key]! })),
    usesStep: declaration.usesStep ?? false,
    elements: (scalars) => {
      const counts = declaration.elements(named(scalars));
      return bufferNames.map((key) => counts[key as keyof B]);
    },
    oracle: (views, scalars, step) => {
      const args: Record<string, TypedView | number> = {};
      bufferNames.forEach((key, i) => (args[key] = views[i]!));
      scalarNames.forEach((key, i) => (args[key] = scalars[i]!));
      declaration.oracle(args as unknown as OracleArgs<B, S>, step);
    },
    wasm: { module: declaration.wasm },
    wgsl: {
      variants: declaration.wgsl,
      workgroups: (scalars, workgroupSize) => declaration.workgroups(named(scalars), workgroupSize),
      ...(declaration.workgroupSize === undefined ? {} : { workgroupSize: declaration.workgroupSize }),
    },
  };

  const call = (args: KernelArgs<B, S>): KernelCall => {
    const scalars = body.scalars.map((param) => {
      const value = (args as Readonly<Record<string, unknown>>)[param.name];
      if (typeof value !== 'number' || !scalarFits(value, param.type)) {
        throw new TuttiError(
          'KERNEL_ARGUMENT',
          `kernel ${name}: scalar "${param.name}" must be a ${param.type}, got ${String(value)}`,
          {
            where: `${name}.${param.name}`,
          },
        );
      }
      return value;
    });
    const least = body.elements(scalars);
    const buffers = body.buffers.map((param, i) => {
      const buffer = (args as Readonly<Record<string, unknown>>)[param.name] as DeviceBuffer | undefined;
      if (buffer === undefined || typeof buffer.bytes !== 'number') {
        throw new TuttiError('KERNEL_ARGUMENT', `kernel ${name}: buffer "${param.name}" is missing`, {
          where: `${name}.${param.name}`,
        });
      }
      const need = least[i]! * ELEMENT_BYTES[param.type];
      if (buffer.bytes < need) {
        throw new TuttiError(
          'KERNEL_ARGUMENT',
          `kernel ${name}: buffer "${param.name}" (${buffer.label}) holds ${buffer.bytes} B, these scalars need ${need} B (${least[i]} ${param.type})`,
          { where: `${name}.${param.name}`, facts: { need, bytes: buffer.bytes } },
        );
      }
      return buffer;
    });
    return { kernel: body, buffers, scalars };
  };
  return Object.assign(call, { body });
}

function scalarFits(value: number, type: ScalarType): boolean {
  if (type === 'f32') return !Number.isNaN(value);
  if (!Number.isInteger(value)) return false;
  return type === 'u32' ? value >= 0 && value <= 0xffffffff : value >= -0x80000000 && value <= 0x7fffffff;
}
