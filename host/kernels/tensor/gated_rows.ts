/** SwiGLU (Shazeer 2020): `gate <- gate / (1 + exp(-gate)) * up`, element by element. */
import source from '../../../gpu-kernels/tensor/gated_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { expF32 } from './exp.js';
import { tensorModule } from './module.js';

const f = Math.fround;

export const gatedRows = defineKernel({
  name: 'gatedRows',
  buffers: {
    /** [count] */
    gate: ['f32', 'read-write'],
    /** [count] */
    up: ['f32', 'read'],
  },
  scalars: { count: 'u32' },
  elements: (s) => ({ gate: s.count, up: s.count }),
  oracle({ gate, up, count }) {
    for (let i = 0; i < count; i++) gate[i] = f(f(gate[i]! / f(1 + expF32(-gate[i]!))) * up[i]!);
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil(s.count / size)),
});

/** So many workgroups, in rows of at most 32,768. */
function spread(groups: number): readonly [number, number, number] {
  return [Math.min(groups, 32_768), Math.ceil(groups / 32_768), 1];
}
