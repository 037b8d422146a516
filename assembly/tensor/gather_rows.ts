// Rows of a table of weights, one for each id, as f32: a weight at a time, since rows are few. Threads share the rows.
import { fourWeights } from './matmul';

// @ts-ignore: decorator
@inline
function nibble(row: usize, i: usize): u32 {
  return <u32>load<u16>(row + ((i >> 5) << 4) + ((i & 7) << 1)) >> (<u32>((i & 31) >> 3) << 2);
}

/** Weight i of the row at `row`; the numbers of formats are those of host/kernels/tensor/weight-formats.ts, from q8 on. */
function weightAt(format: i32, row: usize, inner: usize, i: usize): f32 {
  if (format == 3) return <f32>load<i8>(row + i) * load<f32>(row + inner + ((i >> 5) << 2));
  if (format == 4) return <f32>(<i32>(nibble(row, i) << 28) >> 28) * load<f32>(row + (inner >> 1) + ((i >> 5) << 2));
  const part = (i >> 5) & 7;
  if (format == 5) {
    const head = row + (inner >> 1) + (i >> 8) * 24;
    const scale = load<f32>(head) * <f32>load<u8>(head + part, 8);
    return scale * <f32>(nibble(row, i) & 15) - load<f32>(head, 4) * <f32>load<u8>(head + part, 16);
  }
  const head = row + inner + (i >> 8) * 20;
  return load<f32>(head) * <f32>load<i8>(head + ((i >> 4) & 15), 4) * <f32>load<i8>(row + i);
}

// @ts-ignore: decorator
@inline
function rowBytes(format: i32, width: usize): usize {
  if (format == 0) return width << 2;
  if (format < 3) return width << 1;
  if (format == 3) return (width >> 5) * 36;
  if (format == 4) return (width >> 5) * 20;
  return format == 5 ? (width >> 8) * 152 : (width >> 8) * 276;
}

/** args: ids, table, out, rows, width, tableRows, format, scale */
export function gatherRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const ids = load<u32>(args);
  const table = load<u32>(args, 4);
  const out = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const width = <usize>load<i32>(args, 16);
  const tableRows = load<u32>(args, 20);
  const format = load<i32>(args, 24);
  const scale = load<f32>(args, 28);
  const bytes = rowBytes(format, width);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const id = load<u32>(ids + (<usize>t << 2));
    const target = out + <usize>t * (width << 2);
    if (id >= tableRows) {
      memory.fill(target, 0, width << 2);
      continue;
    }
    const row = table + <usize>id * bytes;
    if (format < 3) {
      const factor = f32x4.splat(scale);
      for (let i: usize = 0; i < width << 2; i += 16) {
        let four: v128;
        if (format == 0) four = fourWeights(0, row, i);
        else if (format == 1) four = fourWeights(1, row, i);
        else four = fourWeights(2, row, i);
        v128.store(target + i, f32x4.mul(four, factor));
      }
    } else {
      for (let i: usize = 0; i < width; i++) store<f32>(target + (i << 2), weightAt(format, row, width, i) * scale);
    }
  }
}
