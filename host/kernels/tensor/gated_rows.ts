/**
 * Gated activations (Shazeer 2020): `gate <- act(gate) * up`, element by element. SwiGLU with `gelu` 0, `act(g) = g / (1 + exp(-g))`; GeGLU with 1, the tanh
 * approximation written as `g / (1 + exp(-2 u))`, `u = sqrt(2 / pi) (g + 0.044715 g^3)`.
 */
import source from '../../../gpu-kernels/tensor/gated_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { expF32 } from './exp.js';
import { tensorModule } from './module.js';
import { spread } from './spread.js';

const f = Math.fround;
/** -2 sqrt(2 / pi) */
const SLOPE = f(-1.5957691216);
const CUBE = f(0.044715);

export const gatedRows = defineKernel({
  name: 'gatedRows',
  buffers: {
    /** [count] */
    gate: ['f32', 'read-write'],
    /** [count] */
    up: ['f32', 'read'],
  },
  scalars: { count: 'u32', gelu: 'u32' },
  elements: (s) => ({ gate: s.count, up: s.count }),
  oracle({ gate, up, count, gelu }) {
    for (let i = 0; i < count; i++) {
      const g = gate[i]!;
      const power = gelu ? f(SLOPE * f(g + f(f(CUBE * g) * f(g * g)))) : -g;
      gate[i] = f(f(g / f(1 + expF32(power))) * up[i]!);
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil(s.count / size)),
});
