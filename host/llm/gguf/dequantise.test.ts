import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantise } from './dequantise.js';
import { TENSOR_TYPES, type GgufTensorType } from './types.js';

/** Random blocks, and what the reference implementation's Python package (gguf, MIT) makes of them. */
const reference = JSON.parse(readFileSync('test/data/gguf/blocks.json', 'utf8')) as Readonly<
  Record<GgufTensorType, { readonly blocks: string; readonly values: string }>
>;

describe('dequantise', () => {
  it.each(Object.keys(reference) as GgufTensorType[])('reads %s as the reference does', (type) => {
    const bytes = new Uint8Array(Buffer.from(reference[type].blocks, 'base64'));
    const expected = Buffer.from(reference[type].values, 'base64');
    const values = dequantise({ name: 't', type, shape: [expected.length / 4], bytes: bytes.length }, bytes);
    expect(values).toHaveLength(expected.length / 4);
    for (let k = 0; k < values.length; k++) {
      const want = expected.readFloatLE(4 * k);
      // The reference rounds products of scales to f32 on the way.
      const close = values[k] === want || Math.abs(values[k]! - want) <= 2e-7 * Math.max(1, Math.abs(want));
      if (!close) expect(values[k], `value ${k}`).toBe(want);
    }
  });

  it('says which types it reads', () => {
    const tensor = { name: 'w', type: 'Q2_K', shape: [256], offset: 0, bytes: TENSOR_TYPES.Q2_K[2] } as const;
    expect(() => dequantise(tensor, new Uint8Array(84))).toThrow(/tensor "w" is Q2_K; only F32, .*Q6_K are read/);
  });
});
