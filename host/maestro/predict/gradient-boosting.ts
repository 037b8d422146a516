/**
 * Gradient-boosted regression trees on histograms: small, deterministic, serialisable. Features are put into at most 64 bins; trees grow leaf by leaf where
 * the loss falls most; the smaller child's histogram is counted and the larger one's is the difference. For quantile loss a leaf's value is the quantile of
 * the residuals in it, since the gradient only says which side they are on.
 */
import { TuttiError } from '../../errors.js';
import { seededRandom } from '../../random.js';

/** Rows of numbers, row after row. NaN stands for what is not known. */
export interface FeatureMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export type BoostingLoss =
  /** The quantile of the target at `level`. */
  | { readonly kind: 'quantile'; readonly level: number }
  /** Probability that the target is 1; scores are log odds. */
  | { readonly kind: 'logistic' };

export interface BoostingOptions {
  readonly loss: BoostingLoss;
  readonly trees: number;
  readonly leaves: number;
  readonly learningRate: number;
  /** Rows that a leaf has at least. */
  readonly leastRows: number;
  /** Added to the weight of every leaf: values shrink towards nothing. */
  readonly ridge: number;
  /** Shares of rows and of columns that a tree sees. */
  readonly rowShare: number;
  readonly columnShare: number;
  readonly seed: number;
}

/** Trees one after another; nodes of all of them in the same arrays. A leaf has feature -1 and its value as threshold. */
export interface BoostedTrees {
  readonly columns: number;
  readonly base: number;
  readonly roots: readonly number[];
  readonly feature: readonly number[];
  readonly threshold: readonly number[];
  /** Where values up to the threshold, and unknown ones, go; the others go to the node behind it. */
  readonly left: readonly number[];
}

export type Scorer = (row: Float64Array) => number;

const MOST_BINS = 64;
/** A threshold below every value, which JSON can carry. */
const BELOW_ALL = -1e300;

/** @throws TuttiError INPUT_INVALID when the trees do not lead anywhere */
export function scorer(trees: BoostedTrees): Scorer {
  const { base } = trees;
  const nodes = trees.feature.length;
  const roots = Int32Array.from(trees.roots);
  const feature = Int16Array.from(trees.feature);
  const threshold = Float64Array.from(trees.threshold);
  const left = Int32Array.from(trees.left);
  const wrong = (node: number): boolean =>
    feature[node]! >= 0 && !(feature[node]! < trees.columns && left[node]! > node && left[node]! + 1 < nodes);
  const broken =
    threshold.length !== nodes || left.length !== nodes || trees.feature.some((_, k) => wrong(k))
      ? 'nodes'
      : roots.some((root) => root < 0 || root >= nodes)
        ? 'roots'
        : !Number.isFinite(base) || threshold.some((value) => Number.isNaN(value))
          ? 'numbers'
          : undefined;
  if (broken) {
    throw new TuttiError(
      'INPUT_INVALID',
      `the ${broken} of boosted trees do not fit together; save the predictor again`,
      {
        where: 'trees',
      },
    );
  }
  return (row) => {
    let sum = base;
    for (let k = 0; k < roots.length; k++) {
      let node = roots[k]!;
      let column = feature[node]!;
      while (column >= 0) {
        node = left[node]! + (row[column]! > threshold[node]! ? 1 : 0);
        column = feature[node]!;
      }
      sum += threshold[node]!;
    }
    return sum;
  };
}

interface Binned {
  /** Column after column: 0 unknown, then 1 .. count. */
  readonly bins: Uint8Array;
  /** Of each column: the largest value of each bin, from bin 1 on. */
  readonly edges: readonly Float64Array[];
}

