import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { readSafetensors, tensorOf, writeSafetensors } from '../files/safetensors.js';
import { fixedNetwork, floatNetwork, seeds } from '../../test/snn/arbitraries.js';
import { defineNetwork, loadNetwork, saveNetwork } from './index.js';

describe('network files', () => {
  it('give back the same network', () => {
    fc.assert(
      fc.property(seeds, fc.boolean(), (seed, fixed) => {
        const network = defineNetwork(fixed ? fixedNetwork(seed) : floatNetwork(seed));
        expect(loadNetwork(saveNetwork(network))).toEqual(network);
      }),
      { numRuns: 100 },
    );
  });

  it('pack weights of 4 bits two to a byte', () => {
    const weights = Int8Array.of(-8, -7, -1, 0, 1, 6, 7, -8, 3);
    const network = defineNetwork({
      numeric: 'fixed',
      populations: [
        { name: 'in', model: 'input', size: 3 },
        { name: 'out', model: 'li', size: 3, leakShift: 2 },
      ],
      projections: [{ from: 'in', to: 'out', kind: 'dense', bits: 4, weights }],
    });
    const file = saveNetwork(network);
    expect([...readSafetensors(file).tensors.values()][0]).toMatchObject({ type: 'U8', shape: [5] });
    expect(loadNetwork(file).projections[0]!.weights).toEqual(weights);
  });

  const network = defineNetwork(fixedNetwork(11));
  const { tensors, metadata } = readSafetensors(saveNetwork(network));
  const codeOf = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      if (error instanceof TuttiError) return error.code;
      throw error;
    }
    return 'accepted';
  };

  it('are refused when they are something else, or do not hold together', () => {
    const withMetadata = (change: Record<string, string>): Uint8Array =>
      writeSafetensors(tensors, new Map([...metadata, ...Object.entries(change)]));
    expect(codeOf(() => loadNetwork(withMetadata({ format: 'pt' })))).toBe('FILE_INVALID');
    expect(codeOf(() => loadNetwork(withMetadata({ version: '2' })))).toBe('FILE_INVALID');
    expect(codeOf(() => loadNetwork(withMetadata({ network: '{' })))).toBe('FILE_INVALID');
    expect(codeOf(() => loadNetwork(withMetadata({ network: '{"a":'.repeat(40) + '1' + '}'.repeat(40) })))).toBe(
      'FILE_INVALID',
    );
    expect(codeOf(() => loadNetwork(withMetadata({ network: '{"populations":{"tensor":"missing"}}' })))).toBe(
      'FILE_INVALID',
    );
    expect(codeOf(() => loadNetwork(withMetadata({ network: '{}' })))).toBe('NETWORK_INVALID');
    const packed = writeSafetensors(
      new Map([['w', tensorOf('U8', Uint8Array.of(1))]]),
      new Map([...metadata, ['network', '{"weights":{"tensor":"w","packed":1000000000}}']]),
    );
    expect(codeOf(() => loadNetwork(packed))).toBe('FILE_INVALID');
  });

  it('never crash the reader, however they are damaged', () => {
    const file = saveNetwork(network);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
        (flips) => {
          const damaged = file.slice();
          flips.forEach(([at, bits]) => (damaged[at]! ^= bits));
          expect(['accepted', 'FILE_INVALID', 'NETWORK_INVALID']).toContain(codeOf(() => loadNetwork(damaged)));
        },
      ),
      { numRuns: 1000 },
    );
  });
});
