/** Rows of a table, one for each id: token embeddings, and the rows whose logits are wanted. An id outside of the table gives zeros. */
import source from '../../../gpu-kernels/tensor/gather_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';

export const gatherRowsF32 = defineKernel({
  name: 'gatherRowsF32',
  buffers: {
    /** [rows] */
    ids: ['u32', 'read'],
    /** [tableRows][width] */
    table: ['f32', 'read'],
    /** [rows][width] */
    out: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', width: 'u32', tableRows: 'u32' },
  elements: (s) => ({ ids: s.rows, table: s.tableRows * s.width, out: s.rows * s.width }),
  oracle({ ids, table, out, rows, width, tableRows }) {
    for (let t = 0; t < rows; t++) {
      const id = ids[t]!;
      if (id < tableRows) out.set(table.subarray(id * width, (id + 1) * width), t * width);
      else out.fill(0, t * width, (t + 1) * width);
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.width / size), s.rows, 1],
});
