import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantise, f16 } from './dequantise.js';
import { f16Bits, quantise, type WritableType } from './quantise.js';

/** Values with ties and extremes, and what the reference implementation's Python package (gguf, MIT) makes of them. */
const reference = JSON.parse(readFileSync('test/data/gguf/quantised.json', 'utf8')) as Readonly<
  Record<Exclude<WritableType, 'F32'> | 'values', string>
>;
const values = new Float32Array(new Uint8Array(Buffer.from(reference.values, 'base64')).buffer);

describe('quantise', () => {
  it.each(['F16', 'Q8_0', 'Q4_0'] as const)('makes %s as the reference does, to the bit', (type) => {
    expect(Buffer.from(quantise(values, type)).toString('base64')).toBe(reference[type]);
  });

  it('keeps f32 as it is', () => {
    const bytes = quantise(values, 'F32');
    const tensor = { name: 't', type: 'F32', shape: [values.length], bytes: bytes.length } as const;
    expect(dequantise(tensor, bytes)).toEqual(values);
  });

  it('rounds to every half and between any two', () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [low, high] = [f16(bits), bits === 0x7bff ? 65_536 : f16(bits + 1)];
      const between = (part: number): number => f16Bits(low + (high - low) * part); // fits f32
      const right =
        f16Bits(low) === bits &&
        f16Bits(-low) === (bits | 0x8000) &&
        between(0.499) === bits &&
        between(0.5) === bits + (bits & 1) &&
        between(0.501) === bits + 1;
      if (!right) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
    expect([NaN, Infinity, -Infinity, 1e30].map(f16Bits)).toEqual([0x7e00, 0x7c00, 0xfc00, 0x7c00]);
  });

  it('refuses what a format cannot hold', () => {
    expect(() => quantise(Float32Array.of(1, NaN), 'F16', 'w')).toThrow(/tensor "w" holds NaN, which F16 cannot/);
    expect(() => quantise(Float32Array.of(70_000), 'F16')).toThrow(/holds 70000/);
    expect(() => quantise(new Float32Array(32).fill(Infinity), 'Q8_0')).toThrow(/holds Infinity/);
    expect(() => quantise(new Float32Array(33), 'Q4_0')).toThrow(/33 values, not whole blocks of 32/);
  });
});
