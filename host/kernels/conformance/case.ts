/**
 * A conformance case: one kernel, its scalars and the bytes of its buffers, made from a seed. `checkCase` runs it on a device
 * and on the oracle and compares everything that the kernel may write, and that it wrote nothing else.
 */
import { ELEMENT_BYTES, type Device, type DeviceBuffer, type KernelBody, type TypedView } from '../../device/device.js';

export interface KernelCase {
  readonly name: string;
  readonly kernel: KernelBody;
  readonly scalars: readonly number[];
  /** In the order of `kernel.buffers`; lengths are what the case wants, at least what the kernel needs. */
  readonly buffers: readonly TypedView[];
  readonly steps?: number;
  readonly firstStep?: number;
  /** Largest |difference| / max(1, |expected|) where a body may contract or reorder float operations (WGSL); Wasm is held to 0 unless `everywhere`. */
  readonly tolerance?: number;
  /** The tolerance holds for Wasm too (kernels with exp or log). */
  readonly everywhere?: boolean;
  /** For buffers of packed values: whether what a WGSL body wrote is near enough to what was wanted. Where it is not, elements are compared. */
  readonly near?: (buffer: string, got: TypedView, want: TypedView) => boolean;
}

/** Words behind each buffer that no kernel may touch. */
const GUARD_WORDS = 8;
const GUARD = 0x5a5a5a5a;

/** @returns undefined when the device agrees with the oracle, else what differs. */
export async function checkCase(device: Device, test: KernelCase): Promise<string | undefined> {
  const { kernel, scalars, steps = 1, firstStep = 0 } = test;
  const expected = test.buffers.map((view) => view.slice() as TypedView);
  for (let s = 0; s < steps; s++) kernel.oracle(expected, scalars, firstStep + s);

  const held: DeviceBuffer[] = [];
  try {
    test.buffers.forEach((view, i) => {
      const bytes = Math.ceil(view.byteLength / 4) * 4;
      const buffer = device.allocate(bytes + 4 * GUARD_WORDS, `${kernel.name}.${kernel.buffers[i]!.name}`);
      held.push(buffer);
      const padded = new Uint8Array(bytes + 4 * GUARD_WORDS);
      new Uint32Array(padded.buffer).fill(GUARD, bytes / 4);
      padded.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      device.write(buffer, padded);
    });
    await device.run([{ kernel, buffers: held, scalars }], { steps, firstStep });
    for (let i = 0; i < held.length; i++) {
      const param = kernel.buffers[i]!;
      const bytes = await device.read(held[i]!);
      const want = expected[i]!;
      const guards = new Uint32Array(bytes, Math.ceil(want.byteLength / 4) * 4);
      if (guards.some((word) => word !== GUARD)) return `${test.name}: ${param.name} was written past its end`;
      const got = new (want.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => TypedView)(
        bytes,
        0,
        want.byteLength / ELEMENT_BYTES[param.type],
      );
      const exact =
        param.type !== 'f32' || param.access === 'read' || (device.kind === 'wasm' && test.everywhere !== true);
      const tolerance = exact ? 0 : (test.tolerance ?? 0);
      if (device.kind !== 'wasm' && test.near?.(param.name, got, want)) continue;
      for (let k = 0; k < want.length; k++) {
        const [a, b] = [got[k]!, want[k]!];
        if (a === b || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b))) continue;
        return `${test.name} on ${device.id}: ${param.name}[${k}] is ${a}, the oracle says ${b} (scalars ${scalars.join(', ')})`;
      }
    }
    return undefined;
  } finally {
    held.forEach((buffer) => buffer.release());
  }
}
