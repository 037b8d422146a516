/** The networks that partition strategies are compared on, with the spikes of packaged digits. */
import { readFileSync } from 'node:fs';
import {
  defineNetwork,
  encodeLatency,
  encodeRate,
  loadNetwork,
  parseIdx,
  seededRandom,
  toDense,
  type FixedNetwork,
  type SpikeTrain,
} from '../../host/snn/index.js';

export interface Subject {
  readonly name: string;
  /** For the bars. */
  readonly kind: 'dense' | 'pruned' | 'recurrent' | 'convolution';
  readonly network: FixedNetwork;
  readonly input: SpikeTrain;
}

export function* subjects(samples: number): Generator<Subject> {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/mnist/${name}`));
  const images = parseIdx(read('t200-images.idx3-ubyte')).data.subarray(0, 784 * samples);
  const latency = encodeLatency(images, { neurons: 784, steps: 6, threshold: 64 });
  const rate = encodeRate(
    Float32Array.from(images, (v) => (0.6 * v) / 255),
    { neurons: 784, steps: 20, seed: 1 },
  );
  const trained = loadNetwork(read('dense.safetensors')) as FixedNetwork;
  yield { name: 'MNIST 784-112-10 dense', kind: 'dense', network: trained, input: latency };
  for (const share of [0.5, 0.8, 0.95])
    yield { name: `MNIST pruned ${100 * share} %`, kind: 'pruned', network: prune(trained, share), input: latency };
  yield {
    name: 'MNIST 784-128-10, trained sparse',
    kind: 'pruned',
    network: loadNetwork(read('sparse.safetensors')) as FixedNetwork,
    input: latency,
  };
  for (const share of [0.8, 0.95])
    yield {
      name: `MNIST pruned ${100 * share} %, rate code`,
      kind: 'pruned',
      network: prune(trained, share),
      input: rate,
    };
  yield { name: '784-512-10, 95 % pruned', kind: 'pruned', network: random(512, 0.05, 0), input: rate };
  yield { name: '784-512-10, 95 %, recurrent 5 %', kind: 'recurrent', network: random(512, 0.05, 0.05), input: rate };
  yield { name: '784-512-10, 95 %, recurrent 10 %', kind: 'recurrent', network: random(512, 0.05, 0.1), input: rate };
  yield { name: 'convolution 8 x 5 x 5, stride 2', kind: 'convolution', network: convolution(), input: latency };
}

/** Without the given share of its smallest weights. */
function prune(network: FixedNetwork, share: number): FixedNetwork {
  return defineNetwork({
    name: `pruned-${share}`,
    numeric: 'fixed',
    populations: network.populations,
    projections: network.projections.map((projection) => {
      const size = (name: string): number => network.populations.find((p) => p.name === name)!.size;
      const weights = Int8Array.from(toDense(projection, size(projection.from), size(projection.to)));
      const sizes = Int8Array.from(weights, (w) => Math.min(127, Math.abs(w))).sort();
      const limit = sizes[Math.floor(share * sizes.length)]!;
      return {
        name: projection.name,
        from: projection.from,
        to: projection.to,
        kind: 'dense' as const,
        weights: weights.map((w) => (Math.abs(w) < limit ? 0 : w)),
        shift: projection.shift,
      };
    }),
  } as Parameters<typeof defineNetwork>[0]) as FixedNetwork;
}

function random(hidden: number, density: number, recurrent: number): FixedNetwork {
  const source = seededRandom(1);
  const weights = (count: number, share: number): Int8Array =>
    Int8Array.from({ length: count }, () =>
      source.uniform() < share ? Math.max(-100, Math.min(100, Math.round(source.normal() * 30))) : 0,
    );
  return defineNetwork({
    name: `random-${density}-${recurrent}`,
    numeric: 'fixed',
    populations: [
      { name: 'input', model: 'input', size: 784 },
      { name: 'hidden', model: 'lif', size: hidden, leakShift: 3, threshold: 200, reset: { kind: 'subtract' } },
      { name: 'output', model: 'li', size: 10 },
    ],
    projections: [
      { from: 'input', to: 'hidden', kind: 'dense', weights: weights(784 * hidden, density) },
      { from: 'hidden', to: 'output', kind: 'dense', weights: weights(10 * hidden, 0.3) },
      ...(recurrent > 0
        ? [{ from: 'hidden', to: 'hidden', kind: 'dense' as const, weights: weights(hidden * hidden, recurrent) }]
        : []),
    ],
  }) as FixedNetwork;
}

function convolution(): FixedNetwork {
  const source = seededRandom(2);
  const weights = (count: number): Int8Array => Int8Array.from({ length: count }, () => source.below(41) - 20);
  return defineNetwork({
    name: 'convolution',
    numeric: 'fixed',
    populations: [
      { name: 'input', model: 'input', shape: [1, 28, 28] },
      { name: 'maps', model: 'if', shape: [8, 12, 12], threshold: 60, reset: { kind: 'subtract' } },
      { name: 'output', model: 'li', size: 10 },
    ],
    projections: [
      {
        from: 'input',
        to: 'maps',
        kind: 'convolution',
        weights: weights(8 * 25),
        layout: 'outInHeightWidth',
        kernel: [5, 5],
        stride: [2, 2],
      },
      { from: 'maps', to: 'output', kind: 'dense', weights: weights(1152 * 10) },
    ],
  }) as FixedNetwork;
}
