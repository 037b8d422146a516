// Products of rows of 16-bit numbers with the rows of quantised weights (host/kernels/tensor/weight-formats.ts). Rows are taken in pairs, which share the
// weights that are read; a result does not depend on the row beside it. Larger tiles are slower: V8 then runs out of registers. Threads share the rows of weights.

// @ts-ignore: decorator
@inline
function total(a: v128): f32 {
  return (
    f32x4.extract_lane(a, 0) + f32x4.extract_lane(a, 1) + (f32x4.extract_lane(a, 2) + f32x4.extract_lane(a, 3))
  );
}

/** Products of 32 weights with the numbers at x, times a scale. */
// @ts-ignore: decorator
@inline
function part(w0: v128, w1: v128, w2: v128, w3: v128, x: usize, scale: v128): v128 {
  const low = i32x4.add(i32x4.dot_i16x8_s(w0, v128.load(x)), i32x4.dot_i16x8_s(w1, v128.load(x, 16)));
  const high = i32x4.add(i32x4.dot_i16x8_s(w2, v128.load(x, 32)), i32x4.dot_i16x8_s(w3, v128.load(x, 48)));
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(low, high)), scale);
}

/** The same for 16. */
// @ts-ignore: decorator
@inline
function halfPart(w0: v128, w1: v128, x: usize, scale: v128): v128 {
  const sum = i32x4.add(i32x4.dot_i16x8_s(w0, v128.load(x)), i32x4.dot_i16x8_s(w1, v128.load(x, 16)));
  return f32x4.mul(f32x4.convert_i32x4_s(sum), scale);
}

/** The results of two rows as the first lanes of a vector. */
// @ts-ignore: decorator
@inline
function both(a: f32, b: f32): v128 {
  return f32x4.replace_lane(f32x4.splat(a), 1, b);
}

function q8One(w: usize, x: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let scale = w + inner;
  for (const end = scale; w < end; w += 32, x += 64, scale += 4) {
    const w0 = v128.load_ext<i8>(w);
    const w1 = v128.load_ext<i8>(w, 8);
    const w2 = v128.load_ext<i8>(w, 16);
    const w3 = v128.load_ext<i8>(w, 24);
    a = f32x4.add(a, part(w0, w1, w2, w3, x, v128.load32_splat(scale)));
  }
  return both(total(a), 0);
}

function q8Two(w: usize, x: usize, stride: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let b = a;
  let scale = w + inner;
  for (const end = scale; w < end; w += 32, x += 64, scale += 4) {
    const w0 = v128.load_ext<i8>(w);
    const w1 = v128.load_ext<i8>(w, 8);
    const w2 = v128.load_ext<i8>(w, 16);
    const w3 = v128.load_ext<i8>(w, 24);
    const d = v128.load32_splat(scale);
    a = f32x4.add(a, part(w0, w1, w2, w3, x, d));
    b = f32x4.add(b, part(w0, w1, w2, w3, x + stride, d));
  }
  return both(total(a), total(b));
}

function q4One(w: usize, x: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let scale = w + (inner >> 1);
  for (const end = scale; w < end; w += 16, x += 64, scale += 4) {
    const n = v128.load(w);
    const w0 = i16x8.shr_s(i16x8.shl(n, 12), 12);
    const w1 = i16x8.shr_s(i16x8.shl(n, 8), 12);
    const w2 = i16x8.shr_s(i16x8.shl(n, 4), 12);
    a = f32x4.add(a, part(w0, w1, w2, i16x8.shr_s(n, 12), x, v128.load32_splat(scale)));
  }
  return both(total(a), 0);
}

function q4Two(w: usize, x: usize, stride: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let b = a;
  let scale = w + (inner >> 1);
  for (const end = scale; w < end; w += 16, x += 64, scale += 4) {
    const n = v128.load(w);
    const w0 = i16x8.shr_s(i16x8.shl(n, 12), 12);
    const w1 = i16x8.shr_s(i16x8.shl(n, 8), 12);
    const w2 = i16x8.shr_s(i16x8.shl(n, 4), 12);
    const w3 = i16x8.shr_s(n, 12);
    const d = v128.load32_splat(scale);
    a = f32x4.add(a, part(w0, w1, w2, w3, x, d));
    b = f32x4.add(b, part(w0, w1, w2, w3, x + stride, d));
  }
  return both(total(a), total(b));
}

function q4kOne(w: usize, x: usize, inner: usize, sums: usize): v128 {
  let a = f32x4.splat(0);
  let subtract: f32 = 0;
  const mask = i16x8.splat(15);
  let head = w + (inner >> 1);
  for (const end = head; w < end; head += 24) {
    const d = load<f32>(head);
    const dMin = load<f32>(head, 4);
    for (let k: usize = 0; k < 8; k++, w += 16, x += 64, sums += 4) {
      const n = v128.load(w);
      const w0 = v128.and(n, mask);
      const w1 = v128.and(i16x8.shr_u(n, 4), mask);
      const w2 = v128.and(i16x8.shr_u(n, 8), mask);
      const scale = f32x4.splat(d * <f32>load<u8>(head + k, 8));
      a = f32x4.add(a, part(w0, w1, w2, i16x8.shr_u(n, 12), x, scale));
      subtract += dMin * <f32>load<u8>(head + k, 16) * load<f32>(sums);
    }
  }
  return both(total(a) - subtract, 0);
}

