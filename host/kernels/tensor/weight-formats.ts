/**
 * How weights lie on a device. A matrix is [outer] rows of `inner` weights, each row of whole 32-bit words:
 *
 * - `f32`, `f16`, `bf16`: the weights, one or two to a word;
 * - `q8`: blocks of 32: bytes, then (behind all blocks of the row) an f32 scale a block. `w = scale q`;
 * - `q4`: the same with 4-bit two's complement numbers;
 * - `q4k`: blocks of 256 in eight parts of 32: unsigned 4-bit numbers of all blocks, then a block's [d, dMin f32][8 scales u8][8 minima u8].
 *   `w = d scale q - dMin minimum`;
 * - `q6k`: blocks of 256 in 16 parts of 16: bytes (of -32 .. 31), then a block's [d f32][16 scales i8]. `w = d scale q`.
 *
 * 4-bit numbers come 32 in four words: 16-bit half j (of 8) holds elements j, 8 + j, 16 + j, 24 + j from the low bits up, so that vectors of
 * 16-bit numbers are shifts away. These are the numbers of ggml's Q8_0, Q4_0, Q4_K and Q6_K, in an order that vector units like.
 */
export const WEIGHT_FORMATS = { f32: 0, f16: 1, bf16: 2, q8: 3, q4: 4, q4k: 5, q6k: 6 } as const;

export type WeightFormat = keyof typeof WEIGHT_FORMATS;

/** Weights to a block; `inner` is a multiple of it (of 4 for the floats). */
export const FORMAT_BLOCK: Readonly<Record<WeightFormat, number>> = {
  ...{ f32: 4, f16: 4, bf16: 4, q8: 32, q4: 32, q4k: 256, q6k: 256 },
};

/** Words of a row. */
export function rowWords(format: WeightFormat, inner: number): number {
  if (format === 'f32') return inner;
  if (format === 'f16' || format === 'bf16') return inner / 2;
  if (format === 'q8') return (inner / 32) * 9;
  if (format === 'q4') return (inner / 32) * 5;
  return format === 'q4k' ? (inner / 256) * 38 : (inner / 256) * 69;
}

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** The f32 that a word is. */
export function floatOf(word: number): number {
  bits[0] = word;
  return float[0]!;
}

/** The word that an f32 is. */
export function wordOf(value: number): number {
  float[0] = value;
  return bits[0]!;
}

/** IEEE half precision. */
export function f16ToNumber(half: number): number {
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Place of element `i` of 32 in the 128 bits of 4-bit numbers: word and shift. */
export const nibblePlace = (i: number): readonly [number, number] => [(i & 7) >> 1, 16 * (i & 1) + 4 * (i >> 3)];

/** Number `i` of a row of 4-bit numbers, unsigned. */
export function nibbleAt(words: Uint32Array, row: number, i: number): number {
  const [word, shift] = nibblePlace(i & 31);
  return (words[row + 4 * (i >> 5) + word]! >>> shift) & 15;
}

export function byteAt(words: Uint32Array, row: number, i: number): number {
  return (words[row + (i >> 2)]! << (24 - 8 * (i & 3))) >> 24;
}

/** Weight `i` of the row that begins at word `row`: the definition that all bodies are held to, in f32. */
export function weightAt(format: WeightFormat, words: Uint32Array, row: number, inner: number, i: number): number {
  const f = Math.fround;
  switch (format) {
    case 'f32':
      return floatOf(words[row + i]!);
    case 'f16':
      return f16ToNumber((words[row + (i >> 1)]! >>> (16 * (i & 1))) & 0xffff);
    case 'bf16':
      return floatOf(((words[row + (i >> 1)]! >>> (16 * (i & 1))) & 0xffff) * 65536);
    case 'q8':
      return f(byteAt(words, row, i) * floatOf(words[row + inner / 4 + (i >> 5)]!));
    case 'q4':
      return f(((nibbleAt(words, row, i) << 28) >> 28) * floatOf(words[row + inner / 8 + (i >> 5)]!));
    case 'q4k': {
      const head = row + inner / 8 + 6 * (i >> 8);
      const part = (i >> 5) & 7;
      const scale = f(floatOf(words[head]!) * (byteAt(words, head + 2, part) & 255));
      const minimum = f(floatOf(words[head + 1]!) * (byteAt(words, head + 4, part) & 255));
      return f(f(scale * nibbleAt(words, row, i)) - minimum);
    }
    case 'q6k': {
      const head = row + inner / 4 + 5 * (i >> 8);
      const scale = f(floatOf(words[head]!) * byteAt(words, head + 1, (i >> 4) & 15));
      return f(scale * byteAt(words, row, i));
    }
  }
}
