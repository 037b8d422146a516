/** NIR files and graphs that are wrong, odd, old or hostile: what is said, and that it is said soon. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../host/errors.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createEngine, defineNetwork, seededRandom, spikeTrain } from '../../host/snn/index.js';
import type { NirArray, NirGraph, NirNode } from '../../host/snn/nir/graph.js';
import { writeHdf5, type Hdf5Tree, type Hdf5Values } from '../../host/snn/nir/hdf5.js';
import {
  networkFromNir,
  readNir,
  readNirGraph,
  readNirNetwork,
  writeNir,
  writeNirGraph,
  type NirOptions,
} from '../../host/snn/nir/index.js';

const file = (name: string): Uint8Array => new Uint8Array(readFileSync(`test/data/nir/${name}.nir`));
const options: NirOptions = { dt: 1e-3 };

const array = (shape: readonly number[], ...values: number[]): NirArray => ({
  shape,
  data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => values[i % values.length]!),
});
const lif = (size: number): NirNode => ({
  type: 'LIF',
  tau: array([size], 1e-2),
  r: array([size], 1),
  v_leak: array([size], 0),
  v_threshold: array([size], 0.5),
});
const linear = (outs: number, ins: number): NirNode => ({ type: 'Linear', weight: array([outs, ins], 1) });
const input = (...shape: number[]): NirNode => ({ type: 'Input', shape });
const out: NirNode = { type: 'Output', shape: [1] };
const graphOf = (nodes: Readonly<Record<string, NirNode>>, ...edges: string[]): NirGraph => ({
  type: 'NIRGraph',
  nodes: new Map(Object.entries(nodes)),
  edges: edges.map((edge) => edge.split(' ') as [string, string]),
});

function refusal(
  graph: NirGraph,
  given: NirOptions = options,
): { code: string; message: string; where: string | undefined } {
  try {
    networkFromNir(graph, given);
  } catch (error) {
    expect(error).toBeInstanceOf(TuttiError);
    const { code, message, where } = error as TuttiError;
    return { code, message, where };
  }
  throw new Error('was not refused');
}

async function rejection(promise: Promise<unknown>): Promise<TuttiError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TuttiError);
  return error as TuttiError;
}

describe('graphs without an equivalent', () => {
  it.each([
    [
      'potentials as inputs',
      graphOf(
        {
          in: input(1),
          li: { type: 'LI', tau: array([1], 1e-2), r: array([1], 1), v_leak: array([1], 0) },
          w: linear(1, 1),
          lif: lif(1),
          out,
        },
        'in li',
        'li w',
        'w lif',
        'lif out',
      ),
      /^node "li" \(LI\) gives "w" \(Linear\) a potential/,
    ],
    [
      'a loop without a neuron',
      graphOf(
        { in: input(2), a: linear(2, 2), b: linear(2, 2), lif: lif(2), out },
        'in a',
        'a b',
        'b a',
        'b lif',
        'lif out',
      ),
      /^node "[ab]" \(Linear\) is on a loop without a neuron: /,
    ],
    [
      'too few elements',
      graphOf({ in: input(3), w: linear(2, 4), lif: lif(2), out }, 'in lif', 'lif w', 'w out'),
      /^node "(lif|w)" \((LIF|Linear)\) (has 2 neurons, but 3|takes 4 elements \(weight \[2, 4\]\), but 2)/,
    ],
    [
      'sums of unlike signals',
      graphOf(
        { a: input(2), b: input(3), va: linear(2, 2), vb: linear(3, 3), lif: lif(2), out },
        'a va',
        'b vb',
        'va lif',
        'vb lif',
        'lif out',
      ),
      /^node "lif" \(LIF\) gets 2 elements from "va" and 3 from "vb"/,
    ],
    [
      'an edge into an Input',
      graphOf({ in: input(1), lif: lif(1) }, 'in lif', 'lif in'),
      /^node "in" \(Input\) has an edge from "lif"/,
    ],
    [
      'an edge out of an Output',
      graphOf({ in: input(1), out, lif: lif(1) }, 'in out', 'out lif'),
      /^node "out" \(Output\) has an edge to "lif"/,
    ],
    ['an Output alone', graphOf({ out }), /^node "out" \(Output\) has no edge leading to it/],
    [
      'a time constant of 0',
      graphOf({ in: input(1), n: { ...lif(1), tau: array([1], 0) } as NirNode }, 'in n'),
      /^node "n" \(LIF\) has a tau that is not above 0/,
    ],
    [
      'a kernel that is too large',
      graphOf(
        {
          in: input(1, 2, 2),
          c: {
            type: 'Conv2d',
            weight: array([1, 1, 3, 3], 1),
            bias: array([1], 0),
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
          },
          n: lif(1),
        },
        'in c',
        'c n',
      ),
      /^node "c" \(Conv2d\) has a kernel of \[3, 3\], larger than the padded input \[2, 2\]/,
    ],
    [
      'groups that do not divide',
      graphOf(
        {
          in: input(3, 2, 2),
          c: {
            type: 'Conv2d',
            weight: array([4, 1, 1, 1], 1),
            bias: array([4], 0),
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 3,
          },
          n: lif(16),
        },
        'in c',
        'c n',
      ),
      /^node "c" \(Conv2d\) has 3 groups for 4 output channels/,
    ],
    [
      'pooling of what is flat',
      graphOf(
        { in: input(4), p: { type: 'SumPool2d', kernel_size: [2, 2], stride: [2, 2], padding: [0, 0] }, n: lif(1) },
        'in p',
        'p n',
      ),
      /^node "p" \(SumPool2d\) pools signals of shape \[channels, height, width\]/,
    ],
    [
      'a delay into the past',
      graphOf({ in: input(1), d: { type: 'Delay', delay: array([1], -1) }, n: lif(1) }, 'in d', 'd n'),
      /^node "d" \(Delay\) has a delay of -1000 steps/,
    ],
    [
      'a subgraph with two inputs',
      graphOf(
        { in: input(1), sub: graphOf({ a: input(1), b: input(1), n: lif(1), o: out }, 'a n', 'b n', 'n o'), out },
        'in sub',
        'sub out',
      ),
      /^node "sub" \(NIRGraph\) has 2 Input nodes/,
    ],
  ] as const)('%s', (_what, graph, message) => {
    const { code, message: said, where } = refusal(graph);
    expect(said).toMatch(message);
    expect(code).toBe('NETWORK_INVALID');
    expect(said).toContain(`"${where}"`);
  });

  it('says which option is wrong', () => {
    const graph = graphOf({ in: input(1), n: lif(1) }, 'in n');
    expect(refusal(graph, { dt: 0 })).toMatchObject({ code: 'OPTION_INVALID', where: 'dt' });
    expect(refusal(graph, { dt: 1, maxSpikesPerStep: 2 })).toMatchObject({
      code: 'OPTION_INVALID',
      where: 'maxSpikesPerStep',
    });
    expect(refusal(graph, { dt: 1, reset: 'sub' as 'subtract' }).where).toBe('reset');
  });
});

describe('odd and old graphs', () => {
  it('take the shape of an Input from what it leads to, where it is wrong', () => {
    const conv: NirNode = {
      type: 'Conv2d',
      input_shape: [4, 4],
      weight: array([1, 2, 3, 3], 1),
      bias: array([1], 0),
      stride: [1, 1],
      padding: [1, 1],
      dilation: [1, 1],
      groups: 1,
    };
    for (const shape of [[4, 4, 2], [1, 2, 4, 4], [32], [7]]) {
      const { network } = networkFromNir(
        graphOf({ in: { type: 'Input', shape }, c: conv, n: lif(16) }, 'in c', 'c n'),
        options,
      );
      expect(network.populations[0]).toMatchObject({ name: 'in', shape: [2, 4, 4] });
      defineNetwork(network);
    }
  });

  it('give a neuron with one value for all the size of what comes in, also per channel', () => {
    const one = { ...lif(1), tau: { shape: [], data: Float64Array.of(1e-2) } } as NirNode;
    const { network } = networkFromNir(
      graphOf({ in: input(5), n: one, m: lif(1), out }, 'in n', 'n m', 'm out'),
      options,
    );
    expect(network.populations.map((p) => p.size)).toEqual([5, 5, 5]);
    const channels: NirNode = { type: 'IF', r: array([2, 1, 1], 1, 2), v_threshold: array([1], 1) };
    const wide = networkFromNir(graphOf({ in: input(2, 2, 2), n: channels }, 'in n'), { dt: 1 }).network.populations[1];
    expect(wide).toMatchObject({ shape: [2, 2, 2] });
    expect([...(wide as { resistance: Float32Array }).resistance]).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
  });

  it('join several inputs and outputs, close loops by a step, and sum edges that lead to one node', async () => {
    const { network, inputs, outputs } = networkFromNir(
      graphOf(
        { a: input(2), b: input(2), n: lif(2), m: lif(2), back: linear(2, 2), o1: out, o2: out, sum: out },
        ...['a n', 'b n', 'n m', 'm back', 'back n', 'n o1', 'm o2', 'n sum', 'm sum'],
      ),
      options,
    );
    expect(inputs).toEqual(['a', 'b']);
    expect(outputs).toEqual({ o1: 'n', o2: 'm', sum: 'sum' });
    expect(network.projections!.map(({ from, to, delay }) => [from, to, delay])).toEqual([
      ['a', 'n', 0],
      ['b', 'n', 0],
      ['m', 'n', 1],
      ['n', 'm', 0],
      ['n', 'sum', 0],
      ['m', 'sum', 0],
    ]);
    // The sum of both populations' spikes, in the step in which they fire.
    const engine = await createEngine(network, { device: createOracleDevice() });
    const [a, b] = [
      spikeTrain(
        Array.from({ length: 8 }, () => [[0, 1]]),
        2,
      ),
      spikeTrain([[[0]]], 2),
    ];
    const { membranes, spikes } = await engine.run({
      inputs: { a, b },
      steps: 8,
      record: { spikes: ['n', 'm'], membrane: [{ population: 'sum' }] },
    });
    for (let step = 0; step < 8; step++) {
      const count = (name: string): number => spikes[name]!.index[2 * step + 1]!;
      const { values } = membranes['sum']!;
      expect(values[2 * step]! + values[2 * step + 1]!).toBe(count('n') + count('m'));
    }
    await engine.close();
  });

  it('read scalars, integers, compressed and fixed-length data as other writers leave them', async () => {
    const text = (value: string): Hdf5Values => ({ shape: [], values: [value] });
    const scalar = (value: number): Hdf5Values => ({ shape: [], values: Float64Array.of(value) });
    const tree: Hdf5Tree = new Map<string, Hdf5Tree | Hdf5Values>([
      ['version', text('0.1')],
      [
        'node',
        new Map<string, Hdf5Tree | Hdf5Values>([
          ['type', text('NIRGraph')],
          ['edges', { shape: [3, 2], values: ['in', 'w', 'w', 'n', 'n', 'out'] }],
          ['metadata', new Map([['note', text('left aside')]])],
          [
            'nodes',
            new Map<string, Hdf5Tree>([
              [
                'in',
                new Map([
                  ['type', text('Input')],
                  ['shape', { shape: [], values: Int32Array.of(200) }],
                ]),
              ],
              [
                'out',
                new Map([
                  ['type', text('Output')],
                  ['shape', { shape: [1], values: Int32Array.of(200) }],
                ]),
              ],
              [
                'w',
                new Map([
                  ['type', text('Linear')],
                  ['weight', { shape: [200, 200], values: new Int32Array(40_000).fill(1) }],
                ]),
              ],
              [
                'n',
                new Map([
                  ['type', text('IF')],
                  ['r', scalar(1)],
                  ['v_threshold', scalar(1)],
                ]),
              ],
            ]),
          ],
        ]),
      ],
    ]);
    const network = await readNir(await writeHdf5(tree), { dt: 1 });
    expect(network.populations[1]).toMatchObject({
      name: 'n',
      size: 200,
      threshold: 1,
      reset: { kind: 'value', value: 0 },
    });
    expect(network.projections![0]!.weights[39_999]).toBe(1);
  });
});

describe('networks that NIR cannot express', () => {
  const base = { numeric: 'float32', dt: 1e-3 } as const;
  const one = { name: 'in', model: 'input', size: 1 } as const;
  const joined = [{ from: 'in', to: 'n', kind: 'dense', weights: [1] }] as const;
  it.each([
    ['refractory', { model: 'lif', tau: 1e-2, threshold: 1, refractory: 2e-3 }, /has a refractory time/],
    ['initial', { model: 'lif', tau: 1e-2, threshold: 1, initial: 0.5 }, /starts at a potential of 0.5/],
    [
      'receptors',
      {
        model: 'cubaLif',
        tau: 1e-2,
        threshold: 1,
        receptors: [
          { name: 'a', tau: 1e-3 },
          { name: 'b', tau: 2e-3 },
        ],
      },
      /has 2 receptors; NIR's CubaLIF has one/,
    ],
  ])('%s', async (_what, neuron, message) => {
    const receptor = 'receptors' in neuron ? { receptor: 'a' } : {};
    const network = {
      ...base,
      populations: [one, { name: 'n', size: 1, ...neuron }],
      projections: [{ ...joined[0], ...receptor }],
    };
    const error = await rejection(writeNir(network as unknown as Parameters<typeof writeNir>[0]));
    expect(error.code).toBe('NETWORK_INVALID');
    expect(error.message).toMatch(message);
  });
});

describe('damaged files', () => {
  it('says what is no HDF5 file, and what is no NIR file', async () => {
    expect(await rejection(readNir(new Uint8Array(0), options))).toMatchObject({ code: 'FILE_INVALID' });
    expect(await rejection(readNir(new Uint8Array(5000).fill(7), options))).toMatchObject({ code: 'FILE_INVALID' });
    const other = await writeHdf5(new Map([['x', { shape: [2], values: Float64Array.of(1, 2) }]]));
    expect((await rejection(readNir(other, { ...options, name: 'x.h5' }))).message).toMatch(
      /^x\.h5 is an HDF5 file without the group "node"/,
    );
  });

  it('names the node whose numbers are no numbers, whose type is not known, whose parameter is missing', async () => {
    const bad = graphOf(
      { in: input(1), fc: { type: 'Linear', weight: array([1, 1], NaN) }, n: lif(1) },
      'in fc',
      'fc n',
    );
    expect((await rejection(readNirGraph(await writeNirGraph(bad)))).message).toMatch(
      /node "fc" \(Linear\) weight holds NaN at \[0\]/,
    );
    const nodeTree = (fields: [string, Hdf5Values][]): Hdf5Tree =>
      new Map<string, Hdf5Tree | Hdf5Values>([
        [
          'node',
          new Map<string, Hdf5Tree | Hdf5Values>([
            ['type', { shape: [], values: ['NIRGraph'] }],
            ['edges', { shape: [1, 2], values: ['a', 'ghost'] }],
            ['nodes', new Map([['a', new Map(fields)]])],
          ]),
        ],
      ]);
    const read = async (fields: [string, Hdf5Values][]): Promise<string> =>
      (await rejection(readNir(await writeHdf5(nodeTree(fields)), options))).message;
    expect(await read([['type', { shape: [], values: ['Conv3d'] }]])).toMatch(
      /node "a" \(Conv3d\) is of a type that is not known here; known types: NIRGraph, Input/,
    );
    expect(await read([['type', { shape: [], values: ['LIF'] }]])).toMatch(/node "a" \(LIF\) tau is missing/);
    expect(await read([])).toMatch(/node "a" has no type/);
    expect(
      await read([
        ['type', { shape: [], values: ['Input'] }],
        ['shape', { shape: [1], values: Int32Array.of(1) }],
      ]),
    ).toMatch(/has an edge "a" -> "ghost", but no node "ghost"/);
  });

  it('answers every cut or changed file with the network or a typed error, and reads sound ones afterwards', async () => {
    const whole = [
      file('lif_norse'),
      file('two_lif_neurons'),
      await writeNir(await readNir(file('cnn_sinabs'), options)),
    ];
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 32 - 1 }), async (seed) => {
        const random = seededRandom(seed);
        let bytes = whole[random.below(8) === 0 ? 2 : random.below(2)]!.slice();
        if (random.below(4) === 0) bytes = bytes.slice(0, random.below(bytes.length));
        const most = random.below(2) === 0 ? bytes.length : Math.min(bytes.length, 6000);
        for (let k = random.below(8); k >= 0 && bytes.length > 0; k--) {
          const at = random.below(most);
          bytes[at] = random.below(3) === 0 ? bytes[at]! ^ (1 << random.below(8)) : random.below(256);
        }
        try {
          defineNetwork((await readNirNetwork(bytes, { ...options, timeLimit: 2 })).network);
        } catch (error) {
          expect(error).toBeInstanceOf(TuttiError);
          refused++;
        }
      }),
      { numRuns: 200, seed: 20261124 },
    );
    expect(refused).toBeGreaterThan(50);
    const { network } = await readNirNetwork(file('lif_norse'), options);
    expect(network.populations[1]).toMatchObject({ name: '1', model: 'lif' });
  });

  it('refuses graphs that would take hours or all memory', () => {
    const wide = (name: string): NirNode => ({ type: 'Scale', scale: array([], name.length) });
    // Ways through the graph double at each of 40 places.
    const nodes: Record<string, NirNode> = { in: input(2), n: lif(2) };
    const edges: string[] = [];
    let at = 'in';
    for (let k = 0; k < 40; k++) {
      nodes[`a${k}`] = wide('a');
      nodes[`b${k}`] = wide('b');
      nodes[`c${k}`] = wide('c');
      edges.push(`${at} a${k}`, `${at} b${k}`, `a${k} c${k}`, `b${k} c${k}`);
      at = `c${k}`;
    }
    edges.push(`${at} n`);
    const { network } = networkFromNir(graphOf(nodes, ...edges), options);
    expect(network.projections!.length).toBeLessThan(10);
    expect(network.projections![0]!.weights.length).toBe(2);

    const huge: NirNode = { type: 'Scale', scale: array([1], 1) };
    const grow = graphOf(
      { in: input(2 ** 14), f: linear(1, 2 ** 14), g: linear(2 ** 14, 1), s: huge, n: lif(2 ** 14) },
      'in f',
      'f g',
      'g s',
      's n',
    );
    expect(refusal(grow)).toMatchObject({ code: 'LIMIT_EXCEEDED' });

    let deep: NirGraph = graphOf({ a: input(1), b: out }, 'a b');
    for (let k = 0; k < 60; k++) deep = graphOf({ a: input(1), deep, b: out }, 'a deep', 'deep b');
    expect(
      networkFromNir(graphOf({ in: input(1), deep, n: lif(1) }, 'in deep', 'deep n'), options).network.projections!
        .length,
    ).toBe(1);

    // A ring of a thousand neurons, and a thousand neurons that each take their size from the one before.
    const names = Array.from({ length: 1000 }, (_, k) => `n${k}`);
    const ring = graphOf(
      { in: input(3), ...Object.fromEntries(names.map((name) => [name, lif(1)])) },
      ...['in n0', ...names.map((name, k) => `${name} ${names[(k + 1) % 1000]}`)],
    );
    const looped = networkFromNir(ring, options).network;
    expect(looped.projections!.filter(({ delay }) => delay === 1)).toMatchObject([{ from: 'n999', to: 'n0' }]);
    expect(new Set(looped.populations.map((p) => p.size)).size).toBe(1);
  });
});