function q4kTwo(w: usize, x: usize, stride: usize, inner: usize, sums: usize): v128 {
  let a = f32x4.splat(0);
  let b = a;
  let subtractA: f32 = 0;
  let subtractB: f32 = 0;
  const mask = i16x8.splat(15);
  let head = w + (inner >> 1);
  for (const end = head; w < end; head += 24) {
    const d = load<f32>(head);
    const dMin = load<f32>(head, 4);
    for (let k: usize = 0; k < 8; k++, w += 16, x += 64, sums += 4) {
      const n = v128.load(w);
      const w0 = v128.and(n, mask);
      const w1 = v128.and(i16x8.shr_u(n, 4), mask);
      const w2 = v128.and(i16x8.shr_u(n, 8), mask);
      const w3 = i16x8.shr_u(n, 12);
      const scale = f32x4.splat(d * <f32>load<u8>(head + k, 8));
      a = f32x4.add(a, part(w0, w1, w2, w3, x, scale));
      b = f32x4.add(b, part(w0, w1, w2, w3, x + stride, scale));
      const minimum = dMin * <f32>load<u8>(head + k, 16);
      subtractA += minimum * load<f32>(sums);
      subtractB += minimum * load<f32>(sums + (inner >> 3));
    }
  }
  return both(total(a) - subtractA, total(b) - subtractB);
}

function q6kOne(w: usize, x: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let head = w + inner;
  for (const end = head; w < end; head += 20) {
    const d = load<f32>(head);
    for (let k: usize = 0; k < 16; k++, w += 16, x += 32) {
      const scale = f32x4.splat(d * <f32>load<i8>(head + k, 4));
      a = f32x4.add(a, halfPart(v128.load_ext<i8>(w), v128.load_ext<i8>(w, 8), x, scale));
    }
  }
  return both(total(a), 0);
}

function q6kTwo(w: usize, x: usize, stride: usize, inner: usize): v128 {
  let a = f32x4.splat(0);
  let b = a;
  let head = w + inner;
  for (const end = head; w < end; head += 20) {
    const d = load<f32>(head);
    for (let k: usize = 0; k < 16; k++, w += 16, x += 32) {
      const w0 = v128.load_ext<i8>(w);
      const w1 = v128.load_ext<i8>(w, 8);
      const scale = f32x4.splat(d * <f32>load<i8>(head + k, 4));
      a = f32x4.add(a, halfPart(w0, w1, x, scale));
      b = f32x4.add(b, halfPart(w0, w1, x + stride, scale));
    }
  }
  return both(total(a), total(b));
}

const Q8 = 0;
const Q4 = 1;
const Q4K = 2;
const Q6K = 3;

// @ts-ignore: decorator
@inline
function rowBytes(format: i32, inner: usize): usize {
  if (format == Q8) return (inner >> 5) * 36;
  if (format == Q4) return (inner >> 5) * 20;
  return format == Q4K ? (inner >> 8) * 152 : (inner >> 8) * 276;
}

// @ts-ignore: decorator
@inline
function put(target: usize, sum: f32, accumulate: bool): void {
  store<f32>(target, accumulate ? load<f32>(target) + sum : sum);
}

/** args: q, scales, sums, weights, y, rows, inner, outer, accumulate */
// @ts-ignore: decorator
@inline
function matmulBlocks(args: usize, thread: i32, threads: i32, format: i32): void {
  const q = load<u32>(args);
  const scales = load<u32>(args, 4);
  const sums = load<u32>(args, 8);
  const weights = load<u32>(args, 12);
  const y = load<u32>(args, 16);
  const rows = load<i32>(args, 20);
  const inner = <usize>load<i32>(args, 24);
  const outer = load<i32>(args, 28);
  const accumulate = load<i32>(args, 32) != 0;
  const bytes = rowBytes(format, inner);
  const stride = inner << 1;
  const to = <i32>((<i64>outer * (thread + 1)) / threads);
  for (let n = <i32>((<i64>outer * thread) / threads); n < to; n++) {
    const w = weights + <usize>n * bytes;
    let t = 0;
    for (; t + 1 < rows; t += 2) {
      const x = q + <usize>t * stride;
      let sum: v128;
      if (format == Q8) sum = q8Two(w, x, stride, inner);
      else if (format == Q4) sum = q4Two(w, x, stride, inner);
      else if (format == Q4K) sum = q4kTwo(w, x, stride, inner, sums + <usize>t * (inner >> 3));
      else sum = q6kTwo(w, x, stride, inner);
      const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
      put(target, f32x4.extract_lane(sum, 0) * load<f32>(scales + (<usize>t << 2)), accumulate);
      put(target + (<usize>outer << 2), f32x4.extract_lane(sum, 1) * load<f32>(scales + (<usize>t << 2), 4), accumulate);
    }
    if (t < rows) {
      const x = q + <usize>t * stride;
      let sum: v128;
      if (format == Q8) sum = q8One(w, x, inner);
      else if (format == Q4) sum = q4One(w, x, inner);
      else if (format == Q4K) sum = q4kOne(w, x, inner, sums + <usize>t * (inner >> 3));
      else sum = q6kOne(w, x, inner);
      const target = y + ((<usize>t * <usize>outer + <usize>n) << 2);
      put(target, f32x4.extract_lane(sum, 0) * load<f32>(scales + (<usize>t << 2)), accumulate);
    }
  }
}

export function matmulQ8(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulBlocks(args, thread, threads, Q8);
}

export function matmulQ4(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulBlocks(args, thread, threads, Q4);
}

export function matmulQ4K(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulBlocks(args, thread, threads, Q4K);
}

export function matmulQ6K(args: usize, step: i32, thread: i32, threads: i32): void {
  matmulBlocks(args, thread, threads, Q6K);
}
