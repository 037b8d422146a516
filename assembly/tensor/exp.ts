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
