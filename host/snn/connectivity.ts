/**
 * Synapses in their different forms: rows (by pre-synaptic neuron), columns (by post-synaptic neuron), a dense matrix, a
 * convolution kernel; and the way from one to the other. Zero weights are dropped whenever rows are made.
 */
import type { Connectivity, ConvolutionConnectivity, KernelLayout, Weights } from './network.js';

/** Synapses of each pre-synaptic neuron: `rowStart[pre] .. rowStart[pre + 1]`, columns ascending. */
export interface Rows<W extends Weights = Weights> {
  readonly rowStart: Uint32Array;
  readonly columns: Uint32Array;
  readonly weights: W;
}

/** Synapses of each post-synaptic neuron: `columnStart[post] .. columnStart[post + 1]`, rows ascending. */
export interface Columns {
  readonly columnStart: Uint32Array;
  readonly rows: Uint32Array;
  readonly weights: Weights;
}

function sameKind<W extends Weights>(weights: W, length: number): W {
  return (weights instanceof Int8Array ? new Int8Array(length) : new Float32Array(length)) as W;
}

/** Brings a convolution's weights into the order [inChannels][kernelHeight][kernelWidth][outChannels]. */
export function toKernelOrder(
  weights: Weights,
  layout: KernelLayout,
  sizes: { inChannels: number; outChannels: number; kernel: readonly [number, number] },
): Weights {
  if (layout === 'inHeightWidthOut') return weights;
  const ordered = sameKind(weights, weights.length);
  const perOutput = sizes.inChannels * sizes.kernel[0] * sizes.kernel[1];
  for (let out = 0; out < sizes.outChannels; out++) {
    for (let k = 0; k < perOutput; k++) ordered[k * sizes.outChannels + out] = weights[out * perOutput + k]!;
  }
  return ordered;
}

/** Calls `each(post, weight)` for every synapse of `pre`, zeros included; posts ascend within an output channel only. */
function eachOfConvolution(
  conv: ConvolutionConnectivity,
  pre: number,
  each: (post: number, weight: number) => void,
): void {
  const [, inHeight, inWidth] = conv.inputShape;
  const [outChannels, outHeight, outWidth] = conv.outputShape;
  const [kernelHeight, kernelWidth] = conv.kernel;
  const x = pre % inWidth;
  const y = Math.floor(pre / inWidth) % inHeight;
  const channel = Math.floor(pre / (inWidth * inHeight));
  for (let ky = kernelHeight - 1; ky >= 0; ky--) {
    const oy = (y + conv.padding[0] - ky) / conv.stride[0];
    if (oy < 0 || oy >= outHeight || !Number.isInteger(oy)) continue;
    for (let kx = kernelWidth - 1; kx >= 0; kx--) {
      const ox = (x + conv.padding[1] - kx) / conv.stride[1];
      if (ox < 0 || ox >= outWidth || !Number.isInteger(ox)) continue;
      const tap = ((channel * kernelHeight + ky) * kernelWidth + kx) * outChannels;
      for (let out = 0; out < outChannels; out++)
        each((out * outHeight + oy) * outWidth + ox, conv.weights[tap + out]!);
    }
  }
}

/** Number of synapses with a weight other than 0 that leave each pre-synaptic neuron. */
export function fanOut(connectivity: Connectivity, pres: number, posts: number): Uint32Array {
  const counts = new Uint32Array(pres);
  const { weights } = connectivity;
  switch (connectivity.kind) {
    case 'dense':
      for (let pre = 0, at = 0; pre < pres; pre++) {
        let count = 0;
        for (const end = at + posts; at < end; at++) if (weights[at] !== 0) count++;
        counts[pre] = count;
      }
      break;
    case 'sparse':
      for (let pre = 0; pre < pres; pre++) {
        let count = 0;
        for (let k = connectivity.rowStart[pre]!; k < connectivity.rowStart[pre + 1]!; k++)
          if (weights[k] !== 0) count++;
        counts[pre] = count;
      }
      break;
    case 'convolution':
      for (let pre = 0; pre < pres; pre++) {
        let count = 0;
        eachOfConvolution(connectivity, pre, (_post, weight) => {
          if (weight !== 0) count++;
        });
        counts[pre] = count;
      }
  }
  return counts;
}

/** Synapses with a weight other than 0. A convolution's weights count once for every place where they are used. */
export function countSynapses(connectivity: Connectivity): number {
  if (connectivity.kind !== 'convolution') {
    let count = 0;
    for (let k = 0; k < connectivity.weights.length; k++) if (connectivity.weights[k] !== 0) count++;
    return count;
  }
  const [channels, height, width] = connectivity.inputShape;
  return fanOut(connectivity, channels * height * width, 0).reduce((a, b) => a + b, 0);
}

