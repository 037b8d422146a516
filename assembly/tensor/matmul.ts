// Products of rows with the rows of a weight matrix. A sum is sixteen sums of every sixteenth product each, whatever else is computed beside it,
// so a row's results do not depend on the rows around it. Rows are taken in pairs, which share the weights that are read. Threads share the rows of weights.

const F32 = 0;
const F16 = 1;
const BF16 = 2;

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

/** Four weights, from their place counted in f32 bytes. */
// @ts-ignore: decorator
@inline
export function fourWeights(format: i32, row: usize, i: usize): v128 {
  if (format == F32) return v128.load(row + i);
  if (format == BF16) return i32x4.shl(v128.load_ext<u16>(row + (i >> 1)), 16);
  // Half precision: exponent and fraction in their places, off by 2^112, which one multiplication puts right, subnormals too.
  const half = i32x4.shl(v128.load_ext<i16>(row + (i >> 1)), 13);
  return f32x4.mul(v128.and(half, i32x4.splat(0x8fffe000)), f32x4.splat(5.192296858534828e33));
}

// @ts-ignore: decorator
@inline
function one(format: i32, w: usize, x: usize, bytes: usize): f32 {
  const whole = bytes & ~<usize>63;
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (let i: usize = 0; i < whole; i += 64) {
    a = f32x4.add(a, f32x4.mul(v128.load(x + i), fourWeights(format, w, i)));
    b = f32x4.add(b, f32x4.mul(v128.load(x + i, 16), fourWeights(format, w, i + 16)));
    c = f32x4.add(c, f32x4.mul(v128.load(x + i, 32), fourWeights(format, w, i + 32)));
    d = f32x4.add(d, f32x4.mul(v128.load(x + i, 48), fourWeights(format, w, i + 48)));
  }
  if (whole < bytes) a = f32x4.add(a, f32x4.mul(v128.load(x + whole), fourWeights(format, w, whole)));
  if (whole + 16 < bytes) b = f32x4.add(b, f32x4.mul(v128.load(x + whole, 16), fourWeights(format, w, whole + 16)));
  if (whole + 32 < bytes) c = f32x4.add(c, f32x4.mul(v128.load(x + whole, 32), fourWeights(format, w, whole + 32)));
  return total(a, b, c, d);
}

// @ts-ignore: decorator
@inline
function two(format: i32, w: usize, x: usize, bytes: usize): v128 {
  const whole = bytes & ~<usize>63;
  const z = x + bytes;
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  let e = a;
  let f = a;
  let g = a;
  let h = a;
  for (let i: usize = 0; i < whole; i += 64) {
    let v = fourWeights(format, w, i);
    a = f32x4.add(a, f32x4.mul(v128.load(x + i), v));
    e = f32x4.add(e, f32x4.mul(v128.load(z + i), v));
    v = fourWeights(format, w, i + 16);
    b = f32x4.add(b, f32x4.mul(v128.load(x + i, 16), v));
    f = f32x4.add(f, f32x4.mul(v128.load(z + i, 16), v));
    v = fourWeights(format, w, i + 32);
    c = f32x4.add(c, f32x4.mul(v128.load(x + i, 32), v));
    g = f32x4.add(g, f32x4.mul(v128.load(z + i, 32), v));
    v = fourWeights(format, w, i + 48);
    d = f32x4.add(d, f32x4.mul(v128.load(x + i, 48), v));
    h = f32x4.add(h, f32x4.mul(v128.load(z + i, 48), v));
  }
  if (whole < bytes) {
    const v = fourWeights(format, w, whole);
    a = f32x4.add(a, f32x4.mul(v128.load(x + whole), v));
    e = f32x4.add(e, f32x4.mul(v128.load(z + whole), v));
  }
  if (whole + 16 < bytes) {
    const v = fourWeights(format, w, whole + 16);
    b = f32x4.add(b, f32x4.mul(v128.load(x + whole, 16), v));
    f = f32x4.add(f, f32x4.mul(v128.load(z + whole, 16), v));
  }
  if (whole + 32 < bytes) {
    const v = fourWeights(format, w, whole + 32);
    c = f32x4.add(c, f32x4.mul(v128.load(x + whole, 32), v));
    g = f32x4.add(g, f32x4.mul(v128.load(z + whole, 32), v));
  }
  return f32x4.replace_lane(f32x4.splat(total(a, b, c, d)), 1, total(e, f, g, h));
}

/** args: x, weights, y, rows, inner, outer, accumulate */
// @ts-ignore: decorator
@inline
function matmulRows(args: usize, thread: i32, threads: i32, format: i32): void {
  const x = load<u32>(args);
  const weights = load<u32>(args, 4);
  const y = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const bytes = <usize>load<i32>(args, 16) << 2;
  const outer = load<i32>(args, 20);
  const accumulate = load<i32>(args, 24) != 0;
  const to = <i32>((<i64>outer * (thread + 1)) / threads);
  for (let n = <i32>((<i64>outer * thread) / threads); n < to; n++) {
    const w = weights + <usize>n * (format == F32 ? bytes : bytes >> 1);
    let t = 0;
    for (; t + 1 < rows; t += 2) {
      const sum = two(format, w, x + <usize>t * bytes, bytes);
      const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
      const next = target + (<usize>outer << 2);
      const a = f32x4.extract_lane(sum, 0);
      const b = f32x4.extract_lane(sum, 1);
      store<f32>(target, accumulate ? load<f32>(target) + a : a);
      store<f32>(next, accumulate ? load<f32>(next) + b : b);
    }
    if (t < rows) {
      const sum = one(format, w, x + <usize>t * bytes, bytes);
      const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
      store<f32>(target, accumulate ? load<f32>(target) + sum : sum);
    }
  }
}

export function matmulF32(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulRows(args, thread, threads, F32);
}

export function matmulF16(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulRows(args, thread, threads, F16);
}

export function matmulBf16(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulRows(args, thread, threads, BF16);
}
