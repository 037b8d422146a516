/** Makers of sparse connectivity: random, or from a list of synapses. */
import { TuttiError } from '../errors.js';
import type { Rows } from './connectivity.js';
import { checkSeed, seededRandom, splitmix32, type SeededRandom } from '../random.js';

/** Ready to be spread into a projection: `{ from, to, ...randomSparse(...) }`. */
export interface SparseProjectionPart<W extends Float32Array | Int8Array> extends Rows<W> {
  readonly kind: 'sparse';
}

export interface RandomSparseOptions {
  /** Number of pre-synaptic neurons. */
  readonly pre: number;
  /** Number of post-synaptic neurons. */
  readonly post: number;
  /** Each pair is joined with this probability. Give this or `inDegree`. */
  readonly probability?: number;
  /** Every post-synaptic neuron gets exactly this many different pre-synaptic ones. */
  readonly inDegree?: number;
  /** One weight for all, or a function of the synapse. Default 1. */
  readonly weight?: number | ((pre: number, post: number, random: SeededRandom) => number);
  readonly seed: number;
  /** Whether neuron i may be joined to neuron i. Default true. */
  readonly selfConnections?: boolean;
}

/**
 * Random connectivity without duplicates, the same for the same options on every machine.
 * @throws TuttiError OPTION_INVALID.
 */
export function randomSparse(
  options: RandomSparseOptions & { readonly numeric: 'fixed' },
): SparseProjectionPart<Int8Array>;
export function randomSparse(
  options: RandomSparseOptions & { readonly numeric?: 'float32' },
): SparseProjectionPart<Float32Array>;
export function randomSparse(
  options: RandomSparseOptions & { readonly numeric?: 'float32' | 'fixed' },
): SparseProjectionPart<Float32Array | Int8Array> {
  const { pre, post, probability, inDegree, seed } = options;
  checkSeed(seed);
  const selves = options.selfConnections ?? true;
  for (const [name, value] of [
    ['pre', pre],
    ['post', post],
  ] as const) {
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 24)
      throw option(name, `must be a whole number in 1 .. ${2 ** 24}, got ${value}`);
  }
  if ((probability === undefined) === (inDegree === undefined)) {
    throw option('probability', 'or inDegree must be given, and not both');
  }
  const { rowStart, columns } =
    probability === undefined
      ? withInDegree(pre, post, inDegree!, seed, selves)
      : withProbability(pre, post, probability, seed, selves);

  const fixed = options.numeric === 'fixed';
  const weights = fixed ? new Int8Array(columns.length) : new Float32Array(columns.length);
  const weight = options.weight ?? 1;
  const checked = (value: number): number => {
    if (fixed ? !Number.isInteger(value) || value < -128 || value > 127 : !Number.isFinite(value)) {
      throw option('weight', `must give ${fixed ? 'whole numbers in -128 .. 127' : 'finite numbers'}, got ${value}`);
    }
    return value;
  };
  if (typeof weight === 'number') weights.fill(checked(weight));
  else {
    const random = seededRandom(splitmix32((seed ^ 0x5bd1e995) >>> 0));
    for (let from = 0; from < pre; from++) {
      for (let k = rowStart[from]!; k < rowStart[from + 1]!; k++)
        weights[k] = checked(weight(from, columns[k]!, random));
    }
  }
  return { kind: 'sparse', rowStart, columns, weights };
}

interface Structure {
  readonly rowStart: Uint32Array;
  readonly columns: Uint32Array;
}

/** Walks all pairs in row order and jumps from one synapse to the next: gaps of a Bernoulli sequence are geometric. */
function withProbability(pre: number, post: number, probability: number, seed: number, selves: boolean): Structure {
  if (!(probability >= 0 && probability <= 1)) throw option('probability', `must be in 0 .. 1, got ${probability}`);
  const random = seededRandom(seed);
  const rowStart = new Uint32Array(pre + 1);
  let columns = new Uint32Array(Math.ceil(pre * post * probability * 1.02) + 64);
  const scale = 1 / Math.log1p(-probability);
  const gap = (): number =>
    probability === 1 ? 0 : probability === 0 ? Infinity : Math.floor(Math.log((random.u32() + 1) * 2 ** -32) * scale);
  let count = 0;
  let column = gap();
  for (let row = 0; row < pre; row++) {
    while (column < post) {
      if (selves || column !== row) {
        if (count === columns.length) {
          const larger = new Uint32Array(Math.ceil(count * 1.2) + 64);
          larger.set(columns);
          columns = larger;
        }
        columns[count++] = column;
      }
      column += 1 + gap();
    }
    column -= post;
    rowStart[row + 1] = count;
  }
  return { rowStart, columns: columns.slice(0, count) };
}

/**
 * Draws the sources of each post-synaptic neuron, and sorts the synapses by source. In large networks a store at random
 * costs a trip to memory, so they go through 256 buckets of neighbouring sources, each of which the cache can hold. The
 * draw is made twice with the same seed, once to size the buckets and once to fill them.
 */