/** Any connectivity as rows of its non-zero synapses; sparse ones without zeros are returned as they are. */
export function toRows(connectivity: Connectivity, pres: number, posts: number): Rows {
  const { weights } = connectivity;
  const counts = fanOut(connectivity, pres, posts);
  const rowStart = new Uint32Array(pres + 1);
  for (let pre = 0; pre < pres; pre++) rowStart[pre + 1] = rowStart[pre]! + counts[pre]!;
  const total = rowStart[pres]!;
  if (connectivity.kind === 'sparse' && total === weights.length) {
    return { rowStart: connectivity.rowStart, columns: connectivity.columns, weights };
  }

  const columns = new Uint32Array(total);
  const kept = sameKind(weights, total);
  let at = 0;
  const put = (post: number, weight: number): void => {
    if (weight === 0) return;
    columns[at] = post;
    kept[at++] = weight;
  };
  for (let pre = 0; pre < pres; pre++) {
    switch (connectivity.kind) {
      case 'dense':
        for (let post = 0; post < posts; post++) put(post, weights[pre * posts + post]!);
        break;
      case 'sparse':
        for (let k = connectivity.rowStart[pre]!; k < connectivity.rowStart[pre + 1]!; k++)
          put(connectivity.columns[k]!, weights[k]!);
        break;
      case 'convolution': {
        const start = at;
        eachOfConvolution(connectivity, pre, put);
        sortRow(columns, kept, start, at);
      }
    }
  }
  return { rowStart, columns, weights: kept };
}

function sortRow(columns: Uint32Array, weights: Weights, start: number, end: number): void {
  const order = Array.from({ length: end - start }, (_, i) => start + i).sort((a, b) => columns[a]! - columns[b]!);
  const sortedColumns = order.map((k) => columns[k]!);
  const sortedWeights = order.map((k) => weights[k]!);
  columns.set(sortedColumns, start);
  weights.set(sortedWeights, start);
}

/** Keeps the rows for which `keep` holds; the others become empty. */
export function filterRows(rows: Rows, keep: (pre: number) => boolean): Rows {
  const pres = rows.rowStart.length - 1;
  const rowStart = new Uint32Array(pres + 1);
  for (let pre = 0; pre < pres; pre++) {
    rowStart[pre + 1] = rowStart[pre]! + (keep(pre) ? rows.rowStart[pre + 1]! - rows.rowStart[pre]! : 0);
  }
  const columns = new Uint32Array(rowStart[pres]!);
  const weights = sameKind(rows.weights, rowStart[pres]!);
  for (let pre = 0; pre < pres; pre++) {
    if (!keep(pre)) continue;
    const start = rows.rowStart[pre]!;
    const end = rows.rowStart[pre + 1]!;
    columns.set(rows.columns.subarray(start, end), rowStart[pre]);
    weights.set(rows.weights.subarray(start, end), rowStart[pre]);
  }
  return { rowStart, columns, weights };
}

/** The transpose: synapses by post-synaptic neuron, rows ascending. */
export function toColumns({ rowStart, columns, weights }: Rows, posts: number): Columns {
  const columnStart = new Uint32Array(posts + 1);
  for (let k = 0; k < columns.length; k++) columnStart[columns[k]! + 1]!++;
  for (let post = 0; post < posts; post++) columnStart[post + 1]! += columnStart[post]!;
  const next = columnStart.slice(0, posts);
  const rows = new Uint32Array(columns.length);
  const moved = sameKind(weights, columns.length);
  for (let pre = 0; pre + 1 < rowStart.length; pre++) {
    for (let k = rowStart[pre]!; k < rowStart[pre + 1]!; k++) {
      const at = next[columns[k]!]!++;
      rows[at] = pre;
      moved[at] = weights[k]!;
    }
  }
  return { columnStart, rows, weights: moved };
}

/** Rows as a matrix [pre][rowStride], padded with zeros. */
export function toMatrix({ rowStart, columns, weights }: Rows, rowStride: number): Weights {
  const pres = rowStart.length - 1;
  const matrix = sameKind(weights, pres * rowStride);
  for (let pre = 0; pre < pres; pre++) {
    for (let k = rowStart[pre]!; k < rowStart[pre + 1]!; k++) matrix[pre * rowStride + columns[k]!] = weights[k]!;
  }
  return matrix;
}

/** Any connectivity as a matrix [pre][posts], zeros where there is no synapse. */
export function toDense(connectivity: Connectivity, pres: number, posts: number): Weights {
  if (connectivity.kind === 'dense') return connectivity.weights;
  return toMatrix(toRows(connectivity, pres, posts), posts);
}

/**
 * Start table of rows that are cut by post-synaptic range, one range for each of `threads` (the ranges of
 * assembly/snn/share.ts): part p of row r is `table[r * threads + p] .. table[r * threads + p + 1]`.
 */
export function cutRows({ rowStart, columns }: Rows, posts: number, threads: number): Uint32Array {
  if (threads === 1) return rowStart;
  const pres = rowStart.length - 1;
  const units = Math.ceil(posts / 32);
  const table = new Uint32Array(pres * threads + 1);
  let k = 0;
  for (let pre = 0; pre < pres; pre++) {
    for (let part = 0; part < threads; part++) {
      table[pre * threads + part] = k;
      const end = part === threads - 1 ? posts : Math.min(posts, Math.floor((units * (part + 1)) / threads) * 32);
      const last = rowStart[pre + 1]!;
      while (k < last && columns[k]! < end) k++;
    }
  }
  table[pres * threads] = k;
  return table;
}
