import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { createOracleDevice } from '../device/oracle.js';
import { fixedNetwork, floatNetwork, seeds } from '../../test/snn/arbitraries.js';
import { createEngine, defineNetwork, silence, type NetworkDescription } from './index.js';

const dense = { from: 'in', to: 'out', kind: 'dense', weights: [1, 2, 3, 4, 5, 6] };
const small = {
  numeric: 'fixed',
  populations: [
    { name: 'in', model: 'input', size: 3 },
    { name: 'out', model: 'lif', size: 2, leakShift: 3, threshold: 10 },
  ],
  projections: [dense],
};
const smallFloat = {
  numeric: 'float32',
  dt: 1e-3,
  populations: [
    { name: 'in', model: 'input', size: 3 },
    {
      name: 'out',
      model: 'cubaLif',
      size: 2,
      tau: 0.02,
      threshold: 1,
      receptors: [
        { name: 'e', tau: 0.005 },
        { name: 'i', tau: 0.01 },
      ],
    },
  ],
  projections: [{ ...dense, receptor: 'e' }],
};

type Path = readonly (string | number)[];

/** A copy of `value` with the thing at `path` replaced (undefined: removed). */
function replaced(value: unknown, path: Path, by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) };
  const slots = copy as Record<string | number, unknown>;
  slots[key] = replaced(slots[key], rest, by);
  return copy;
}

const define = (value: unknown) => defineNetwork(value as NetworkDescription);

function refusal(value: unknown): TuttiError {
  try {
    define(value);
  } catch (error) {
    if (error instanceof TuttiError) return error;
    throw error;
  }
  throw new Error('the network was accepted');
}

