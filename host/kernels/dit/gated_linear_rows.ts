/**
 * A linear layer that ends in a gated residual: `y[n] += gate[n] (sum over i of x[i] w[n][i] + bias[n])`, the gate being that of the row's sequence, at
 * `gateFirst` of its row of modulations. Rows as in `linear_rows.ts`; those of y lie one after the other.
 */
import source from '../../../gpu-kernels/dit/gated_linear_rows.wgsl';
import tile from '../../../gpu-kernels/dit/linear_tile.wgsl';
import { defineKernel } from '../kernel.js';
import { linearWorkgroups, panelSum, placeOf, rowsNeeded } from './linear_rows.js';
import { ditModule } from './module.js';
import { panelElements } from './panels.js';

const f = Math.fround;

export const gatedLinearRows = defineKernel({
  name: 'gatedLinearRows',
  buffers: {
    /** [rows][inner] */
    x: ['f32', 'read'],
    /** [outer / 8][inner][8] */
    weights: ['f32', 'read'],
    /** [outer] */
    bias: ['f32', 'read'],
    /** [sequences][gateStride] */
    gates: ['f32', 'read'],
    /** [rows][outer] */
    y: ['f32', 'read-write'],
  },
  scalars: {
    ...{ rows: 'u32', inner: 'u32', outer: 'u32', tokens: 'u32', xSequence: 'u32', xFirst: 'u32' },
    ...{ gateStride: 'u32', gateFirst: 'u32' },
  },
  elements: (s) => ({
    x: rowsNeeded(s, s.xSequence, s.xFirst) * s.inner,
    weights: panelElements(s.inner, s.outer),
    bias: s.outer,
    gates: Math.max(0, Math.ceil(s.rows / s.tokens) - 1) * s.gateStride + s.gateFirst + s.outer,
    y: s.rows * s.outer,
  }),
  oracle({ x, weights, bias, gates, y, rows, inner, outer, tokens, xSequence, xFirst, gateStride, gateFirst }) {
    for (let t = 0; t < rows; t++) {
      const from = placeOf(t, tokens, xSequence, xFirst) * inner;
      const gate = Math.floor(t / tokens) * gateStride + gateFirst;
      for (let n = 0; n < outer; n++) {
        const value = f(panelSum(x, from, weights, inner, n) + bias[n]!);
        y[t * outer + n] = f(y[t * outer + n]! + f(gates[gate + n]! * value));
      }
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source: `${source}\n${tile}` }],
  workgroupSize: 64,
  workgroups: linearWorkgroups,
});
