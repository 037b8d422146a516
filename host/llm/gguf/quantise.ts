/** f32 to the formats that files are written in, rounded as ggml rounds, to the bit. */
import { TuttiError } from '../../errors.js';
import { TENSOR_TYPES } from './types.js';

/** Formats that can be written. */
export type WritableType = 'F32' | 'F16' | 'Q8_0' | 'Q4_0';

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** IEEE half precision, to nearest, ties to even. */
export function f16Bits(value: number): number {
  float[0] = value;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude >= 0x7f80_0000) return sign | (magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477f_f000) return sign | 0x7c00; // rounds beyond 65504
  if (magnitude >= 0x3880_0000) {
    // A normal half: drop 13 bits; what carries over runs into the exponent, as it should.
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x3800_0000) >>> 13);
  }
  // Subnormal: the addition aligns the fraction at 2^-24 and rounds it.
  float[0] = Math.abs(value) + 0.5;
  return sign | (word[0]! - 0x3f00_0000);
}

type Encoder = (values: Float32Array, at: number, out: DataView, to: number) => void;

const encoders: Readonly<Record<Exclude<WritableType, 'F32'>, Encoder>> = {
  F16: (values, at, out, to) => out.setUint16(to, f16Bits(values[at]!), true),
  Q8_0(values, at, out, to) {
    let most = 0;
    for (let i = 0; i < 32; i++) most = Math.max(most, Math.abs(values[at + i]!));
    const scale = Math.fround(most / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    out.setUint16(to, f16Bits(scale), true);
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround(values[at + i]! * inverse);
      // Halves go away from zero.
      out.setInt8(to + 2 + i, scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5));
    }
  },
  Q4_0(values, at, out, to) {
    // The value that is farthest from zero becomes -8.
    let extreme = 0;
    for (let i = 0; i < 32; i++) if (Math.abs(values[at + i]!) > Math.abs(extreme)) extreme = values[at + i]!;
    const scale = Math.fround(extreme / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    out.setUint16(to, f16Bits(scale), true);
    for (let i = 0; i < 16; i++) {
      const low = Math.min(15, Math.trunc(values[at + i]! * inverse + 8.5));
      const high = Math.min(15, Math.trunc(values[at + 16 + i]! * inverse + 8.5));
      out.setUint8(to + 2 + i, low | (high << 4));
    }
  },
};

/**
 * `values` in a format: whole blocks.
 * @throws TuttiError FILE_INVALID for values that the format cannot hold, naming the tensor `name`
 */
export function quantise(values: Float32Array, type: WritableType, name = 'tensor'): Uint8Array {
  const fail = (what: string): never => {
    throw new TuttiError('FILE_INVALID', `tensor ${JSON.stringify(name)} ${what}`, { where: name });
  };
  const [, block, blockBytes] = TENSOR_TYPES[type];
  if (values.length % block !== 0) fail(`has ${values.length} values, not whole blocks of ${block} as ${type} needs`);
  if (type === 'F32') {
    const copy = new Uint8Array(values.byteLength);
    copy.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return copy;
  }
  // Scales of blocks are halves, too: 127 and 8 times as much is the most.
  const most = { F16: 65_504, Q8_0: 65_504 * 127, Q4_0: 65_504 * 8 }[type];
  for (let k = 0; k < values.length; k++)
    if (!(Math.abs(values[k]!) <= most)) fail(`holds ${values[k]}, which ${type} cannot; write it as f32`);
  const encode = encoders[type];
  const out = new Uint8Array((values.length / block) * blockBytes);
  const view = new DataView(out.buffer);
  for (let k = 0; k * block < values.length; k++) encode(values, k * block, view, k * blockBytes);
  return out;
}
