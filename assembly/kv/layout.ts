// Where the parts of a packed block lie, in bytes. The same as host/kernels/kv/block-layout.ts.

export const F32: i32 = 0;
export const F16: i32 = 1;
export const INT8: i32 = 2;
export const INT4: i32 = 3;

/** A pair of blocks with this number for either is skipped. */
export const NO_BLOCK: u32 = 0xffffffff;

// @ts-ignore: decorator
@inline
function upTo16(bytes: usize): usize {
  return (bytes + 15) & ~<usize>15;
}

/** Neighbouring kv heads whose values of a token share a scale in int4. */
export function headsPerGroup(kvHeads: i32, headSize: i32): i32 {
  return min(kvHeads, (31 + headSize) / headSize);
}
export function valueGroups(kvHeads: i32, headSize: i32): i32 {
  const heads = headsPerGroup(kvHeads, headSize);
  return (kvHeads + heads - 1) / heads;
}

export function valueScalesAt(format: i32, kvHeads: i32, headSize: i32): usize {
  return <usize>(format == INT8 ? kvHeads : kvHeads * headSize) << 2;
}
export function keysAt(format: i32, kvHeads: i32, headSize: i32, blockSize: i32): usize {
  if (format == INT8) return upTo16(<usize>kvHeads << 3);
  if (format == INT4) {
    return upTo16(<usize>(kvHeads * headSize + valueGroups(kvHeads, headSize) * blockSize) << 2);
  }
  return 0;
}

/** Bytes of `elements` values. */
export function packedBytes(format: i32, elements: usize): usize {
  return format == F32 ? elements << 2 : format == F16 ? elements << 1 : format == INT8 ? elements : elements >> 1;
}
export function valuesAt(format: i32, kvHeads: i32, headSize: i32, blockSize: i32): usize {
  return keysAt(format, kvHeads, headSize, blockSize) + packedBytes(format, <usize>(kvHeads * headSize * blockSize));
}
export function blockBytes(format: i32, kvHeads: i32, headSize: i32, blockSize: i32): usize {
  const end =
    valuesAt(format, kvHeads, headSize, blockSize) + packedBytes(format, <usize>(kvHeads * headSize * blockSize));
  if (format == INT8) return upTo16(end + (headSize & 7 ? 4 : 0));
  if (format == INT4) return upTo16(end + (headSize & 31 ? 12 : 0));
  return end;
}
