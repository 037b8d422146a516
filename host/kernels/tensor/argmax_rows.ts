/** Where each row is largest, the first place where there are several: greedy sampling without reading logits back. Numbers that are none count as lowest. */
import subgroupSource from '../../../gpu-kernels/tensor/argmax_rows.subgroups.wgsl';
import source from '../../../gpu-kernels/tensor/argmax_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { wgslVariant } from '../wgsl-variant.js';
import { tensorModule } from './module.js';

export const argmaxRows = defineKernel({
  name: 'argmaxRows',
  buffers: {
    /** [rows][width] */
    x: ['f32', 'read'],
    /** [rows] */
    out: ['u32', 'read-write'],
  },
  scalars: { rows: 'u32', width: 'u32' },
  elements: (s) => ({ x: s.rows * s.width, out: s.rows }),
  oracle({ x, out, rows, width }) {
    for (let t = 0; t < rows; t++) {
      let best = 0;
      let highest = -Infinity;
      for (let i = 0; i < width; i++) {
        if (x[t * width + i]! > highest) {
          highest = x[t * width + i]!;
          best = i;
        }
      }
      out[t] = best;
    }
  },
  wasm: tensorModule,
  wgsl: [wgslVariant(['subgroups'], subgroupSource), wgslVariant([], source)],
  workgroupSize: 256,
  workgroups: (s) => [1, s.rows, 1],
});