function binColumns(matrix: FeatureMatrix): Binned {
  const { rows, columns, values } = matrix;
  const bins = new Uint8Array(rows * columns);
  const edges: Float64Array[] = [];
  for (let c = 0; c < columns; c++) {
    const known: number[] = [];
    for (let r = 0; r < rows; r++) {
      const value = values[r * columns + c]!;
      if (!Number.isNaN(value)) known.push(value);
    }
    const sorted = Float64Array.from(known).sort();
    const upper: number[] = [];
    for (let k = 1; k < MOST_BINS; k++) {
      const edge = sorted[Math.min(sorted.length - 1, Math.floor((k * sorted.length) / (MOST_BINS - 1)))];
      if (edge !== undefined && edge !== upper.at(-1)) upper.push(edge);
    }
    const edge = Float64Array.from(upper);
    edges.push(edge);
    for (let r = 0; r < rows; r++) {
      const value = values[r * columns + c]!;
      if (Number.isNaN(value)) continue;
      let [low, high] = [0, edge.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (value <= edge[middle]!) high = middle;
        else low = middle + 1;
      }
      bins[c * rows + r] = low + 1;
    }
  }
  return { bins, edges };
}

/** The value that a share of `level` of `values` does not exceed; sorts them. */
export function quantileOf(values: Float64Array, level: number): number {
  if (values.length === 0) return 0;
  values.sort();
  const place = level * (values.length - 1);
  const low = Math.floor(place);
  const high = Math.min(values.length - 1, low + 1);
  return values[low]! + (place - low) * (values[high]! - values[low]!);
}

interface Leaf {
  readonly node: number;
  readonly rows: Int32Array;
  readonly histogram: Float64Array;
  gain: number;
  column: number;
  bin: number;
}

/**
 * @param weights of rows; 1 each when left out
 * @throws TuttiError INPUT_INVALID when there are no rows, or not as many targets
 */
