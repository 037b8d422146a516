/** Seeded material for conformance cases. */

export interface Dice {
  /** Whole number in [low, high]. */
  int(low: number, high: number): number;
  /** Float in [low, high), exactly representable in f32. */
  float(low: number, high: number): number;
  chance(probability: number): boolean;
}

/** mulberry32: small, and good enough to make test data. */
export function dice(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    int: (low, high) => low + Math.floor(next() * (high - low + 1)),
    float: (low, high) => Math.fround(low + next() * (high - low)),
    chance: (probability) => next() < probability,
  };
}

export const floats = (d: Dice, length: number, low = -2, high = 2): Float32Array =>
  Float32Array.from({ length }, () => d.float(low, high));
export const ints = (d: Dice, length: number, low: number, high: number): Int32Array =>
  Int32Array.from({ length }, () => d.int(low, high));
export const words = (d: Dice, length: number, low: number, high: number): Uint32Array =>
  Uint32Array.from({ length }, () => d.int(low, high));
export const bytes = (d: Dice, length: number): Int8Array => Int8Array.from({ length }, () => d.int(-128, 127));

export interface Stream {
  readonly index: Uint32Array;
  readonly ids: Uint32Array;
}

/** A spike stream with ascending lists; `density` 0 gives empty lists, 1 every neuron; some ids twice when `repeats`. */
export function spikeStream(
  d: Dice,
  slots: number,
  batch: number,
  neurons: number,
  density: number,
  repeats: boolean,
): Stream {
  const index = new Uint32Array(2 * slots * batch);
  const ids: number[] = [];
  for (let i = 0; i < slots * batch; i++) {
    index[2 * i] = ids.length;
    for (let n = 0; n < neurons; n++) {
      if (!d.chance(density)) continue;
      ids.push(n);
      if (repeats && d.chance(0.1)) ids.push(n);
    }
    index[2 * i + 1] = ids.length - index[2 * i]!;
  }
  return { index, ids: Uint32Array.from(ids.length ? ids : [0]) };
}

/** Compressed rows with ascending, unique columns. */
export function sparseRows(
  d: Dice,
  rows: number,
  columns: number,
  density: number,
): { start: Uint32Array; ids: Uint32Array } {
  const start = new Uint32Array(rows + 1);
  const ids: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) if (d.chance(density)) ids.push(c);
    start[r + 1] = ids.length;
  }
  return { start, ids: Uint32Array.from(ids.length ? ids : [0]) };
}
