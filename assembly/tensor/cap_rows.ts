// Squashes values to +- cap: x <- cap tanh(x / cap). Threads share the elements.
import { expF32 } from './exp';

/** args: x, count, cap */
export function capRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const count = load<i32>(args, 4);
  const cap = load<f32>(args, 8);
  const to = <usize>((<i64>count * (thread + 1)) / threads) << 2;
  for (let i = <usize>((<i64>count * thread) / threads) << 2; i < to; i += 4) {
    store<f32>(x + i, cap * (<f32>1 - <f32>2 / (expF32((load<f32>(x + i) / cap) * <f32>2) + <f32>1)));
  }
}
