// A LIF population unrolled over the steps of a window, forward and backward, four neurons to a vector. State lies
// [step][sample][neuron]; threads split the samples.

/** First and one-past-last sample of this thread's share. */
// @ts-ignore: decorator
@inline
function shareBegin(batch: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>batch * thread) / threads);
}

/** args: current, v, count, steps, batch, neurons, threshold, leak, floorLeak */
export function lifForward(args: usize, step: i32, thread: i32, threads: i32): void {
  const current = load<u32>(args);
  const v = load<u32>(args, 4);
  const count = load<u32>(args, 8);
  const steps = load<i32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const threshold = f32x4.splat(load<f32>(args, 24));
  const leak = f32x4.splat(load<f32>(args, 28));
  const floorLeak = load<i32>(args, 32) != 0;
  const begin = shareBegin(batch, thread, threads);
  const end = shareBegin(batch, thread + 1, threads);
  const stepBytes = (<usize>batch * <usize>neurons) << 2;
  const one = f32x4.splat(1);
  for (let b = begin; b < end; b++) {
    const row = (<usize>b * <usize>neurons) << 2;
    for (let n: usize = 0; n < <usize>neurons << 2; n += 16) {
      let potential = f32x4.splat(0);
      let spikes = f32x4.splat(0);
      let at = row + n;
      for (let t = 0; t < steps; t++) {
        let lost = f32x4.mul(potential, leak);
        if (floorLeak) lost = f32x4.floor(lost);
        potential = f32x4.add(f32x4.sub(potential, lost), v128.load(current + at));
        v128.store(v + at, potential);
        const fired = f32x4.ge(potential, threshold);
        spikes = f32x4.add(spikes, v128.and(fired, one));
        potential = f32x4.sub(potential, v128.and(fired, threshold));
        at += stepBytes;
      }
      v128.store(count + row + n, spikes);
    }
  }
}

/** args: v, gradient, delta, steps, batch, neurons, threshold, leak, slope */
export function lifBackward(args: usize, step: i32, thread: i32, threads: i32): void {
  const v = load<u32>(args);
  const gradient = load<u32>(args, 4);
  const delta = load<u32>(args, 8);
  const steps = load<i32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const threshold = load<f32>(args, 24);
  const keep = f32x4.splat(<f32>1 - load<f32>(args, 28));
  const slope = f32x4.splat(load<f32>(args, 32) / threshold);
  const level = f32x4.splat(threshold);
  const begin = shareBegin(batch, thread, threads);
  const end = shareBegin(batch, thread + 1, threads);
  const stepBytes = (<usize>batch * <usize>neurons) << 2;
  const one = f32x4.splat(1);
  for (let b = begin; b < end; b++) {
    const row = (<usize>b * <usize>neurons) << 2;
    for (let n: usize = 0; n < <usize>neurons << 2; n += 16) {
      const upstream = v128.load(gradient + row + n);
      let carried = f32x4.splat(0);
      let at = row + n + <usize>steps * stepBytes;
      for (let t = steps - 1; t >= 0; t--) {
        at -= stepBytes;
        const distance = f32x4.add(one, f32x4.mul(slope, f32x4.abs(f32x4.sub(v128.load(v + at), level))));
        const surrogate = f32x4.div(one, f32x4.mul(distance, distance));
        carried = f32x4.add(f32x4.mul(carried, keep), f32x4.mul(upstream, surrogate));
        v128.store(delta + at, carried);
      }
    }
  }
}