export function boostTrees(
  matrix: FeatureMatrix,
  target: Float64Array,
  options: BoostingOptions,
  weights?: Float64Array,
): BoostedTrees {
  const { rows, columns } = matrix;
  if (rows === 0 || target.length !== rows) {
    throw new TuttiError('INPUT_INVALID', `${target.length} targets for ${rows} rows; each row needs one`, {
      where: 'target',
    });
  }
  const { loss, learningRate, leastRows, ridge } = options;
  const random = seededRandom(options.seed);
  const { bins, edges } = binColumns(matrix);
  const useful = edges.flatMap((edge, c) => (edge.length > 1 || hasUnknown(c) ? [c] : []));
  function hasUnknown(c: number): boolean {
    return edges[c]!.length > 0 && bins.subarray(c * rows, (c + 1) * rows).includes(0);
  }
  const base = startOf(target, loss);
  const score = new Float64Array(rows).fill(base);
  const gradient = new Float64Array(rows);
  const curvature = new Float64Array(rows);
  const out = { roots: [] as number[], feature: [] as number[], threshold: [] as number[], left: [] as number[] };
  const slot = 3 * (MOST_BINS + 1);

  const count = (of: Int32Array, chosen: readonly number[]): Float64Array => {
    const histogram = new Float64Array(chosen.length * slot);
    chosen.forEach((c, k) => {
      const column = bins.subarray(c * rows, (c + 1) * rows);
      const at = k * slot;
      for (let i = 0; i < of.length; i++) {
        const r = of[i]!;
        const place = at + 3 * column[r]!;
        histogram[place] = histogram[place]! + gradient[r]!;
        histogram[place + 1] = histogram[place + 1]! + curvature[r]!;
        histogram[place + 2] = histogram[place + 2]! + 1;
      }
    });
    return histogram;
  };
  const seek = (leaf: Leaf, chosen: readonly number[]): void => {
    leaf.gain = 0;
    const total = leaf.rows.length;
    if (total < 2 * leastRows) return;
    let [sumG, sumH] = [0, 0];
    for (let b = 0; b <= MOST_BINS; b++) {
      sumG += leaf.histogram[3 * b] ?? 0;
      sumH += leaf.histogram[3 * b + 1] ?? 0;
    }
    const whole = (sumG * sumG) / (sumH + ridge);
    chosen.forEach((c, k) => {
      let [g, h, n] = [0, 0, 0];
      const most = edges[c]!.length;
      for (let b = 0; b < most; b++) {
        const place = k * slot + 3 * b;
        g += leaf.histogram[place]!;
        h += leaf.histogram[place + 1]!;
        n += leaf.histogram[place + 2]!;
        if (n < leastRows) continue;
        if (total - n < leastRows) break;
        const gain = (g * g) / (h + ridge) + (sumG - g) ** 2 / (sumH - h + ridge) - whole;
        if (gain > leaf.gain + 1e-9) [leaf.gain, leaf.column, leaf.bin] = [gain, k, b];
      }
    });
  };
  const node = (): number => {
    out.left.push(0);
    out.threshold.push(0);
    return out.feature.push(-1) - 1;
  };

  const all = Int32Array.from({ length: rows }, (_, k) => k);
  for (let tree = 0; tree < options.trees; tree++) {
    for (let r = 0; r < rows; r++) {
      const weight = weights?.[r] ?? 1;
      if (loss.kind === 'logistic') {
        const p = 1 / (1 + Math.exp(-score[r]!));
        gradient[r] = weight * (p - target[r]!);
        curvature[r] = weight * p * (1 - p);
      } else {
        gradient[r] = weight * (target[r]! > score[r]! ? -loss.level : 1 - loss.level);
        curvature[r] = weight;
      }
    }
    const seen = options.rowShare < 1 ? all.filter(() => random.uniform() < options.rowShare) : all;
    const picked = options.columnShare < 1 ? useful.filter(() => random.uniform() < options.columnShare) : useful;
    const chosen = picked.length > 0 ? picked : useful;
    const root: Leaf = { node: node(), rows: seen, histogram: count(seen, chosen), gain: 0, column: 0, bin: 0 };
    out.roots.push(root.node);
    const leaves = [root];
    seek(root, chosen);
    while (leaves.length < options.leaves) {
      let best = 0;
      for (let k = 1; k < leaves.length; k++) if (leaves[k]!.gain > leaves[best]!.gain) best = k;
      const split = leaves[best]!;
      if (split.gain <= 0) break;
      const column = chosen[split.column]!;
      const of = bins.subarray(column * rows, (column + 1) * rows);
      const low = split.rows.filter((r) => of[r]! <= split.bin);
      const high = split.rows.filter((r) => of[r]! > split.bin);
      const fewer = low.length <= high.length ? low : high;
      const counted = count(fewer, chosen);
      const rest = split.histogram;
      for (let k = 0; k < rest.length; k++) rest[k] = rest[k]! - counted[k]!;
      const first = node();
      node();
      out.feature[split.node] = column;
      // Bin 0 holds what is unknown: a split behind it keeps every known value on the other side.
      out.threshold[split.node] = split.bin === 0 ? BELOW_ALL : edges[column]![split.bin - 1]!;
      out.left[split.node] = first;
      const child = (at: number, of: Int32Array): Leaf => {
        return { node: at, rows: of, histogram: of === fewer ? counted : rest, gain: 0, column: 0, bin: 0 };
      };
      const pair = [child(first, low), child(first + 1, high)];
      pair.forEach((leaf) => seek(leaf, chosen));
      leaves.splice(best, 1, ...pair);
    }
    for (const leaf of leaves) {
      out.threshold[leaf.node] = learningRate * leafValue(leaf.rows);
    }
    // Rows that the tree did not see move as well.
    for (let r = 0; r < rows; r++) {
      let at = root.node;
      while (out.feature[at]! >= 0) {
        const value = matrix.values[r * columns + out.feature[at]!]!;
        at = out.left[at]! + (value > out.threshold[at]! ? 1 : 0);
      }
      score[r] = score[r]! + out.threshold[at]!;
    }
  }

  function leafValue(of: Int32Array): number {
    if (loss.kind === 'quantile') {
      const residuals = Float64Array.from(of, (r) => target[r]! - score[r]!);
      return (quantileOf(residuals, loss.level) * of.length) / (of.length + ridge);
    }
    let [g, h] = [0, 0];
    for (const r of of) {
      g += gradient[r]!;
      h += curvature[r]!;
    }
    return Math.max(-4, Math.min(4, -g / (h + ridge)));
  }
  return { columns, base, ...out };
}

function startOf(target: Float64Array, loss: BoostingLoss): number {
  if (loss.kind === 'quantile') return quantileOf(target.slice(), loss.level);
  const share = target.reduce((sum, value) => sum + value, 0) / target.length;
  const bounded = Math.max(1e-3, Math.min(1 - 1e-3, share));
  return Math.log(bounded / (1 - bounded));
}
