/**
 * What one block adds to a token's attention, for the oracle: the softmax runs along (Milakov and Gimelshein 2018), block by block. The bodies do the
 * same operations in the same order. Packed integers stay integers: the query, and what the softmax gives each token of a block, are rounded
 * to 16 bits, so that products with keys and values are whole numbers whose sums no order can change.
 */
import { expF32 } from '../tensor/exp.js';
import { kvBlockLayout, type KvBlockLayout, type KvBlockShape } from './block-layout.js';
import { gridIn } from './half.js';
import { nibbleAt, round, TINY } from './pack_blocks.js';
import { unpackers } from './unpack_blocks.js';

const f = Math.fround;
/** Whole numbers of 16 bits. */
const WHOLE = 32_767;
const ONE_WHOLE = f(1 / WHOLE);
export const LOWEST = f(-3e38);

export interface Attention {
  readonly shape: KvBlockShape;
  /** Of the kv head that is read. */
  readonly head: number;
  readonly query: Float32Array;
  readonly scale: number;
  /** Scores are squashed to +- this; 0: not at all. */
  readonly cap: number;
  /** Weighted values so far, the sum of weights, and the score that they are relative to. */
  readonly out: Float32Array;
  sum: number;
  highest: number;
}

/** Every fourth product into one sum, the four added pairwise. */
function inFours(count: number, term: (i: number) => number, from = 0): number {
  const lanes = new Float32Array(4);
  for (let i = from; i < count; i++) lanes[i & 3]! += f(term(i));
  return f(f(lanes[0]! + lanes[1]!) + f(lanes[2]! + lanes[3]!));
}

/** Rounds to 16 bits relative to the largest; `unit` is what 1 stands for. */
function wholes(count: number, value: (i: number) => number): { readonly whole: Int16Array; readonly largest: number } {
  const values = Float32Array.from({ length: count }, (_, i) => value(i));
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const inverse = largest > TINY ? f(WHOLE / largest) : 0;
  return { whole: Int16Array.from(values, (x) => round(f(x * inverse))), largest };
}

function capped(score: number, cap: number): number {
  if (!(cap > 0)) return score;
  const e = expF32(f(score * f(2 / cap)));
  return f(cap * f(1 - f(2 / f(e + 1))));
}

/** Tokens `from` to `to` of a block in f32 or f16. */
export function attendFloats(a: Attention, format: 'f32' | 'f16', words: Uint32Array, from: number, to: number): void {
  const { shape, head, query, out } = a;
  const { headSize, blockSize } = shape;
  const at = unpackers[format](words, kvBlockLayout(format, shape), shape);
  const row = (j: number): number => (head * blockSize + j) * headSize;
  const scores = new Float32Array(to);
  for (let j = from; j < to; j++) {
    const dot = inFours(headSize, (i) => query[i]! * at(0, row(j) + i));
    scores[j] = capped(f(dot * a.scale), a.cap);
  }
  const most = scores.subarray(from).reduce((m, s) => Math.max(m, s), LOWEST);
  const shrink = most > a.highest ? expF32(f(a.highest - most)) : 1;
  a.highest = Math.max(a.highest, most);
  const weights = scores.map((s) => expF32(f(s - a.highest)));
  a.sum = f(f(a.sum * shrink) + inFours(to, (j) => weights[j]!, from));
  for (let i = 0; i < headSize; i++) {
    out[i] = out[i]! * shrink;
    for (let j = from; j < to; j++) out[i] = out[i]! + f(weights[j]! * at(1, row(j) + i));
  }
}

/** The highest score of a block, and by how much what came before, and what the block adds, shrink. */
function rescale(a: Attention, most: number): { readonly shrink: number; readonly weight: number } {
  const above = most > a.highest;
  const factor = expF32(above ? f(a.highest - most) : f(most - a.highest));
  a.highest = Math.max(a.highest, most);
  return above ? { shrink: factor, weight: 1 } : { shrink: 1, weight: factor };
}

/** The query of int8, rounded once for all blocks. */
export interface WholeQuery {
  readonly whole: Int16Array;
  readonly unit: number;
}
export function wholeQuery({ query, scale }: Attention): WholeQuery {
  const { whole, largest } = wholes(query.length, (i) => query[i]!);
  return { whole, unit: f(f(largest * ONE_WHOLE) * scale) };
}

