// Gated activations: gate <- act(gate) * up. Threads share the elements.
import { expF32, expF32x4 } from './exp';

const SLOPE: f32 = -1.5957691216;
const CUBE: f32 = 0.044715;

/** args: gate, up, count, gelu */
export function gatedRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const gate = load<u32>(args);
  const up = load<u32>(args, 4);
  const count = load<i32>(args, 8);
  const gelu = load<i32>(args, 12) != 0;
  const to = <usize>((<i64>count * (thread + 1)) / threads) << 2;
  let i = <usize>((<i64>count * thread) / threads) << 2;
  const one = f32x4.splat(1);
  for (; i + 16 <= to; i += 16) {
    const g = v128.load(gate + i);
    const cube = f32x4.mul(f32x4.mul(f32x4.splat(CUBE), g), f32x4.mul(g, g));
    const power = gelu ? f32x4.mul(f32x4.splat(SLOPE), f32x4.add(g, cube)) : f32x4.neg(g);
    v128.store(gate + i, f32x4.mul(f32x4.div(g, f32x4.add(one, expF32x4(power))), v128.load(up + i)));
  }
  for (; i < to; i += 4) {
    const g = load<f32>(gate + i);
    const power = gelu ? SLOPE * (g + CUBE * g * (g * g)) : -g;
    store<f32>(gate + i, (g / (<f32>1 + expF32(power))) * load<f32>(up + i));
  }
}
