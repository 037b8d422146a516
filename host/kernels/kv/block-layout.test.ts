import { describe, expect, it } from 'vitest';
import { KV_FORMATS, kvBlockLayout, kvBlockWords } from './block-layout.js';
import { gridIn, gridOf, halfValue, roundHalf } from './half.js';

const shapes = [
  { kvHeads: 12, headSize: 64, blockSize: 16 },
  { kvHeads: 8, headSize: 128, blockSize: 16 },
  { kvHeads: 1, headSize: 256, blockSize: 16 },
  { kvHeads: 4, headSize: 8, blockSize: 32 },
];

describe('blocks of keys and values', () => {
  it.each(shapes)('take little more than their values: $kvHeads heads of $headSize', (shape) => {
    const floats = 2 * shape.kvHeads * shape.headSize * shape.blockSize;
    expect(kvBlockWords('f32', shape)).toBe(floats);
    expect(kvBlockWords('f16', shape)).toBe(floats / 2);
    expect(kvBlockWords('int8', shape)).toBeLessThanOrEqual(0.27 * floats);
    expect(kvBlockWords('int4', shape)).toBeLessThanOrEqual(0.17 * floats);
  });

  it('have parts that follow one another', () => {
    for (const format of KV_FORMATS) {
      for (const shape of [...shapes, { kvHeads: 3, headSize: 40, blockSize: 5 }]) {
        const { keyScales, valueScales, keys, values, words } = kvBlockLayout(format, shape);
        expect(valueScales).toBeGreaterThanOrEqual(keyScales);
        expect(keys).toBeGreaterThanOrEqual(valueScales);
        expect(values).toBeGreaterThan(keys);
        expect(words - values).toBeGreaterThanOrEqual(values - keys);
        expect(words % 4).toBe(0);
      }
    }
  });

  it.each([
    ['headSize', { kvHeads: 2, headSize: 12, blockSize: 16 }, 'int4'],
    ['headSize', { kvHeads: 2, headSize: 10, blockSize: 16 }, 'f32'],
    ['headSize', { kvHeads: 2, headSize: 512, blockSize: 16 }, 'int8'],
    ['blockSize', { kvHeads: 2, headSize: 64, blockSize: 65 }, 'int8'],
    ['blockSize', { kvHeads: 2, headSize: 64, blockSize: 0 }, 'f16'],
    ['kvHeads', { kvHeads: 0.5, headSize: 64, blockSize: 16 }, 'f16'],
  ] as const)('of shapes that the kernels cannot have are refused: %s', (where, shape, format) => {
    expect(() => kvBlockWords(format, shape)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', where }) as Error,
    );
  });
});

describe('half precision', () => {
  it('keeps every finite half', () => {
    for (let half = 0; half < 0x10000; half++) {
      if ((half & 0x7c00) === 0x7c00) continue;
      expect(roundHalf(halfValue(half)).bits).toBe(half);
    }
  });

  it('rounds to the nearest, halves to even, and keeps within the largest', () => {
    expect(roundHalf(1 + 2 ** -11).value).toBe(1);
    expect(roundHalf(1 + 3 * 2 ** -11).value).toBe(1 + 2 ** -9);
    expect(roundHalf(-1e9).value).toBe(-65504);
    expect(roundHalf(2 ** -25).value).toBe(0);
    expect(roundHalf(1.5 * 2 ** -25).value).toBe(2 ** -24);
  });
});

describe('grids of int4', () => {
  it('cover their range in 16 steps, however far from 0', () => {
    for (const shift of [0, 1, -20, 1000]) {
      for (const range of [0, 1e-6, 0.01, 3, 500]) {
        const [low, high] = [Math.fround(shift), Math.fround(shift + range)];
        const { word, scale, zero } = gridOf(low, high);
        expect(gridIn(word)).toEqual({ scale, zero });
        const step = Math.max((1.01 * range) / 15, (1.01 * Math.max(Math.abs(low), Math.abs(high))) / 2 ** 15);
        expect(scale).toBeLessThanOrEqual(step + 2 ** -24);
        expect(Math.abs(scale * zero - low)).toBeLessThanOrEqual(0.51 * scale);
        expect(scale * (zero + 15) - high).toBeGreaterThanOrEqual(-0.51 * scale);
      }
    }
  });
});