/** Tokens `from` up to the end of a block in int8. */
export function attendInt8Block(a: Attention, q: WholeQuery, words: Uint32Array, from: number): void {
  const { shape, head, out } = a;
  const { kvHeads, headSize, blockSize } = shape;
  const layout = kvBlockLayout('int8', shape);
  const scales = new Float32Array(words.buffer, words.byteOffset, 2 * kvHeads);
  const bytes = new Int8Array(words.buffer, words.byteOffset, 4 * words.length);
  const [keys, values] = [layout.keys, layout.values].map((part) => 4 * part + head * blockSize * headSize);
  const unit = f(q.unit * scales[head]!);
  const scores = new Float32Array(blockSize).fill(LOWEST);
  for (let j = from; j < blockSize; j++) {
    let dot = 0;
    for (let i = 0; i < headSize; i++) dot += q.whole[i]! * bytes[keys! + j * headSize + i]!;
    scores[j] = capped(f(f(dot) * unit), a.cap);
  }
  const most = scores.reduce((m, s) => Math.max(m, s), LOWEST);
  const weights = scores.map((s, j) => (j < from ? 0 : round(f(expF32(f(s - most)) * WHOLE))));
  const { shrink, weight } = rescale(a, most);
  const one = f(weight * ONE_WHOLE);
  a.sum = f(f(a.sum * shrink) + f(f(weights.reduce((sum, w) => sum + w, 0)) * one));
  const factor = f(one * scales[kvHeads + head]!);
  for (let i = 0; i < headSize; i++) {
    let sum = 0;
    for (let j = from; j < blockSize; j++) sum += weights[j]! * bytes[values! + j * headSize + i]!;
    out[i] = f(out[i]! * shrink) + f(f(sum) * factor);
  }
}

/** The smallest number of a grid, which goes into sums of its own. */
function minimumOf(word: number): { readonly scale: number; readonly minimum: number } {
  const { scale, zero } = gridIn(word);
  return { scale, minimum: f(scale * zero) };
}

/** Tokens `from` up to the end of a block in int4: scales of keys go into the query, those of values into the weights. */
export function attendInt4Block(a: Attention, words: Uint32Array, from: number): void {
  const { shape, head, query, out } = a;
  const { headSize, blockSize } = shape;
  const layout: KvBlockLayout = kvBlockLayout('int4', shape);
  const nibble = (part: number, j: number, i: number): number => {
    const at = nibbleAt(head * blockSize + j, i, headSize);
    return (words[part + at.word]! >>> at.shift) & 15;
  };
  const keyGrid = (i: number) => minimumOf(words[layout.keyScales + head * headSize + i]!);
  const group = Math.floor(head / layout.headsPerGroup);
  const valueGrid = (j: number) => minimumOf(words[layout.valueScales + group * blockSize + j]!);

  const q = wholes(headSize, (i) => f(query[i]! * keyGrid(i).scale));
  const unit = f(q.largest * ONE_WHOLE);
  const offset = inFours(headSize, (i) => query[i]! * keyGrid(i).minimum);
  const scores = new Float32Array(blockSize).fill(LOWEST);
  for (let j = from; j < blockSize; j++) {
    let dot = 0;
    for (let i = 0; i < headSize; i++) dot += q.whole[i]! * nibble(layout.keys, j, i);
    scores[j] = capped(f(f(f(f(dot) * unit) + offset) * a.scale), a.cap);
  }
  const most = scores.reduce((m, s) => Math.max(m, s), LOWEST);
  const weights = scores.map((s, j) => (j < from ? 0 : expF32(f(s - most))));
  const { shrink, weight } = rescale(a, most);
  a.sum = f(f(a.sum * shrink) + f(inFours(blockSize, (j) => weights[j]!) * weight));
  const scaled = wholes(blockSize, (j) => (j < from ? 0 : f(weights[j]! * valueGrid(j).scale)));
  const factor = f(f(scaled.largest * ONE_WHOLE) * weight);
  const minima = f(inFours(blockSize, (j) => (j < from ? 0 : weights[j]! * valueGrid(j).minimum)) * weight);
  for (let i = 0; i < headSize; i++) {
    let sum = 0;
    for (let j = from; j < blockSize; j++) sum += scaled.whole[j]! * nibble(layout.values, j, i);
    out[i] = f(f(out[i]! * shrink) + f(f(sum) * factor)) + minima;
  }
}
