/** What is in a GGUF file: typed metadata, and tensors in blocks of a few elements. */

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** 64-bit numbers that a double holds exactly are numbers, others bigints. */
export type GgufValue = number | bigint | boolean | string | GgufNumbers | readonly GgufValue[];

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Numbers of metadata types in files. */
export const VALUE_TYPE = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

/** Number in files, elements to a block, bytes to a block. */
export const TENSOR_TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 36],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  BF16: [30, 1, 2],
} as const;

export type GgufTensorType = keyof typeof TENSOR_TYPES;

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Slowest dimension first, as everywhere in this project (files have it the other way round): a matrix is [rows, columns]. */
  readonly shape: readonly number[];
  /** In the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Bytes of so many elements; NaN where they do not fill whole blocks. */
export function tensorBytes(type: GgufTensorType, elements: number): number {
  const [, block, bytes] = TENSOR_TYPES[type];
  return elements % block === 0 ? (elements / block) * bytes : NaN;
}
