// Adam with decoupled weight decay and a mask for pruned synapses.

/** args: weights, gradient, first, second, mask, count, rate, beta1, beta2, correction1, correction2, decay */
export function adamStep(args: usize, step: i32, thread: i32, threads: i32): void {
  const weights = load<u32>(args);
  const gradient = load<u32>(args, 4);
  const first = load<u32>(args, 8);
  const second = load<u32>(args, 12);
  const mask = load<u32>(args, 16);
  const vectors = load<i32>(args, 20) >> 2;
  const rate = f32x4.splat(load<f32>(args, 24));
  const beta1 = load<f32>(args, 28);
  const beta2 = load<f32>(args, 32);
  const keep1 = f32x4.splat(beta1);
  const keep2 = f32x4.splat(beta2);
  const take1 = f32x4.splat(<f32>1 - beta1);
  const take2 = f32x4.splat(<f32>1 - beta2);
  const correction1 = f32x4.splat(load<f32>(args, 36));
  const correction2 = f32x4.splat(load<f32>(args, 40));
  const decay = f32x4.splat(load<f32>(args, 44));
  const epsilon = f32x4.splat(1e-8);
  const from = <usize>((<i64>vectors * thread) / threads) << 4;
  const to = <usize>((<i64>vectors * (thread + 1)) / threads) << 4;
  for (let i = from; i < to; i += 16) {
    const g = v128.load(gradient + i);
    const m = f32x4.add(f32x4.mul(keep1, v128.load(first + i)), f32x4.mul(take1, g));
    const v = f32x4.add(f32x4.mul(keep2, v128.load(second + i)), f32x4.mul(take2, f32x4.mul(g, g)));
    v128.store(first + i, m);
    v128.store(second + i, v);
    const w = v128.load(weights + i);
    const direction = f32x4.div(
      f32x4.mul(m, correction1),
      f32x4.add(f32x4.sqrt(f32x4.mul(v, correction2)), epsilon),
    );
    const next = f32x4.sub(w, f32x4.mul(rate, f32x4.add(direction, f32x4.mul(decay, w))));
    v128.store(weights + i, f32x4.mul(next, v128.load(mask + i)));
  }
}
