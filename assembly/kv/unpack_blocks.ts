// Blocks of a pool back to f32. Threads share the heads of keys and values.
import { gridScales, gridZeros, loadHalves } from './half';
import {
  F16,
  F32,
  INT4,
  INT8,
  NO_BLOCK,
  blockBytes,
  headsPerGroup,
  keysAt,
  packedBytes,
  valueScalesAt,
} from './layout';

/** args: pool, pairs, out, count, kvHeads, headSize, blockSize */
export function kvUnpackF32(args: usize, step: i32, thread: i32, threads: i32): void {
  unpack(args, thread, threads, F32);
}
/** args as kvUnpackF32's */
export function kvUnpackF16(args: usize, step: i32, thread: i32, threads: i32): void {
  unpack(args, thread, threads, F16);
}
/** args as kvUnpackF32's */
export function kvUnpackInt8(args: usize, step: i32, thread: i32, threads: i32): void {
  unpack(args, thread, threads, INT8);
}
/** args as kvUnpackF32's */
export function kvUnpackInt4(args: usize, step: i32, thread: i32, threads: i32): void {
  unpack(args, thread, threads, INT4);
}

function unpack(args: usize, thread: i32, threads: i32, format: i32): void {
  const pool = load<u32>(args);
  const pairs = load<u32>(args, 4);
  const out = load<u32>(args, 8);
  const count = load<i32>(args, 12);
  const kvHeads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const blockSize = load<i32>(args, 24);
  const elements = <usize>(blockSize * headSize);
  const bytes = blockBytes(format, kvHeads, headSize, blockSize);
  const keys = keysAt(format, kvHeads, headSize, blockSize);
  const group = packedBytes(format, elements);
  const parts = 2 * kvHeads;
  const items = count * parts;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const k = item / parts;
    const from = load<u32>(pairs + (<usize>k << 3));
    const into = load<u32>(pairs + (<usize>k << 3), 4);
    if (from == NO_BLOCK || into == NO_BLOCK) continue;
    const g = item - k * parts;
    const start = pool + <usize>from * bytes;
    const source = start + keys + <usize>g * group;
    const target = out + ((<usize>into * parts + g) * elements << 2);
    if (format == F32) memory.copy(target, source, group);
    else if (format == F16) fromHalves(source, target, group);
    else if (format == INT8) fromBytes(source, target, group, load<f32>(start + (<usize>g << 2)));
    else if (g < kvHeads) keysFromNibbles(source, start + (<usize>(g * headSize) << 2), target, headSize, blockSize);
    else {
      const h = (g - kvHeads) / headsPerGroup(kvHeads, headSize);
      const scales = start + valueScalesAt(INT4, kvHeads, headSize) + (<usize>(h * blockSize) << 2);
      valuesFromNibbles(source, scales, target, headSize, blockSize);
    }
  }
}

function fromHalves(source: usize, target: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 8) v128.store(target + 2 * i, loadHalves(source + i));
}

function fromBytes(source: usize, target: usize, bytes: usize, scale: f32): void {
  const by = f32x4.splat(scale);
  let i: usize = 0;
  for (; i + 8 <= bytes; i += 8, target += 32) {
    const words = v128.load8x8_s(source + i);
    v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)), by));
    v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words)), by), 16);
  }
  if (i < bytes) {
    const words = i16x8.extend_low_i8x16_s(v128.load32_zero(source + i));
    v128.store(target, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)), by));
  }
}

/** Scale times the sum of zero and the nibble in bits `shift` on of each lane. */
// @ts-ignore: decorator
@inline
function number(words: v128, shift: i32, scale: v128, zero: v128): v128 {
  const q = f32x4.convert_i32x4_s(v128.and(i32x4.shr_u(words, shift), i32x4.splat(15)));
  return f32x4.mul(scale, f32x4.add(zero, q));
}

function keysFromNibbles(source: usize, scales: usize, target: usize, headSize: i32, blockSize: i32): void {
  const row = <usize>headSize << 2;
  const quarter = row >> 2;
  const whole = quarter & ~<usize>15;
  for (let j = 0; j < blockSize; j++, target += row) {
    for (let i: usize = 0; i < whole; i += 16, source += 8) {
      const words = v128.load16x4_u(source);
      for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
        const grids = v128.load(scales + c);
        v128.store(target + c, number(words, <i32>(4 * n), gridScales(grids), gridZeros(grids)));
      }
    }
    for (let i = whole; i < quarter; i += 4, source += 2) {
      const words = i32x4.splat(load<u16>(source));
      for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
        const grids = v128.load32_zero(scales + c);
        const x = number(words, <i32>(4 * n), gridScales(grids), gridZeros(grids));
        v128.store32_lane(target + c, x, 0);
      }
    }
  }
}

function valuesFromNibbles(source: usize, scales: usize, target: usize, headSize: i32, blockSize: i32): void {
  const row = <usize>headSize << 2;
  const quarter = row >> 2;
  const whole = quarter & ~<usize>15;
  for (let j = 0; j < blockSize; j++, target += row, scales += 4) {
    const grid = v128.load32_splat(scales);
    const scale = gridScales(grid);
    const zero = gridZeros(grid);
    for (let i: usize = 0; i < whole; i += 16, source += 8) {
      const words = v128.load16x4_u(source);
      for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
        v128.store(target + c, number(words, <i32>(4 * n), scale, zero));
      }
    }
    for (let i = whole; i < quarter; i += 4, source += 2) {
      const words = i32x4.splat(load<u16>(source));
      for (let n: usize = 0, c = i; n < 4; n++, c += quarter) {
        v128.store32_lane(target + c, number(words, <i32>(4 * n), scale, zero), 0);
      }
    }
  }
}
