/**
 * A linear layer: `y[n] = act(sum over i of x[i] w[n][i] + bias[n])`, the sum in the order of i, weights in panels (`panels.ts`). Rows come as sequences of
 * `tokens`; those of x and y may be parts of longer sequences: row t is row `(t / tokens) * sequence + first + t % tokens` there. So joint attention writes two
 * streams into one buffer, and a device computes its shard of one.
 */
import source from '../../../gpu-kernels/dit/linear_rows.wgsl';
import tile from '../../../gpu-kernels/dit/linear_tile.wgsl';
import { defineKernel } from '../kernel.js';
import { activate } from './activation.js';
import { ditModule } from './module.js';
import { PANEL, panelElements } from './panels.js';

const f = Math.fround;
/** Of the WGSL bodies: columns of y that a workgroup computes, and rows of an invocation. */
const COLUMNS = 64;
const ROWS = 4;

export interface RowRange {
  readonly rows: number;
  readonly tokens: number;
}

/** Place of row t among sequences of `sequence` rows, of which it is `first` on. */
export const placeOf = (t: number, tokens: number, sequence: number, first: number): number =>
  Math.floor(t / tokens) * sequence + first + (t % tokens);

/** Rows that a buffer has at least. */
export const rowsNeeded = ({ rows, tokens }: RowRange, sequence: number, first: number): number =>
  rows === 0 ? 0 : placeOf(rows - 1, Math.max(1, tokens), sequence, first) + 1;

export const linearWorkgroups = (
  s: { readonly rows: number; readonly outer: number },
  size: number,
): readonly [number, number, number] => [
  Math.ceil(s.outer / COLUMNS),
  Math.ceil(s.rows / (ROWS * Math.max(1, Math.floor(size / 8)))),
  1,
];

/** The sum of one row and one column, without bias. */
export function panelSum(x: Float32Array, row: number, weights: Float32Array, inner: number, n: number): number {
  let at = Math.floor(n / PANEL) * PANEL * inner + (n % PANEL);
  let sum = 0;
  for (let i = 0; i < inner; i++, at += PANEL) sum = f(sum + f(x[row + i]! * weights[at]!));
  return sum;
}

export const linearRows = defineKernel({
  name: 'linearRows',
  buffers: {
    /** [rows][inner] */
    x: ['f32', 'read'],
    /** [outer / 8][inner][8] */
    weights: ['f32', 'read'],
    /** [outer] */
    bias: ['f32', 'read'],
    /** [rows][outer] */
    y: ['f32', 'read-write'],
  },
  scalars: {
    ...{ rows: 'u32', inner: 'u32', outer: 'u32', tokens: 'u32' },
    ...{ xSequence: 'u32', xFirst: 'u32', ySequence: 'u32', yFirst: 'u32', activation: 'u32' },
  },
  elements: (s) => ({
    x: rowsNeeded(s, s.xSequence, s.xFirst) * s.inner,
    weights: panelElements(s.inner, s.outer),
    bias: s.outer,
    y: rowsNeeded(s, s.ySequence, s.yFirst) * s.outer,
  }),
  oracle({ x, weights, bias, y, rows, inner, outer, tokens, xSequence, xFirst, ySequence, yFirst, activation }) {
    for (let t = 0; t < rows; t++) {
      const from = placeOf(t, tokens, xSequence, xFirst) * inner;
      const to = placeOf(t, tokens, ySequence, yFirst) * outer;
      for (let n = 0; n < outer; n++)
        y[to + n] = activate(f(panelSum(x, from, weights, inner, n) + bias[n]!), activation);
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source: `${source}\n${tile}` }],
  workgroupSize: 64,
  workgroups: linearWorkgroups,
});