function withInDegree(pre: number, post: number, inDegree: number, seed: number, selves: boolean): Structure {
  const most = selves ? pre : pre - 1;
  if (!Number.isInteger(inDegree) || inDegree < 0 || inDegree > most) {
    throw option('inDegree', `must be a whole number in 0 .. ${most}, got ${inDegree}`);
  }
  // When most sources are wanted it is quicker to draw the few that are left out.
  const invert = inDegree > pre / 2;
  const draws = invert ? most - inDegree : inDegree;
  const draw = (each: (source: number, target: number) => void): void => {
    const random = seededRandom(seed);
    const drawn = createDrawnSet(draws);
    for (let target = 0; target < post; target++) {
      for (let k = 0; k < draws;) {
        const source = random.below(pre);
        if ((!selves && source === target) || !drawn.add(source, target)) continue;
        if (!invert) each(source, target);
        k++;
      }
      if (!invert) continue;
      for (let source = 0; source < pre; source++) {
        if ((selves || source !== target) && !drawn.has(source, target)) each(source, target);
      }
    }
  };

  const shift = Math.max(0, Math.ceil(Math.log2(pre)) - 8);
  const perBucket = 2 ** shift;
  const buckets = Math.ceil(pre / perBucket);
  const bucketStart = new Uint32Array(buckets + 1);
  draw((source) => void bucketStart[(source >>> shift) + 1]!++);
  for (let bucket = 0; bucket < buckets; bucket++) bucketStart[bucket + 1]! += bucketStart[bucket]!;

  const columns = new Uint32Array(inDegree * post);
  const within = new Uint16Array(columns.length);
  const next = bucketStart.slice(0, buckets);
  draw((source, target) => {
    const at = next[source >>> shift]!++;
    columns[at] = target;
    within[at] = source & (perBucket - 1);
  });

  const rowStart = new Uint32Array(pre + 1);
  const place = new Uint32Array(perBucket);
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = bucketStart[bucket]!;
    const end = bucketStart[bucket + 1]!;
    const targets = columns.slice(start, end);
    place.fill(0);
    for (let k = start; k < end; k++) place[within[k]!]!++;
    let at = start;
    const first = bucket * perBucket;
    for (let row = 0; row < perBucket && first + row < pre; row++) {
      const count = place[row]!;
      place[row] = at;
      at += count;
      rowStart[first + row + 1] = at;
    }
    // Targets came in ascending order, and stay so within each row.
    for (let k = start; k < end; k++) columns[place[within[k]!]!++] = targets[k - start]!;
  }
  return { rowStart, columns };
}

/**
 * The sources drawn for the target at hand: a small hash table that stays in the cache, and that a new target empties by
 * being another one. Sources are random already, so they are their own hash.
 */
function createDrawnSet(most: number): {
  add(source: number, target: number): boolean;
  has(source: number, target: number): boolean;
} {
  const mask = 2 ** Math.ceil(Math.log2(4 * most + 4)) - 1;
  const sources = new Int32Array(mask + 1);
  const targets = new Int32Array(mask + 1).fill(-1);
  const find = (source: number, target: number): number => {
    let at = source & mask;
    while (targets[at] === target && sources[at] !== source) at = (at + 1) & mask;
    return at;
  };
  return {
    add(source, target) {
      const at = find(source, target);
      if (targets[at] === target) return false;
      targets[at] = target;
      sources[at] = source;
      return true;
    },
    has: (source, target) => targets[find(source, target)] === target,
  };
}

/**
 * Rows from a list of synapses (pre[k] -> post[k]) in any order; weights of the same pair are added up.
 * @throws TuttiError OPTION_INVALID when the lists differ in length or name neurons that do not exist.
 */
export function sparseFromEntries(entries: {
  readonly preSize: number;
  readonly postSize: number;
  readonly pre: ArrayLike<number>;
  readonly post: ArrayLike<number>;
  readonly weights: ArrayLike<number>;
}): SparseProjectionPart<Float32Array> {
  const { preSize, postSize, pre, post, weights } = entries;
  if (pre.length !== post.length || pre.length !== weights.length) {
    throw option(
      'entries',
      `have ${pre.length} pre, ${post.length} post and ${weights.length} weights; they must be as many`,
    );
  }
  const rows = Array.from({ length: preSize }, () => new Map<number, number>());
  for (let k = 0; k < pre.length; k++) {
    const from = pre[k]!;
    const to = post[k]!;
    if (!Number.isInteger(to) || to < 0 || to >= postSize)
      throw option(`post[${k}]`, `is ${to}; there are ${postSize} neurons`);
    const row = rows[from];
    if (row === undefined) throw option(`pre[${k}]`, `is ${from}; there are ${preSize} neurons`);
    row.set(to, (row.get(to) ?? 0) + weights[k]!);
  }
  const rowStart = new Uint32Array(preSize + 1);
  rows.forEach((row, i) => (rowStart[i + 1] = rowStart[i]! + row.size));
  const columns = new Uint32Array(rowStart[preSize]!);
  const values = new Float32Array(columns.length);
  let at = 0;
  for (const row of rows) {
    for (const [column, weight] of [...row].sort((a, b) => a[0] - b[0])) {
      columns[at] = column;
      values[at++] = weight;
    }
  }
  return { kind: 'sparse', rowStart, columns, weights: values };
}

function option(where: string, what: string): TuttiError {
  return new TuttiError('OPTION_INVALID', `${where} ${what}`, { where });
}