describe('defineNetwork', () => {
  it('fills in defaults and derives order and synapses', () => {
    const network = define(small);
    expect(network.order).toEqual(['in', 'out']);
    expect(network.synapses).toBe(6);
    expect(network.projections[0]).toMatchObject({ name: 'in->out', delay: 0, bits: 8, scale: 1, shift: 0 });
    expect(network.populations[1]).toMatchObject({ reset: { kind: 'value', value: 0 }, bias: 0, refractorySteps: 0 });
    expect(
      Object.isFrozen(network) && Object.isFrozen(network.populations) && Object.isFrozen(network.populations[1]),
    ).toBe(true);
    expect(defineNetwork(network as NetworkDescription)).toBe(network);
  });

  it('takes a checked network that was copied', () => {
    for (const description of [small, smallFloat]) {
      const network = define(description);
      expect(define(structuredClone(network))).toEqual(network);
    }
  });

  const wrong: [string, unknown, Path, unknown, string][] = [
    ['no numeric form', small, ['numeric'], 'int', 'numeric'],
    ['zero populations', small, ['populations'], [], 'populations'],
    ['a population without a size', small, ['populations', 0, 'size'], undefined, 'populations[0].size'],
    ['a size of 0', small, ['populations', 0, 'size'], 0, 'populations[0].size'],
    ['a size that no memory holds', small, ['populations', 0, 'size'], 1e15, 'populations[0].size'],
    ['a shape that does not fit', small, ['populations', 0, 'shape'], [1, 2, 2], 'populations[0].size'],
    ['the same name twice', small, ['populations', 1, 'name'], 'in', 'populations[1].name'],
    ['an unknown model', small, ['populations', 1, 'model'], 'izhikevich', 'populations[1].model'],
    ['a missing threshold', small, ['populations', 1, 'threshold'], undefined, 'populations[1].threshold'],
    ['a misspelt field', small, ['populations', 1, 'treshold'], 3, 'populations[1].treshold'],
    ['a float threshold in a fixed network', small, ['populations', 1, 'threshold'], 1.5, 'populations[1].threshold'],
    ['too few thresholds', small, ['populations', 1, 'threshold'], [5], 'populations[1].threshold'],
    ['a NaN among thresholds', small, ['populations', 1, 'threshold'], [5, NaN], 'populations[1].threshold[1]'],
    [
      'a subtraction that raises',
      { ...small, populations: [small.populations[0], { ...small.populations[1], reset: { kind: 'subtract' } }] },
      ['populations', 1, 'threshold'],
      -1,
      'populations[1].threshold',
    ],
    ['a dangling source', small, ['projections', 0, 'from'], 'nobody', 'projections[0].from'],
    ['a dangling target', small, ['projections', 0, 'to'], 'nobody', 'projections[0].to'],
    ['synapses on an input', small, ['projections', 0, 'to'], 'in', 'projections[0].to'],
    ['too few weights', small, ['projections', 0, 'weights'], [1, 2, 3], 'projections[0].weights'],
    ['a NaN weight', smallFloat, ['projections', 0, 'weights', 4], NaN, 'projections[0].weights[4]'],
    ['an infinite weight', smallFloat, ['projections', 0, 'weights', 4], 1e39, 'projections[0].weights[4]'],
    ['a weight that does not fit 8 bits', small, ['projections', 0, 'weights', 5], 128, 'projections[0].weights[5]'],
    [
      'a weight that does not fit 4 bits',
      replaced(small, ['projections', 0, 'bits'], 4),
      ['projections', 0, 'weights', 5],
      8,
      'projections[0].weights[5]',
    ],
    ['5 bits', small, ['projections', 0, 'bits'], 5, 'projections[0].bits'],
    ['a negative delay', small, ['projections', 0, 'delay'], -1, 'projections[0].delay'],
    ['half a step of delay', small, ['projections', 0, 'delay'], [0, 1, 0.5], 'projections[0].delay[2]'],
    ['delays for other neurons', small, ['projections', 0, 'delay'], [0, 1], 'projections[0].delay'],
    ['an unknown receptor', smallFloat, ['projections', 0, 'receptor'], 'nmda', 'projections[0].receptor'],
    ['an ambiguous receptor', smallFloat, ['projections', 0, 'receptor'], undefined, 'projections[0].receptor'],
    ['a receptor where there are none', small, ['projections', 0, 'receptor'], 'e', 'projections[0].receptor'],
    ['no dt', smallFloat, ['dt'], undefined, 'dt'],
    ['a dt of 0', smallFloat, ['dt'], 0, 'dt'],
    ['a negative tau', smallFloat, ['populations', 1, 'tau'], -0.02, 'populations[1].tau'],
    ['a tau that vanishes in f32', smallFloat, ['populations', 1, 'tau'], [0.02, 1e-50], 'populations[1].tau[1]'],
    ['no receptors', smallFloat, ['populations', 1, 'receptors'], [], 'populations[1].receptors'],
    [
      'the same receptor twice',
      smallFloat,
      ['populations', 1, 'receptors', 1, 'name'],
      'e',
      'populations[1].receptors[1].name',
    ],
    [
      'products beyond f32',
      smallFloat,
      ['populations', 1, 'receptors', 0],
      { name: 'e', tau: 1e30, weightScale: 3e38 },
      '',
    ],
  ];
  it.each(wrong)('refuses %s', (_what, base, path, by, where) => {
    if (where === '')
      return void expect(() =>
        define(replaced(replaced(base, path, by), ['populations', 1, 'resistance'], 1e10)),
      ).toThrow(/single precision/);
    const error = refusal(replaced(base, path, by));
    expect(error.code).toBe('NETWORK_INVALID');
    expect(error.where).toBe(where);
    expect(error.message.startsWith(where)).toBe(true);
  });

  it('checks rows', () => {
    const sparse = {
      from: 'in',
      to: 'out',
      kind: 'sparse',
      rowStart: [0, 1, 1, 3],
      columns: [1, 0, 1],
      weights: [1, 2, 3],
    };
    const given = replaced(small, ['projections', 0], sparse);
    expect(define(given).synapses).toBe(3);
    const where = (path: Path, by: unknown): string | undefined =>
      refusal(replaced(given, ['projections', 0, ...path], by)).where;
    expect(where(['rowStart'], [0, 1, 3])).toBe('projections[0].rowStart');
    expect(where(['rowStart'], [0, 2, 1, 3])).toBe('projections[0].rowStart[2]');
    expect(where(['rowStart'], [0, 9, 9, 3])).toBe('projections[0].rowStart[1]');
    expect(where(['rowStart', 3], 2)).toBe('projections[0].rowStart[3]');
    expect(where(['columns'], [1, 1, 0])).toBe('projections[0].columns[2]');
    expect(where(['columns'], [1, 1, 1])).toBe('projections[0].columns[2]');
    expect(where(['columns', 0], 2)).toBe('projections[0].columns[0]');
    expect(where(['columns'], [1])).toBe('projections[0].columns');
  });

  it('checks convolutions', () => {
    const given = {
      numeric: 'float32',
      dt: 1e-3,
      populations: [
        { name: 'in', model: 'input', shape: [2, 5, 6] },
        { name: 'out', model: 'if', shape: [3, 2, 4], threshold: 1 },
      ],
      projections: [
        {
          from: 'in',
          to: 'out',
          kind: 'convolution',
          layout: 'outInHeightWidth',
          kernel: [3, 3],
          stride: [2, 1],
          weights: new Float32Array(54),
        },
      ],
    };
    expect(define(given).projections[0]).toMatchObject({ outputShape: [3, 2, 4], layout: 'inHeightWidthOut' });
    const where = (path: Path, by: unknown): string | undefined => refusal(replaced(given, path, by)).where;
    expect(where(['projections', 0, 'kernel'], [7, 3])).toBe('projections[0].weights');
    expect(where(['projections', 0, 'layout'], undefined)).toBe('projections[0].layout');
    expect(where(['projections', 0, 'stride'], [0, 1])).toBe('projections[0].stride[0]');
    expect(where(['projections', 0, 'padding'], [1, 1])).toBe('shape of "out"');
    expect(where(['projections', 0, 'outputShape'], [3, 4, 2])).toBe('projections[0].outputShape');
    expect(where(['projections', 0, 'inputShape'], [2, 5, 5])).toBe('projections[0].inputShape');
    expect(where(['populations', 0], { name: 'in', model: 'input', size: 60 })).toBe('projections[0].inputShape');
  });

  it('names the populations on a cycle without delay', () => {
    const lif = { model: 'lif', size: 1, leakShift: 1, threshold: 1 };
    const link = (from: string, to: string, delay?: number) => ({
      from,
      to,
      kind: 'dense',
      weights: [1],
      ...(delay === undefined ? {} : { delay }),
    });
    const loop = (delay?: number) => ({
      numeric: 'fixed',
      populations: ['a', 'b', 'c', 'd'].map((name) => ({ ...lif, name })),
      projections: [link('a', 'b'), link('b', 'c'), link('c', 'b', delay), link('c', 'd'), link('d', 'd')],
    });
    const { message } = refusal(loop());
    expect(/b -> c -> b|c -> b -> c/.test(message)).toBe(true);
    expect(message).toContain('delay of 1 step');
    expect(define(loop(1)).order).toEqual(['a', 'b', 'c', 'd']);
    expect(define(loop(1)).projections.at(-1)).toMatchObject({ delay: 1 });
  });

  it('refuses potentials that could overflow, and bounds the steps of those that could in time', () => {
    const net = (shift: number, leakShift: number | undefined, weights = [127, 127, 127, 127, 127, 127]) => ({
      ...small,
      populations: [
        small.populations[0],
        { name: 'out', model: 'li', size: 2, ...(leakShift === undefined ? {} : { leakShift }) },
      ],
      projections: [{ ...dense, weights, shift }],
    });
    expect(define(net(0, 3))).toMatchObject({ maxSteps: Infinity });
    // 3 * 127 * 2^22 a step: the first step fits int32, the second does not.
    expect(define(net(22, undefined))).toMatchObject({ maxSteps: 1 });
    expect(refusal(net(23, undefined)).where).toBe('populations[1]');
    expect(define(net(0, undefined))).toMatchObject({ maxSteps: Math.floor((2 ** 31 - 1) / 381) });
    expect(define(net(0, undefined, [0, 0, 0, 0, 0, 0]))).toMatchObject({ maxSteps: Infinity });
    const counter = {
      ...small,
      populations: [{ ...small.populations[0], maxSpikesPerStep: 1000 }, small.populations[1]],
    };
    expect(refusal(replaced(counter, ['projections', 0], { ...dense, shift: 22 })).where).toBe('populations[1]');
  });

  it('two projections between the same populations get different names', () => {
    expect(define({ ...small, projections: [dense, dense] }).projections.map(({ name }) => name)).toEqual([
      'in->out',
      'in->out 2',
    ]);
    expect(
      refusal({
        ...small,
        projections: [
          { ...dense, name: 'x' },
          { ...dense, name: 'x' },
        ],
      }).where,
    ).toBe('projections[1].name');
  });

  it('meets anything at all with a typed error', () => {
    fc.assert(
      fc.property(
        fc.anything({ withTypedArray: true, withNullPrototype: true, withBigInt: true, withDate: true, withMap: true }),
        (value) => {
          expect(refusal(value).code).toBe('NETWORK_INVALID');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('meets sound descriptions with one thing changed with a typed error, or with a network that runs', async () => {
    const hostile = fc.oneof(
      fc.constantFrom<unknown>(
        NaN,
        -1,
        0,
        0.5,
        1,
        2,
        1e9,
        1e300,
        -Infinity,
        '',
        'layer0',
        'pixels',
        null,
        undefined,
        [],
        {},
        [NaN],
        [[]],
        true,
      ),
      fc.constantFrom<unknown>(
        new Float32Array(3),
        new Int8Array(2),
        new Uint32Array(1),
        new Uint8Array(4),
        10n,
        Symbol.iterator,
        () => 1,
      ),
      fc.anything(),
    );
    const device = createOracleDevice({ memoryBudget: 2 ** 26 });
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        seeds,
        fc.boolean(),
        fc.array(fc.nat(1000), { minLength: 1, maxLength: 6 }),
        hostile,
        async (seed, fixed, turns, value) => {
          const description: unknown = fixed ? fixedNetwork(seed) : floatNetwork(seed);
          const path: (string | number)[] = [];
          let at: unknown = description;
          for (const turn of turns) {
            if (typeof at !== 'object' || at === null) break;
            const keys = Object.keys(at);
            if (keys.length === 0) break;
            const key = keys[turn % keys.length]!;
            path.push(Array.isArray(at) ? Number(key) : key);
            at = (at as Record<string, unknown>)[key];
          }
          const changed = replaced(description, path, value);
          try {
            const network = define(changed);
            const engine = await createEngine(network, { device });
            const inputs = network.populations.filter((p) => p.model === 'input');
            await engine.run({
              inputs: Object.fromEntries(
                inputs.map(({ name, size }) => [name, silence({ steps: 2, batch: 1, neurons: size })]),
              ),
              steps: 2,
            });
            await engine.close();
            accepted++;
          } catch (error) {
            // A network may be sound and yet too large for this device, or for more than a few steps.
            expect(error).toBeInstanceOf(TuttiError);
            expect(['NETWORK_INVALID', 'MEMORY_REFUSED', 'LIMIT_EXCEEDED', 'INPUT_INVALID']).toContain(
              (error as TuttiError).code,
            );
          }
          expect(device.memory.inUse).toBe(0);
        },
      ),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(0);
    await device.close();
  });
});
