// silu(x + y), element by element. Threads share the elements.
import { expF32, expF32x4 } from '../tensor/exp';

/** args: x, y, out, count */
export function siluSum(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const y = load<u32>(args, 4);
  const out = load<u32>(args, 8);
  const count = load<i32>(args, 12);
  const to = <usize>((<i64>count * (thread + 1)) / threads) << 2;
  let i = <usize>((<i64>count * thread) / threads) << 2;
  const one = f32x4.splat(1);
  for (; i + 16 <= to; i += 16) {
    const sum = f32x4.add(v128.load(x + i), v128.load(y + i));
    v128.store(out + i, f32x4.div(sum, f32x4.add(one, expF32x4(f32x4.neg(sum)))));
  }
  for (; i < to; i += 4) {
    const sum = load<f32>(x + i) + load<f32>(y + i);
    store<f32>(out + i, sum / (<f32>1 + expF32(-sum)));
  }
}
