import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { parseIdx } from './idx.js';

const labels = new Uint8Array(readFileSync('models/mnist/t200-labels.idx1-ubyte'));
const images = new Uint8Array(readFileSync('models/mnist/t200-images.idx3-ubyte'));

describe('IDX files', () => {
  it('reads the bundled digits', () => {
    expect(parseIdx(images).shape).toEqual([200, 28, 28]);
    expect(parseIdx(labels).shape).toEqual([200]);
    expect([...parseIdx(labels).data.subarray(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
  });

  it('refuses gzip with advice', () => {
    expect(() => parseIdx(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0))).toThrow(/decompress/);
  });

  it('answers every truncation, extension and bit flip of the header with a typed error', () => {
    for (let length = 0; length < labels.length; length++) {
      expect(() => parseIdx(labels.subarray(0, length))).toThrow(TuttiError);
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 7 }), (byte, bit) => {
        const flipped = labels.slice();
        flipped[byte]! ^= 1 << bit;
        expect(() => parseIdx(flipped)).toThrow(TuttiError);
      }),
    );
  });

  it('answers arbitrary bytes with an array or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          const { shape, data } = parseIdx(bytes);
          expect(shape.reduce((a, b) => a * b, 1)).toBe(data.length);
        } catch (error) {
          expect(error).toBeInstanceOf(TuttiError);
        }
      }),
    );
  });
});
