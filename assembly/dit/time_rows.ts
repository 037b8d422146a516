// Cosines and sines of times; operation for operation those of host/kernels/dit/sinusoid.ts. Threads share the frequencies.

// @ts-ignore: decorator
@inline
function turn(r: f32, quadrant: i32): f32 {
  const z: f32 = r * r;
  let value: f32;
  if (quadrant & 1) {
    const p: f32 = (<f32>2.443315711809948e-5 * z + <f32>-1.388731625493765e-3) * z + <f32>4.166664568298827e-2;
    value = p * z * z - <f32>0.5 * z + <f32>1;
  } else {
    const p: f32 = (<f32>-1.9515295891e-4 * z + <f32>8.3321608736e-3) * z + <f32>-1.6666654611e-1;
    value = p * z * r + r;
  }
  return quadrant & 2 ? -value : value;
}

/** args: schedule, frequencies, out, sequences, images, half, after, steps, origin, span */
export function timeRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const schedule = load<u32>(args);
  const frequencies = load<u32>(args, 4);
  const out = load<u32>(args, 8);
  const sequences = load<i32>(args, 12);
  const images = load<i32>(args, 16);
  const half = load<i32>(args, 20);
  const after = load<i32>(args, 24);
  const steps = load<i32>(args, 28);
  const origin = load<i32>(args, 32);
  const span = load<f32>(args, 36);
  const row = min(max(step - origin, 0), steps - 1) * images;
  const from = <i32>((<i64>half * thread) / threads);
  const to = <i32>((<i64>half * (thread + 1)) / threads);
  for (let s = 0; s < sequences; s++) {
    const time: f32 = load<f32>(schedule + (<usize>(row + (s % images)) << 4) + (<usize>after << 2)) * span;
    const target = out + (<usize>(s * 2 * half) << 2);
    for (let k = from; k < to; k++) {
      const x: f32 = time * load<f32>(frequencies + (<usize>k << 2));
      const n: f32 = x * <f32>0.6366197723675814 + <f32>12582912 - <f32>12582912;
      const r: f32 =
        x - n * <f32>1.5703125 - n * <f32>4.837512969970703e-4 - n * <f32>7.54978995489188e-8;
      store<f32>(target + (<usize>k << 2), turn(r, (<i32>n + 1) & 3));
      store<f32>(target + (<usize>(half + k) << 2), turn(r, <i32>n & 3));
    }
  }
}
