/**
 * How a block of keys and values lies in memory, in words of 32 bits, for each format that a pool can have. A block is contiguous, so moving it is one
 * copy: first the scales, then keys, then values, each [kvHeads][blockSize][headSize]. The same in assembly/kv/layout.ts and in the WGSL bodies.
 */
import { TuttiError } from '../../errors.js';

export type KvFormat = 'f32' | 'f16' | 'int8' | 'int4';
export const KV_FORMATS: readonly KvFormat[] = ['f32', 'f16', 'int8', 'int4'];

export interface KvBlockShape {
  readonly kvHeads: number;
  readonly headSize: number;
  /** Tokens. */
  readonly blockSize: number;
}

/** Word offsets in a block; what lies before `keys` are scales. */
export interface KvBlockLayout {
  /** int8: an f32 per kv head. int4: [kvHeads][headSize] grids: the scale, f16, in the low half, zero, i16, in the high one. */
  readonly keyScales: number;
  /** int8: an f32 per kv head. int4: [valueGroups][blockSize] grids. */
  readonly valueScales: number;
  readonly keys: number;
  readonly values: number;
  readonly words: number;
  /** Of int4: neighbouring kv heads whose values of a token share a scale, and how many such groups there are. */
  readonly headsPerGroup: number;
  readonly valueGroups: number;
}

/** Of the bodies: scratch and the range of their sums. */
export const MOST_HEAD_SIZE = 256;
export const MOST_BLOCK_SIZE = 64;
/** Values that share a scale in int4, at least, so that scales stay a small part. */
const GROUP_VALUES = 32;

const upTo4 = (words: number): number => Math.ceil(words / 4) * 4;

export function kvBlockLayout(format: KvFormat, { kvHeads, headSize, blockSize }: KvBlockShape): KvBlockLayout {
  const elements = kvHeads * blockSize * headSize;
  const headsPerGroup = Math.min(kvHeads, Math.ceil(GROUP_VALUES / headSize));
  const valueGroups = Math.ceil(kvHeads / headsPerGroup);
  const groups = { headsPerGroup, valueGroups };
  if (format === 'f32' || format === 'f16') {
    const half = format === 'f32' ? elements : elements / 2;
    return { keyScales: 0, valueScales: 0, keys: 0, values: half, words: 2 * half, ...groups };
  }
  // Bodies read whole vectors: what a last short one reads too much is still of the block.
  if (format === 'int8') {
    const keys = upTo4(2 * kvHeads);
    const values = keys + elements / 4;
    const words = upTo4(values + elements / 4 + (headSize % 8 ? 1 : 0));
    return { keyScales: 0, valueScales: kvHeads, keys, values, words, ...groups };
  }
  const keys = upTo4(kvHeads * headSize + valueGroups * blockSize);
  const values = keys + elements / 8;
  const words = upTo4(values + elements / 8 + (headSize % 32 ? 3 : 0));
  return { keyScales: 0, valueScales: kvHeads * headSize, keys, values, words, ...groups };
}

/**
 * Words of one block in a pool of this format.
 * @throws TuttiError OPTION_INVALID for a shape that the kernels cannot have
 */
export function kvBlockWords(format: KvFormat, shape: KvBlockShape): number {
  const { kvHeads, headSize, blockSize } = shape;
  const refuse = (where: string, value: number, must: string): never => {
    throw new TuttiError('OPTION_INVALID', `${where} is ${value}; keys and values as ${format} need ${must}`, {
      where,
      facts: { [where]: value },
    });
  };
  const multiple = format === 'int4' ? 8 : 4;
  if (!Number.isInteger(kvHeads) || kvHeads < 1) refuse('kvHeads', kvHeads, 'a whole number of at least 1');
  if (!Number.isInteger(headSize) || headSize < 1 || headSize > MOST_HEAD_SIZE || headSize % multiple)
    refuse('headSize', headSize, `a multiple of ${multiple}, at most ${MOST_HEAD_SIZE}`);
  if (!Number.isInteger(blockSize) || blockSize < 1 || blockSize > MOST_BLOCK_SIZE)
    refuse('blockSize', blockSize, `1 to ${MOST_BLOCK_SIZE}`);
  return kvBlockLayout(format, shape).words;
}
