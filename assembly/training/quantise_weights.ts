// Weights rounded to the integers that the fixed-point engine will hold, kept as f32 so that the float kernels can train
// through them (straight-through estimator).

/** args: weights, quantised, count, inverseScale, limit */
export function quantiseWeights(args: usize, step: i32, thread: i32, threads: i32): void {
  const weights = load<u32>(args);
  const quantised = load<u32>(args, 4);
  const vectors = load<i32>(args, 8) >> 2;
  const inverseScale = f32x4.splat(load<f32>(args, 12));
  const limit = load<f32>(args, 16);
  const high = f32x4.splat(limit);
  const low = f32x4.splat(-limit);
  const from = <usize>((<i64>vectors * thread) / threads) << 4;
  const to = <usize>((<i64>vectors * (thread + 1)) / threads) << 4;
  for (let i = from; i < to; i += 16) {
    const rounded = f32x4.nearest(f32x4.mul(v128.load(weights + i), inverseScale));
    v128.store(quantised + i, f32x4.max(low, f32x4.min(high, rounded)));
  }
}
