/** Tensors of model files as the words that kernels read (host/kernels/tensor/weight-formats.ts): the same numbers, in an order for vector units. */
import { FORMAT_BLOCK, nibblePlace, rowWords, type WeightFormat } from '../../kernels/tensor/index.js';
import { TuttiError } from '../../errors.js';
import { f16 } from '../gguf/dequantise.js';
import type { GgufTensorType } from '../gguf/types.js';
import type { ModelTensor } from './model-file.js';

/** Types of files that stay what they are on the device. */
const STORED: Partial<Record<GgufTensorType, WeightFormat>> = {
  ...{ F32: 'f32', F16: 'f16', BF16: 'bf16', Q8_0: 'q8', Q4_0: 'q4', Q4_K: 'q4k', Q6_K: 'q6k' },
};

/** @throws TuttiError FILE_INVALID for a type that cannot be run, or rows that are no whole blocks */
export function formatOf({ name, type, shape }: ModelTensor): WeightFormat {
  const format = STORED[type];
  if (!format) {
    throw new TuttiError(
      'FILE_INVALID',
      `tensor ${JSON.stringify(name)} is ${type}; ${Object.keys(STORED).join(', ')} can be run: convert the model to one of them`,
      { where: name, facts: { type } },
    );
  }
  const inner = shape.at(-1)!;
  if (inner % FORMAT_BLOCK[format] !== 0) {
    throw new TuttiError(
      'FILE_INVALID',
      `tensor ${JSON.stringify(name)} has rows of ${inner}; multiples of ${FORMAT_BLOCK[format]} can be run as ${type}`,
      { where: name, facts: { inner } },
    );
  }
  return format;
}

/** A matrix [outer][inner] as [outer][rowWords]. */
export function packMatrix(tensor: ModelTensor, bytes: Uint8Array): Uint32Array {
  const format = formatOf(tensor);
  const inner = tensor.shape.at(-1)!;
  const outer = tensor.shape.slice(0, -1).reduce((product, n) => product * n, 1);
  const width = rowWords(format, inner);
  const words = new Uint32Array(outer * width);
  const out = new Uint8Array(words.buffer);
  if (format === 'f32' || format === 'f16' || format === 'bf16') {
    out.set(bytes);
    return words;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const floats = new Float32Array(words.buffer);
  const pack = PACKERS[format];
  for (let n = 0; n < outer; n++) pack(view, bytes, (n * bytes.length) / outer, inner, n * width, words, out, floats);
  return words;
}

/** One row, from byte `from` of the file to word `to`. */
type Packer = (
  view: DataView,
  bytes: Uint8Array,
  from: number,
  inner: number,
  to: number,
  words: Uint32Array,
  out: Uint8Array,
  floats: Float32Array,
) => void;

const PLACES = Array.from({ length: 32 }, (_, i) => nibblePlace(i));

/** 32 4-bit numbers into four words. */
function packNibbles(number: (i: number) => number, words: Uint32Array, to: number): void {
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < 32; i++) {
    const [word, shift] = PLACES[i]!;
    const bits = (number(i) & 15) << shift;
    if (word === 0) a |= bits;
    else if (word === 1) b |= bits;
    else if (word === 2) c |= bits;
    else d |= bits;
  }
  words[to] = a;
  words[to + 1] = b;
  words[to + 2] = c;
  words[to + 3] = d;
}

const PACKERS: Readonly<Record<'q8' | 'q4' | 'q4k' | 'q6k', Packer>> = {
  q8(view, bytes, from, inner, to, _, out, floats) {
    for (let b = 0; b < inner / 32; b++) {
      const at = from + 34 * b;
      floats[to + inner / 4 + b] = f16(view.getUint16(at, true));
      out.set(bytes.subarray(at + 2, at + 34), 4 * to + 32 * b);
    }
  },
  q4(view, bytes, from, inner, to, words, _, floats) {
    for (let b = 0; b < inner / 32; b++) {
      const at = from + 18 * b + 2;
      floats[to + inner / 8 + b] = f16(view.getUint16(at - 2, true));
      packNibbles((i) => (i < 16 ? bytes[at + i]! & 15 : bytes[at + i - 16]! >> 4) ^ 8, words, to + 4 * b);
    }
  },
  q4k(view, bytes, from, inner, to, words, out, floats) {
    for (let b = 0; b < inner / 256; b++) {
      const at = from + 144 * b;
      const head = to + inner / 8 + 6 * b;
      floats[head] = f16(view.getUint16(at, true));
      floats[head + 1] = f16(view.getUint16(at + 2, true));
      // Eight 6-bit scales and minima in twelve bytes.
      for (let j = 0; j < 8; j++) {
        const byte = (k: number): number => bytes[at + 4 + k]!;
        out[4 * head + 8 + j] = j < 4 ? byte(j) & 63 : (byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4);
        out[4 * head + 16 + j] = j < 4 ? byte(j + 4) & 63 : (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4);
      }
      for (let part = 0; part < 8; part++) {
        const numbers = at + 16 + 32 * (part >> 1);
        packNibbles((i) => bytes[numbers + i]! >> (part & 1 ? 4 : 0), words, to + 32 * b + 4 * part);
      }
    }
  },
  q6k(view, bytes, from, inner, to, _, out, floats) {
    for (let b = 0; b < inner / 256; b++) {
      const at = from + 210 * b;
      const head = to + inner / 4 + 5 * b;
      floats[head] = f16(view.getUint16(at + 208, true));
      out.set(bytes.subarray(at + 192, at + 208), 4 * head + 4);
      for (let i = 0; i < 256; i++) {
        const [half, quarter, place] = [i >> 7, (i >> 5) & 3, i & 31];
        const low = bytes[at + 64 * half + 32 * (quarter & 1) + place]!;
        const high = (bytes[at + 128 + 32 * half + place]! >> (2 * quarter)) & 3;
        out[4 * to + 256 * b + i] = ((quarter < 2 ? low & 15 : low >> 4) | (high << 4)) - 32;
      }
    }
  },
};
