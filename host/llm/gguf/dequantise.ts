/** Tensors of model files as f32. The layouts are those of ggml. */
import { TuttiError } from '../../errors.js';
import { TENSOR_TYPES, type GgufTensor, type GgufTensorType } from './types.js';

type Decoder = (view: DataView, at: number, out: Float32Array, to: number) => void;

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** IEEE half precision. */
export function f16(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

const half = (view: DataView, at: number): number => f16(view.getUint16(at, true));

/** The 6-bit scale and minimum j of 8 in the 12 bytes of a K block. */
function scaleAndMinimum(view: DataView, at: number, j: number): [number, number] {
  const byte = (k: number): number => view.getUint8(at + k);
  return j < 4
    ? [byte(j) & 63, byte(j + 4) & 63]
    : [(byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

const decoders: Partial<Record<GgufTensorType, Decoder>> = {
  F32: (view, at, out, to) => (out[to] = view.getFloat32(at, true)),
  F16: (view, at, out, to) => (out[to] = half(view, at)),
  BF16(view, at, out, to) {
    word[0] = view.getUint16(at, true) << 16;
    out[to] = float[0]!;
  },
  Q8_0(view, at, out, to) {
    const scale = half(view, at);
    for (let i = 0; i < 32; i++) out[to + i] = scale * view.getInt8(at + 2 + i);
  },
  Q4_0(view, at, out, to) {
    const scale = half(view, at);
    for (let i = 0; i < 16; i++) {
      const byte = view.getUint8(at + 2 + i);
      out[to + i] = scale * ((byte & 15) - 8);
      out[to + 16 + i] = scale * ((byte >> 4) - 8);
    }
  },
  Q4_K(view, at, out, to) {
    const [scale, minimum] = [half(view, at), half(view, at + 2)];
    for (let j = 0; j < 8; j++) {
      const [s, m] = scaleAndMinimum(view, at + 4, j);
      for (let i = 0; i < 32; i++) {
        const byte = view.getUint8(at + 16 + 32 * (j >> 1) + i);
        out[to + 32 * j + i] = scale * s * (j & 1 ? byte >> 4 : byte & 15) - minimum * m;
      }
    }
  },
  Q6_K(view, at, out, to) {
    const scale = half(view, at + 208);
    for (let i = 0; i < 256; i++) {
      const [part, rest] = [i >> 7, i & 127];
      const [quarter, place] = [rest >> 5, rest & 31];
      const low = view.getUint8(at + 64 * part + 32 * (quarter & 1) + place);
      const high = view.getUint8(at + 128 + 32 * part + place);
      const q = ((quarter < 2 ? low & 15 : low >> 4) | (((high >> (2 * quarter)) & 3) << 4)) - 32;
      out[to + i] = scale * view.getInt8(at + 192 + 8 * part + 2 * quarter + (place >> 4)) * q;
    }
  },
};

/** @throws TuttiError FILE_INVALID for element types that cannot be read as numbers here */
export function dequantise(
  tensor: Pick<GgufTensor, 'name' | 'type' | 'shape' | 'bytes'>,
  bytes: Uint8Array,
): Float32Array {
  const decode = decoders[tensor.type];
  if (!decode) {
    throw new TuttiError(
      'FILE_INVALID',
      `tensor ${JSON.stringify(tensor.name)} is ${tensor.type}; only ${Object.keys(decoders).join(', ')} are read`,
      { where: tensor.name },
    );
  }
  if (tensor.type === 'F32') return new Float32Array(bytes.slice(0, tensor.bytes).buffer);
  const [, block, blockBytes] = TENSOR_TYPES[tensor.type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const blocks = tensor.bytes / blockBytes;
  const out = new Float32Array(blocks * block);
  for (let k = 0; k < blocks; k++) decode(view, k * blockBytes, out, k * block);
  return out;
}
