import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { synapsesOf } from '../../test/snn/reference.js';
import { fixedNetwork, seeds } from '../../test/snn/arbitraries.js';
import { countSynapses, fanOut, filterRows, toColumns, toDense, toMatrix, toRows } from './connectivity.js';
import { mix32, seededRandom } from '../random.js';
import { randomSparse, sparseFromEntries } from './sparse.js';
import { defineNetwork } from './validate.js';

describe('forms of connectivity', () => {
  it('hold the same synapses, whatever the form', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const network = defineNetwork(fixedNetwork(seed));
        for (const projection of network.projections) {
          const size = (name: string): number => network.populations.find((p) => p.name === name)!.size;
          const [pres, posts] = [size(projection.from), size(projection.to)];
          const wanted = synapsesOf(network, projection).filter(([, , w]) => w !== 0);
          const key = (list: readonly (readonly number[])[]): string[] => list.map((s) => s.join(' ')).sort();
          const rows = toRows(projection, pres, posts);
          const found: number[][] = [];
          for (let pre = 0; pre < pres; pre++) {
            const columns = [...rows.columns.subarray(rows.rowStart[pre], rows.rowStart[pre + 1])];
            expect(columns).toEqual([...new Set(columns)].sort((a, b) => a - b));
            columns.forEach((post, i) => found.push([pre, post, rows.weights[rows.rowStart[pre]! + i]!]));
          }
          expect(key(found)).toEqual(key(wanted));
          expect(countSynapses(projection)).toBe(wanted.length);
          const out = new Array<number>(pres).fill(0);
          wanted.forEach(([pre]) => out[pre]!++);
          expect([...fanOut(projection, pres, posts)]).toEqual(out);

          const columns = toColumns(rows, posts);
          const turned: number[][] = [];
          for (let post = 0; post < posts; post++) {
            for (let k = columns.columnStart[post]!; k < columns.columnStart[post + 1]!; k++) {
              turned.push([columns.rows[k]!, post, columns.weights[k]!]);
            }
          }
          expect(key(turned)).toEqual(key(wanted));
          const stride = posts + 3;
          const matrix = toMatrix(rows, stride);
          const dense = toDense(projection, pres, posts);
          wanted.forEach(([pre, post, w]) =>
            expect([matrix[pre * stride + post], dense[pre * posts + post]]).toEqual([w, w]),
          );
          expect(matrix.filter((w) => w !== 0).length).toBe(wanted.length);
          const even = filterRows(rows, (pre) => pre % 2 === 0);
          const odd = filterRows(rows, (pre) => pre % 2 === 1);
          expect(even.columns.length + odd.columns.length).toBe(wanted.length);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('seededRandom', () => {
  it('is the same sequence for the same seed', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 20 }, () => random.u32());
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(new Set(draw(0)).size).toBe(20);
    for (const seed of [-1, 1.5, NaN, 2 ** 32]) expect(() => seededRandom(seed)).toThrow(TuttiError);
  });

  it('is uniform and normal as far as moments tell', () => {
    const random = seededRandom(1);
    const n = 100_000;
    const mean = (draw: () => number): number => Array.from({ length: n }, draw).reduce((a, b) => a + b, 0) / n;
    expect(mean(() => random.uniform())).toBeCloseTo(0.5, 2);
    expect(mean(() => random.uniform() ** 2)).toBeCloseTo(1 / 3, 2);
    expect(Math.abs(mean(() => random.normal()))).toBeLessThan(0.02);
    expect(Math.abs(mean(() => random.normal() ** 2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(mean(() => random.below(10)) - 4.5)).toBeLessThan(0.05);
  });

  it('mixes bits: neighbours differ in about half of them', () => {
    let differing = 0;
    for (let i = 0; i < 10_000; i++) {
      for (let x = mix32(i) ^ mix32(i + 1); x !== 0; x &= x - 1) differing++;
    }
    expect(differing / 10_000).toBeGreaterThan(15.5);
    expect(differing / 10_000).toBeLessThan(16.5);
  });
});

describe('randomSparse', () => {
  it('has the in-degree that was asked for, without duplicates', () => {
    for (const inDegree of [0, 1, 7, 30, 49]) {
      const made = randomSparse({ pre: 50, post: 40, inDegree, seed: 2, selfConnections: false });
      const incoming = new Array<number>(40).fill(0);
      for (let pre = 0; pre < 50; pre++) {
        const row = [...made.columns.subarray(made.rowStart[pre], made.rowStart[pre + 1])];
        expect(row).toEqual([...new Set(row)].sort((a, b) => a - b));
        expect(row).not.toContain(pre);
        row.forEach((post) => incoming[post]!++);
      }
      expect(incoming).toEqual(new Array<number>(40).fill(inDegree));
    }
  });

  it('joins each pair with the probability that was asked for', () => {
    for (const probability of [0, 0.02, 0.5, 1]) {
      const made = randomSparse({ pre: 300, post: 500, probability, seed: 9 });
      const expected = 300 * 500 * probability;
      expect(Math.abs(made.columns.length - expected)).toBeLessThanOrEqual(5 * Math.sqrt(expected * (1 - probability)));
      defineNetwork({
        numeric: 'float32',
        dt: 1,
        populations: [
          { name: 'a', model: 'input', size: 300 },
          { name: 'b', model: 'if', size: 500, threshold: 1 },
        ],
        projections: [{ from: 'a', to: 'b', ...made }],
      });
    }
  });

  it('is the same for the same seed, and draws weights', () => {
    const options = { pre: 30, post: 30, inDegree: 5, seed: 4 } as const;
    expect(randomSparse(options)).toEqual(randomSparse(options));
    expect(randomSparse({ ...options, seed: 5 })).not.toEqual(randomSparse(options));
    const drawn = randomSparse({
      ...options,
      numeric: 'fixed',
      weight: (pre, post, random) => pre - post + random.below(2),
    });
    expect(drawn.weights).toBeInstanceOf(Int8Array);
    expect(new Set(drawn.weights).size).toBeGreaterThan(5);
  });

  it('refuses impossible requests', () => {
    const bad: object[] = [
      { inDegree: 31 },
      { inDegree: 30, selfConnections: false },
      { probability: 1.1 },
      { probability: NaN },
      {},
      { inDegree: 1, probability: 0.1 },
      { pre: 0, inDegree: 1 },
    ];
    for (const change of bad) expect(() => randomSparse({ pre: 30, post: 30, seed: 1, ...change })).toThrow(TuttiError);
    expect(() => randomSparse({ pre: 3, post: 3, seed: 1, inDegree: 2, numeric: 'fixed', weight: 0.5 })).toThrow(
      TuttiError,
    );
  });
});

describe('sparseFromEntries', () => {
  it('sorts and adds up', () => {
    const made = sparseFromEntries({
      preSize: 3,
      postSize: 4,
      pre: [2, 0, 2, 2],
      post: [3, 1, 0, 3],
      weights: [1, 2, 3, 4],
    });
    expect(made).toEqual({
      kind: 'sparse',
      rowStart: Uint32Array.of(0, 1, 1, 3),
      columns: Uint32Array.of(1, 0, 3),
      weights: Float32Array.of(2, 3, 5),
    });
    expect(() => sparseFromEntries({ preSize: 1, postSize: 1, pre: [1], post: [0], weights: [1] })).toThrow(TuttiError);
    expect(() => sparseFromEntries({ preSize: 1, postSize: 1, pre: [0], post: [1], weights: [1] })).toThrow(TuttiError);
    expect(() => sparseFromEntries({ preSize: 1, postSize: 1, pre: [0], post: [], weights: [1] })).toThrow(TuttiError);
  });
});
