/**
 * Rotary position embedding (Su et al. 2021), in place: of the first `rotated` elements of each head, pairs (a, b) become
 * `(a cos - b sin, a sin + b cos)`. `halves` 0 pairs neighbours (Llama's own files), 1 pairs element i with i + rotated / 2 (NeoX, Qwen).
 */
import source from '../../../gpu-kernels/tensor/rope_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { tensorModule } from './module.js';

const f = Math.fround;

export const ropeRows = defineKernel({
  name: 'ropeRows',
  buffers: {
    /** [rows][heads][headSize] */
    x: ['f32', 'read-write'],
    /** [rows] */
    positions: ['u32', 'read'],
    /** [maxPositions][rotated / 2][cos, sin] */
    rotation: ['f32', 'read'],
  },
  scalars: {
    ...{ rows: 'u32', heads: 'u32', headSize: 'u32', rotated: 'u32', halves: 'u32', maxPositions: 'u32' },
  },
  elements: (s) => ({ x: s.rows * s.heads * s.headSize, positions: s.rows, rotation: s.maxPositions * s.rotated }),
  oracle({ x, positions, rotation, rows, heads, headSize, rotated, halves, maxPositions }) {
    const pairs = rotated >> 1;
    for (let t = 0; t < rows; t++) {
      const angles = Math.min(positions[t]!, maxPositions - 1) * pairs * 2;
      for (let h = 0; h < heads; h++) {
        const head = (t * heads + h) * headSize;
        for (let i = 0; i < pairs; i++) {
          const first = head + (halves ? i : 2 * i);
          const second = first + (halves ? pairs : 1);
          const cos = rotation[angles + 2 * i]!;
          const sin = rotation[angles + 2 * i + 1]!;
          const [a, b] = [x[first]!, x[second]!];
          x[first] = f(f(a * cos) - f(b * sin));
          x[second] = f(f(a * sin) + f(b * cos));
        }
      }
    }
  },
  wasm: tensorModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil((s.heads * (s.rotated >> 1)) / size), s.rows, 1],
});
