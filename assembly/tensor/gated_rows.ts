// SwiGLU: gate <- silu(gate) * up.
import { expF32 } from './exp';

/** args: gate, up, count */
export function gatedRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const gate = load<u32>(args);
  const up = load<u32>(args, 4);
  const count = load<i32>(args, 8);
  const to = <usize>((<i64>count * (thread + 1)) / threads) << 2;
  for (let i = <usize>((<i64>count * thread) / threads) << 2; i < to; i += 4) {
    const g = load<f32>(gate + i);
    store<f32>(gate + i, (g / (<f32>1 + expF32(-g))) * load<f32>(up + i));
  }
}
