// What a product may be followed by; operation for operation that of host/kernels/dit/activation.ts.
import { expF32x4 } from '../tensor/exp';

const SLOPE: f32 = -1.5957691216;
const CUBE: f32 = 0.044715;

export const NONE = 0;
export const GELU = 2;

// @ts-ignore: decorator
@inline
export function activate(x: v128, activation: i32): v128 {
  if (activation == NONE) return x;
  let power = f32x4.neg(x);
  if (activation == GELU) {
    const cube = f32x4.mul(f32x4.mul(f32x4.splat(CUBE), x), f32x4.mul(x, x));
    power = f32x4.mul(f32x4.splat(SLOPE), f32x4.add(x, cube));
  }
  return f32x4.div(x, f32x4.add(f32x4.splat(1), expF32x4(power)));
}
