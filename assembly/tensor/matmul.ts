// Products of rows with the rows of a weight matrix. A sum is sixteen sums of every sixteenth product each, whatever else is computed beside it,
// so a row's results do not depend on the rows around it. Threads share the rows of weights.

// @ts-ignore: decorator
@inline
function total(a: v128, b: v128, c: v128, d: v128): f32 {
  const sums = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
  return (
    f32x4.extract_lane(sums, 0) +
    f32x4.extract_lane(sums, 1) +
    (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3))
  );
}

/** args: x, weights, y, rows, inner, outer, accumulate */
export function matmulF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const weights = load<u32>(args, 4);
  const y = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const inner = load<i32>(args, 16);
  const outer = load<i32>(args, 20);
  const accumulate = load<i32>(args, 24) != 0;
  const bytes = <usize>inner << 2;
  const whole = bytes & ~<usize>63;
  const from = <i32>((<i64>outer * thread) / threads);
  const to = <i32>((<i64>outer * (thread + 1)) / threads);
  const zero = f32x4.splat(0);
  for (let n = from; n < to; n++) {
    const w = weights + <usize>n * bytes;
    for (let t = 0; t < rows; t++) {
      const v = x + <usize>t * bytes;
      let a = zero;
      let b = zero;
      let c = zero;
      let d = zero;
      for (let i: usize = 0; i < whole; i += 64) {
        a = f32x4.add(a, f32x4.mul(v128.load(v + i), v128.load(w + i)));
        b = f32x4.add(b, f32x4.mul(v128.load(v + i, 16), v128.load(w + i, 16)));
        c = f32x4.add(c, f32x4.mul(v128.load(v + i, 32), v128.load(w + i, 32)));
        d = f32x4.add(d, f32x4.mul(v128.load(v + i, 48), v128.load(w + i, 48)));
      }
      if (whole < bytes) a = f32x4.add(a, f32x4.mul(v128.load(v + whole), v128.load(w + whole)));
      if (whole + 16 < bytes) b = f32x4.add(b, f32x4.mul(v128.load(v + whole, 16), v128.load(w + whole, 16)));
      if (whole + 32 < bytes) c = f32x4.add(c, f32x4.mul(v128.load(v + whole, 32), v128.load(w + whole, 32)));
      const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
      const sum = total(a, b, c, d);
      store<f32>(target, accumulate ? load<f32>(target) + sum : sum);
    }
  }
}
