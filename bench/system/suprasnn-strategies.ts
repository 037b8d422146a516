/** Every partition strategy on eight networks and five sizes of the machine: cycles, utilisation, table sizes. */
import { readFileSync } from 'node:fs';
import { compileNetwork, STRATEGIES, type StrategyName } from '../../host/snn/compile/compile.js';
import { measureActivity } from '../../host/snn/compile/activity.js';
import { estimate } from '../../host/snn/compile/estimate.js';
import { lower } from '../../host/snn/compile/lower.js';
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
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { READ_NOTHING } from '../../host/snn/machine/load-words.js';
import { readOutput } from '../../host/snn/machine/output-words.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import type { BenchContext } from '../report.js';

interface Subject {
  readonly name: string;
  /** For the bars. */
  readonly kind: 'dense' | 'pruned' | 'recurrent' | 'convolution';
  readonly network: FixedNetwork;
  readonly input: SpikeTrain;
}

const CALIBRATION = 24;
const MEASURED = 24;

export async function benchStrategies({ quick, say, table, bar }: BenchContext): Promise<void> {
  const simple = (Object.keys(STRATEGIES) as StrategyName[]).filter((name) => name !== 'co-optimised');
  const sizes = quick ? [16, 64] : [4, 8, 16, 32, 64];
  const rows: (string | number)[][] = [];
  const ratios: { kind: string; name: string; spus: number; ratio: number; ofBound: number }[] = [];
  const dense: { spus: number; utilisation: number }[] = [];
  for (const { name, kind, network, input } of subjects()) {
    for (const spus of sizes) {
      const machine = machineOf(spus);
      const cycles = new Map<StrategyName, number>();
      for (const strategy of [...simple, 'co-optimised'] as StrategyName[]) {
        const began = performance.now();
        const program = compileNetwork(network, {
          machine,
          strategy,
          record: [],
          calibration: { inputs: { input }, samples: CALIBRATION },
        });
        const seconds = (performance.now() - began) / 1000;
        const measured = run(program, input);
        cycles.set(strategy, measured.cycles);
        if (kind === 'dense' && strategy === 'co-optimised') dense.push({ spus, utilisation: measured.utilisation });
        rows.push([
          `${name}, ${spus} SPUs, ${strategy}`,
          measured.cycles,
          `${(100 * measured.utilisation).toFixed(0)} %`,
          Math.max(...program.spus.map((spu) => spu.accumulator.length)),
          program.axons,
          program.spus.reduce((sum, spu) => sum + spu.weights.length, 0),
          seconds.toFixed(2),
        ]);
      }
      const best = Math.min(...simple.map((strategy) => cycles.get(strategy)!));
      const lowered = lower(network, new Set());
      const activity = measureActivity(lowered, { inputs: { input }, samples: CALIBRATION });
      const roundRobin = compilePartition(lowered, machine);
      const { bound } = estimate(lowered, machine, roundRobin, activity);
      const ratio = cycles.get('co-optimised')! / best;
      ratios.push({ kind, name, spus, ratio, ofBound: best / bound });
      say(`${name}, ${spus} SPUs: co-optimised / best simple = ${ratio.toFixed(2)}`);
    }
  }
  table({
    title: 'Partition strategies (cycle model, samples not calibrated on)',
    columns: [
      'network, machine, strategy',
      'cycles/step',
      'SPUs busy',
      'operations/SPU',
      'axons',
      'weights',
      'compile s',
    ],
    rows,
    note: `ports: 1 up to 8 SPUs, 2 at 16, 4 above; 8 lanes; cycles per machine step over ${MEASURED} samples`,
  });
  table({
    title: 'Co-optimised against the best simple strategy, and what no partition can beat',
    columns: ['network', 'SPUs', 'cycles, ratio', 'best simple / lower bound'],
    rows: ratios.map(({ name, spus, ratio, ofBound }) => [name, spus, ratio.toFixed(2), ofBound.toFixed(2)]),
    note: 'lower bound: even operations, one port per axon, the sweep; latency between steps not counted. Where the second figure is below 1.33, 0.75 is out of reach',
  });
  const reachable = ratios.filter(
    ({ kind, ofBound }) => (kind === 'pruned' || kind === 'recurrent') && ofBound > 1 / 0.75,
  );
  const least = (kind: string): number => Math.min(...ratios.filter((r) => r.kind === kind).map((r) => r.ratio));
  bar('co-optimised / best simple, pruned networks, best machine', '<=', 0.75, least('pruned'), 'x');
  bar('co-optimised / best simple, recurrent networks, best machine', '<=', 0.75, least('recurrent'), 'x');
  bar(
    'the same, mean over the pruned and recurrent cases in which the bound allows it',
    '<=',
    0.75,
    reachable.reduce((sum, { ratio }) => sum + ratio, 0) / reachable.length,
    'x',
  );
  bar('SPUs busy on the dense network, best machine', '>=', 0.85, Math.max(...dense.map((d) => d.utilisation)), '');
}

function machineOf(spus: number): MachineConfig {
  return {
    ...DEFAULT_MACHINE,
    spus,
    ports: spus <= 8 ? 1 : spus === 16 ? 2 : 4,
    lanes: 8,
    operations: 2 ** 17,
    accumulators: 2048,
    axons: 2 ** 15,
    neurons: 2048,
    queue: 4096,
  };
}

/** The bound does not depend on the partition; any will do to ask for it. */
function compilePartition(lowered: ReturnType<typeof lower>, machine: MachineConfig): Parameters<typeof estimate>[2] {
  return {
    spu: Uint8Array.from({ length: lowered.post.length }, (_, k) => k % machine.spus),
    placement: Uint32Array.from({ length: lowered.neurons }, (_, n) => n),
  };
}

function run(program: Program, input: SpikeTrain): { cycles: number; utilisation: number } {
  const model = createCycleModel(program);
  const inputs = new Map([['input', input]]);
  const steps = machineSteps(program, input.steps);
  let cycles = 0;
  let operations = 0;
  for (let sample = CALIBRATION; sample < CALIBRATION + MEASURED; sample++) {
    const words = model.run(inputWords(program, inputs, sample, { steps: input.steps, tag: 0 }));
    const output = readOutput(words, 0, steps, READ_NOTHING);
    cycles += output.cycles;
    operations += output.operations;
  }
  return { cycles: cycles / MEASURED / steps, utilisation: operations / (cycles * program.machine.spus) };
}

export function* subjects(): Generator<Subject> {
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/mnist/${name}`));
  const images = parseIdx(read('t200-images.idx3-ubyte')).data.subarray(0, 784 * (CALIBRATION + MEASURED));
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
