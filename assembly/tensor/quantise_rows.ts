// Rows of activations as 16-bit numbers with a scale each, and sums of 32 of them. Threads share the rows.

/** args: x, q, scales, sums, rows, inner */
export function quantiseRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const q = load<u32>(args, 4);
  const scales = load<u32>(args, 8);
  const sums = load<u32>(args, 12);
  const rows = load<i32>(args, 16);
  const inner = <usize>load<i32>(args, 20);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  const rounder = f32x4.splat(12582912);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const row = x + <usize>t * (inner << 2);
    let top = f32x4.splat(0);
    for (let i: usize = 0; i < inner << 2; i += 16) top = f32x4.max(top, f32x4.abs(v128.load(row + i)));
    const largest = max(
      max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
      max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
    );
    const exponent = reinterpret<u32>(largest) >> 23;
    const inverse = i32x4.splat(exponent <= 13 ? 0 : (267 - exponent) << 23);
    store<u32>(scales + (<usize>t << 2), exponent <= 13 ? 0 : (exponent - 13) << 23);
    let target = q + <usize>t * (inner << 1);
    let total = sums + <usize>t * (inner >> 3);
    for (let b: usize = 0; b < inner << 2; b += 128, target += 64, total += 4) {
      let sum = i32x4.splat(0);
      for (let k: usize = 0; k < 4; k++) {
        // The low bits of a number that the rounder was added to are the whole number, less the rounder's own bits.
        const low = i32x4.sub(f32x4.add(f32x4.mul(v128.load(row + b + (k << 5)), inverse), rounder), rounder);
        const high = i32x4.sub(f32x4.add(f32x4.mul(v128.load(row + b + (k << 5), 16), inverse), rounder), rounder);
        sum = i32x4.add(sum, i32x4.add(low, high));
        v128.store(target + (k << 4), i16x8.narrow_i32x4_s(low, high));
      }
      store<f32>(
        total,
        <f32>(
          (i32x4.extract_lane(sum, 0) +
            i32x4.extract_lane(sum, 1) +
            (i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)))
        ),
      );
    }
  }
}
