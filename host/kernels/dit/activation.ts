/** What a product may be followed by: nothing, SiLU `x / (1 + exp(-x))`, or GELU as `x / (1 + exp(-2 u))`, `u = sqrt(2 / pi) (x + 0.044715 x^3)` (tanh). */
import { expF32 } from '../tensor/exp.js';

export const ACTIVATIONS = { none: 0, silu: 1, gelu: 2 } as const;
export type Activation = keyof typeof ACTIVATIONS;

const f = Math.fround;
/** -2 sqrt(2 / pi) */
const SLOPE = f(-1.5957691216);
const CUBE = f(0.044715);

export function activate(x: number, activation: number): number {
  if (activation === 0) return x;
  const power = activation === 2 ? f(SLOPE * f(x + f(f(CUBE * x) * f(x * x)))) : -x;
  return f(x / f(1 + expF32(power)));
}
