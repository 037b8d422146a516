/**
 * Rows of heads to panels (`panels.ts`), for `attendRows`: eight keys side by side, `[sequences][heads][ceil(rows / 8)][headSize][8]`, missing keys zero.
 * Row j of sequence s is row `s * sequence + first + j` of x; its head h begins at `begin + h * headSize` of that row.
 */
import source from '../../../gpu-kernels/dit/panel_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { spread } from '../tensor/spread.js';
import { ditModule } from './module.js';
import { PANEL, panelElements } from './panels.js';

export const panelRows = defineKernel({
  name: 'panelRows',
  buffers: {
    /** Rows of `stride` elements. */
    x: ['f32', 'read'],
    /** [sequences][heads][ceil(rows / 8)][headSize][8] */
    panels: ['f32', 'read-write'],
  },
  scalars: {
    ...{ sequences: 'u32', rows: 'u32', heads: 'u32', headSize: 'u32' },
    ...{ sequence: 'u32', first: 'u32', stride: 'u32', begin: 'u32' },
  },
  elements: (s) => ({
    x: s.sequences * s.rows === 0 ? 0 : ((s.sequences - 1) * s.sequence + s.first + s.rows) * s.stride,
    panels: s.sequences * s.heads * panelElements(s.headSize, s.rows),
  }),
  oracle({ x, panels, sequences, rows, heads, headSize, sequence, first, stride, begin }) {
    const size = panelElements(headSize, rows);
    for (let s = 0; s < sequences; s++) {
      for (let h = 0; h < heads; h++) {
        const to = (s * heads + h) * size;
        for (let k = 0; k < size; k++) {
          const j = Math.floor(k / (PANEL * headSize)) * PANEL + (k % PANEL);
          const i = Math.floor(k / PANEL) % headSize;
          panels[to + k] = j < rows ? x[(s * sequence + first + j) * stride + begin + h * headSize + i]! : 0;
        }
      }
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => spread(Math.ceil((s.sequences * s.heads * panelElements(s.headSize, s.rows)) / size)),
});
