// The exponential function, operation for operation that of host/kernels/tensor/exp.ts.

// @ts-ignore: decorator
@inline
export function expF32(argument: f32): f32 {
  const x = min<f32>(88, max<f32>(-87, argument));
  const n: f32 = x * <f32>1.44269504 + <f32>12582912 - <f32>12582912;
  const r: f32 = x - n * <f32>0.693359375 - n * <f32>-2.1219444e-4;
  let p: f32 = 1.9875691500e-4;
  p = p * r + <f32>1.3981999507e-3;
  p = p * r + <f32>8.3334519073e-3;
  p = p * r + <f32>4.1665795894e-2;
  p = p * r + <f32>1.6666665459e-1;
  p = p * r + <f32>5.0000001201e-1;
  return (p * (r * r) + r + <f32>1) * reinterpret<f32>((<i32>n + 127) << 23);
}

/** The same of four numbers at a time. */
// @ts-ignore: decorator
@inline
export function expF32x4(argument: v128): v128 {
  const rounder = f32x4.splat(12582912);
  const x = f32x4.min(f32x4.splat(88), f32x4.max(f32x4.splat(-87), argument));
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504)), rounder);
  const n = f32x4.sub(shifted, rounder);
  const r = f32x4.sub(
    f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))),
    f32x4.mul(n, f32x4.splat(-2.1219444e-4)),
  );
  let p = f32x4.splat(1.98756915e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  const sum = f32x4.add(f32x4.add(f32x4.mul(p, f32x4.mul(r, r)), r), f32x4.splat(1));
  // The low bits of the shifted number are n, less the rounder's own.
  const exponent = i32x4.shl(i32x4.add(i32x4.sub(shifted, rounder), i32x4.splat(127)), 23);
  return f32x4.mul(sum, exponent);
}
