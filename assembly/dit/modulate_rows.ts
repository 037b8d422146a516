// Modulated layer norm. Threads share the rows; four sums, of every fourth element each.

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/** args: x, modulation, y, rows, width, tokens, stride, shiftFirst, scaleFirst, epsilon */
export function modulateRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const modulation = load<u32>(args, 4);
  const y = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const tokens = load<i32>(args, 20);
  const stride = load<i32>(args, 24);
  const shiftFirst = load<i32>(args, 28);
  const scaleFirst = load<i32>(args, 32);
  const epsilon = load<f32>(args, 36);
  const bytes = <usize>width << 2;
  const one = f32x4.splat(1);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const from = x + <usize>t * bytes;
    const target = y + <usize>t * bytes;
    const sequence = modulation + (<usize>((t / tokens) * stride) << 2);
    const shift = sequence + (<usize>shiftFirst << 2);
    const scale = sequence + (<usize>scaleFirst << 2);
    let sums = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) sums = f32x4.add(sums, v128.load(from + i));
    const mean = f32x4.splat(total(sums) / <f32>width);
    sums = f32x4.splat(0);
    for (let i: usize = 0; i < bytes; i += 16) {
      const off = f32x4.sub(v128.load(from + i), mean);
      sums = f32x4.add(sums, f32x4.mul(off, off));
    }
    const factor = f32x4.splat(<f32>1 / sqrt<f32>(total(sums) / <f32>width + epsilon));
    for (let i: usize = 0; i < bytes; i += 16) {
      const normed = f32x4.mul(f32x4.sub(v128.load(from + i), mean), factor);
      const scaled = f32x4.mul(normed, f32x4.add(one, v128.load(scale + i)));
      v128.store(target + i, f32x4.add(scaled, v128.load(shift + i)));
    }
  }
}
