/**
 * Rows of a table of any weight format, one for each id, times `scale`: token embeddings, and the rows whose logits are wanted. An id outside of the
 * table gives zeros. `rowBytes` is what a row takes, `format` a number of `WEIGHT_FORMATS`.
 */
import source from '../../../gpu-kernels/tensor/gather_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';
import { rowWords, WEIGHT_FORMATS, weightAt, type WeightFormat } from './weight-formats.js';

const names = Object.keys(WEIGHT_FORMATS) as WeightFormat[];

export const gatherRows = defineKernel({
  name: 'gatherRows',
  buffers: {
    /** [rows] */
    ids: ['u32', 'read'],
    /** [tableRows][rowWords] */
    table: ['u32', 'read'],
    /** [rows][width] */
    out: ['f32', 'read-write'],
  },
  scalars: { rows: 'u32', width: 'u32', tableRows: 'u32', format: 'u32', scale: 'f32' },
  elements: (s) => ({
    ids: s.rows,
    table: s.tableRows * rowWords(names[s.format] ?? 'f32', s.width),
    out: s.rows * s.width,
  }),
  oracle({ ids, table, out, rows, width, tableRows, format, scale }) {
    const name = names[format]!;
    for (let t = 0; t < rows; t++) {
      const id = ids[t]!;
      for (let i = 0; i < width; i++)
        out[t * width + i] =
          id < tableRows
            ? Math.fround(weightAt(name, table, id * rowWords(name, width), width, i) * Math.fround(scale))
            : 0;
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.width / size), s.rows, 1],
});
