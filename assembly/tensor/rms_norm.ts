// Root-mean-square normalisation of rows; four sums of squares, of every fourth element each.

/** args: x, weight, y, rows, width, epsilon */
export function rmsNormF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const weight = load<u32>(args, 4);
  const y = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const epsilon = load<f32>(args, 20);
  const bytes = <usize>width << 2;
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const from = x + <usize>t * bytes;
    const target = y + <usize>t * bytes;
    let squares = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) {
      const v = v128.load(from + i);
      squares = f32x4.add(squares, f32x4.mul(v, v));
    }
    const sum: f32 =
      f32x4.extract_lane(squares, 0) +
      f32x4.extract_lane(squares, 1) +
      (f32x4.extract_lane(squares, 2) + f32x4.extract_lane(squares, 3));
    const scale = f32x4.splat(<f32>1 / sqrt<f32>(sum / <f32>width + epsilon));
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(target + i, f32x4.mul(f32x4.mul(v128.load(from + i), scale), v128.load(weight + i)));
    }
  }
}
