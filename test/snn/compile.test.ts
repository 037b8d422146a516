/** Compiled programs against the independent simulator of reference.ts and against their own validator, on random networks. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../../host/errors.js';
import { compileNetwork, measureCycles, STRATEGIES, type StrategyName } from '../../host/snn/compile/compile.js';
import { measureActivity } from '../../host/snn/compile/activity.js';
import { estimate, lowerBound } from '../../host/snn/compile/estimate.js';
import { layOut } from '../../host/snn/compile/layout.js';
import { lower } from '../../host/snn/compile/lower.js';
import { suggestMachine } from '../../host/snn/compile/suggest-machine.js';
import { validateProgram } from '../../host/snn/compile/validate-program.js';
import {
  defineNetwork,
  seededRandom,
  spikeTrain,
  type FixedNetwork,
  type SpikingNetwork,
} from '../../host/snn/index.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { readOutput } from '../../host/snn/machine/output-words.js';
import { decodeProgram, encodeProgram } from '../../host/snn/machine/program-file.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import { fixedNetwork, referenceSpikes, seeds, stimulus, trainsOf } from './arbitraries.js';
import { simulate } from './reference.js';

const steps = 10;
const sizesOf = (network: SpikingNetwork): Map<string, number> =>
  new Map(network.populations.map((p) => [p.name, p.size]));

/** A machine large enough for any of the generated networks, in many shapes. */
const machines = fc
  .record({
    spus: fc.constantFrom(1, 2, 4, 8, 16, 64),
    ports: fc.constantFrom(1, 2, 4),
    lanes: fc.constantFrom(1, 2, 4, 8),
    tight: fc.boolean(),
  })
  .filter(({ spus, ports }) => ports <= spus)
  .map(({ spus, ports, lanes, tight }): MachineConfig => {
    const neurons = 512;
    return {
      ...DEFAULT_MACHINE,
      spus,
      ports,
      lanes,
      operations: 2 ** 16,
      // As few as the most frugal strategy needs, or as many as any may want.
      accumulators: tight ? Math.ceil(neurons / lanes / spus + 1) * lanes : neurons,
      axons: 2 ** 14,
      neurons,
      classes: 64,
      delaySlots: 64,
      queue: 2 ** 14,
      accumulatorBits: 30,
      potentialBits: 30,
    };
  });

const strategies = fc.constantFrom(...(Object.keys(STRATEGIES) as StrategyName[]));

/** Compiled, or undefined when the network is one that no machine, or with this strategy not this machine, can run. */
function compiled(
  network: FixedNetwork,
  machine: MachineConfig,
  strategy: StrategyName,
  slack: 0 | 1 | undefined,
): Program | undefined {
  try {
    return compileNetwork(network, { machine, strategy, seed: 3, ...(slack === undefined ? {} : { slack }) });
  } catch (error) {
    expect(error).toBeInstanceOf(TuttiError);
    const { code, message } = error as TuttiError;
    if (code === 'NETWORK_INVALID') expect(message).toMatch(/different sets of parameters|times in a step|no neurons/);
    else {
      expect(code).toBe('LIMIT_EXCEEDED');
      expect(message).toMatch(/accumulators|bits of|sets of neuron parameters|partial sums/);
    }
    return undefined;
  }
}

/** A recurrent network with a delay, a shift, and neurons that do not fill their last group. */
const small = defineNetwork({
  numeric: 'fixed',
  populations: [
    { name: 'in', model: 'input', size: 12 },
    { name: 'hidden', model: 'lif', size: 10, leakShift: 3, threshold: 60, reset: { kind: 'subtract' } },
    { name: 'out', model: 'li', size: 3 },
  ],
  projections: [
    {
      from: 'in',
      to: 'hidden',
      kind: 'dense',
      weights: Array.from({ length: 120 }, (_, i) => ((i * 37) % 41) - 20),
      delay: 1,
    },
    {
      from: 'hidden',
      to: 'hidden',
      kind: 'dense',
      weights: Array.from({ length: 100 }, (_, i) => ((i * 13) % 11) - 5),
    },
    {
      from: 'hidden',
      to: 'out',
      kind: 'dense',
      weights: Array.from({ length: 30 }, (_, i) => ((i * 29) % 31) - 15),
      shift: 2,
    },
  ],
}) as FixedNetwork;

describe('a compiled program', () => {
  it('is proved by the validator, survives its file, and computes what the network computes', () => {
    fc.assert(
      fc.property(seeds, machines, strategies, fc.constantFrom(undefined, 0, 1), (seed, machine, strategy, slack) => {
        const network = defineNetwork(fixedNetwork(seed)) as FixedNetwork;
        const program = compiled(network, machine, strategy, slack);
        // Another network instead of one that does not fit: a run that compares nothing proves nothing.
        if (program === undefined) return fc.pre(false);
        const sizes = sizesOf(network);
        const given = stimulus(seed, fixedNetwork(seed), { steps, batch: 1 });
        const inputs = trainsOf(given, sizes);
        expect(validateProgram(program, network, { inputs }).synapses).toBe(network.synapses);
        expect(decodeProgram(encodeProgram(program))).toEqual(program);

        const expected = simulate(network, { spikes: referenceSpikes(given, sizes, 0) }, steps);
        const range = { first: 0, count: program.placement.length, everyStep: false };
        const words = inputWords(program, new Map(Object.entries(inputs)), 0, { steps, tag: 7 });
        const output = readOutput(createCycleModel(program, range).run(words), 0, machineSteps(program, steps), range);
        expect(output.status).toBe(0);
        const idOf = new Map([...program.placement].map((place, n) => [place, n]));
        for (const population of program.populations) {
          if (population.model === 'input') continue;
          const { name, offset, size, skew } = population;
          const final = Array.from({ length: size }, (_, n) => output.potentials[program.placement[offset + n]!]);
          expect(final).toEqual(expected.potentials.at(-1)![name]);
          if (population.model === 'li') continue;
          const fired: number[][] = Array.from({ length: steps }, () => []);
          output.spikeSteps.forEach((machineStep, i) => {
            const n = idOf.get(output.spikeNeurons[i]!)! - offset;
            if (n >= 0 && n < size) fired[(machineStep - skew) / program.stretch]!.push(n);
          });
          expect(fired.map((ids) => ids.sort((a, b) => a - b))).toEqual(expected.fired.map((step) => step[name]));
        }
      }),
      { numRuns: 70 },
    );
  });

  it('is the same again from the same seed', () => {
    const machine = { ...DEFAULT_MACHINE, classes: 64, axons: 4096, operations: 2 ** 15, potentialBits: 30 };
    for (const strategy of Object.keys(STRATEGIES) as StrategyName[]) {
      const once = encodeProgram(compileNetwork(small, { machine, strategy }));
      expect(encodeProgram(compileNetwork(small, { machine, strategy }))).toEqual(once);
    }
  });
});

describe('the estimator', () => {
  it('tells the cycles of a sample within a few percent, and a bound that no strategy beats', () => {
    const random = seededRandom(9);
    const lists = Array.from({ length: 12 }, () =>
      Array.from({ length: 4 }, () => Array.from({ length: 12 }, (_, i) => i).filter(() => random.below(3) === 0)),
    );
    const inputs = { in: spikeTrain(lists, 12) };
    for (const [spus, ports, lanes] of [
      [1, 1, 1],
      [4, 1, 2],
      [4, 2, 4],
      [16, 4, 2],
      [16, 8, 8],
    ] as const) {
      const machine = { ...DEFAULT_MACHINE, spus, ports, lanes };
      for (const slack of [0, 1]) {
        const lowered = lower(small, new Set(), slack);
        const activity = measureActivity(lowered, { inputs });
        const bound = lowerBound(lowered, machine, activity).cycles;
        for (const strategy of Object.keys(STRATEGIES) as StrategyName[]) {
          const cyclesOf = (): number => 0;
          const partition = STRATEGIES[strategy]({ lowered, machine, seed: 1, activity, cyclesOf });
          const head = { name: 'small', strategy, seed: 1, synapses: lowered.post.length, maxSteps: Infinity };
          const measured = measureCycles({ ...head, ...layOut(lowered, machine, partition) }, inputs, 4);
          expect(bound).toBeLessThanOrEqual(measured);
          const { cycles } = estimate(lowered, machine, partition, activity);
          expect(Math.abs(cycles / measured - 1), `${strategy} on ${spus} SPUs`).toBeLessThan(0.1);
        }
      }
    }
  });
});

describe('the validator', () => {
  const machine = { ...DEFAULT_MACHINE, spus: 4, ports: 2, lanes: 2 };
  const words = encodeProgram(compileNetwork(small, { machine, strategy: 'round-robin' }));
  const fresh = (): Program => decodeProgram(words);

  /** Everything of a program that decides what it computes, as places that hold a number. */
  const tables = (program: Program): [string, { [index: number]: number; readonly length: number }][] => [
    ...(
      [
        'placement',
        'inputStart',
        'inputAxon',
        'inputDelay',
        'neuronClass',
        'bias',
        'firstAxon',
        'axonCount',
        'axonDelay',
        'routing',
      ] as const
    ).map((field) => [field, program[field]] as [string, Uint32Array]),
    ...program.spus.flatMap((spu, p) =>
      (
        ['rowStart', 'rowCount', 'rowBase', 'rowShift', 'accumulator', 'weightIndex', 'weights', 'emission'] as const
      ).map((field) => [`${field} of SPU ${p}`, spu[field]] as [string, Uint32Array]),
    ),
  ];

  /** Places that nothing reads: the axon index of neurons without axons, rows without operations, unused delays. */
  const idle = (program: Program, name: string, at: number): boolean => {
    const { ports } = program.machine;
    if (name === 'firstAxon') return program.axonCount[at] === 0;
    if (name === 'axonDelay') {
      for (let n = 0; n < program.neurons; n++)
        if (at >= program.firstAxon[n]! && at < program.firstAxon[n]! + program.axonCount[n]!) return false;
      return true;
    }
    const spu = /^row(?:Start|Base|Shift) of SPU (\d+)$/.exec(name);
    if (spu !== null) return program.spus[Number(spu[1])]!.rowCount[at] === 0;
    return ports === 0;
  };

  it('finds any one number that is changed', () => {
    expect(validateProgram(fresh(), small).synapses).toBe(small.synapses);
    const random = seededRandom(5);
    const lists = Array.from({ length: 20 }, () =>
      Array.from({ length: 4 }, () => Array.from({ length: 12 }, (_, i) => i).filter(() => random.below(2) === 0)),
    );
    const inputs = { in: spikeTrain(lists, 12) };
    let changed = 0;
    let equivalent = 0;
    tables(fresh()).forEach(([name, { length }], t) => {
      for (let at = 0; at < length; at++) {
        const program = fresh();
        if (idle(program, name, at)) continue;
        const table = tables(program)[t]![1];
        const before = table[at]!;
        table[at] = before + 1;
        if (table[at] === before) table[at] = before - 1;
        changed++;
        try {
          validateProgram(program, small);
        } catch (error) {
          expect(error).toBeInstanceOf(TuttiError);
          continue;
        }
        // A row that begins one operation later where that is the same again: it must compute the same.
        equivalent++;
        expect(validateProgram(program, small, { inputs }).samples, `${name}[${at}] ${before}`).toBe(4);
      }
    });
    expect(changed).toBeGreaterThan(500);
    expect(equivalent).toBeLessThan(0.02 * changed);
  });

  it('says what is wrong', () => {
    const program = fresh();
    program.spus[1]!.weights[0]!--;
    expect(() => validateProgram(program, small)).toThrow(
      /the synapse of neuron \d+ of "(in|hidden)" to neuron id \d+ with -?\d+ after \d machine steps is missing/,
    );
  });

  it('finds a neuron parameter that is changed', () => {
    for (const change of [
      { leakShift: 4 },
      { threshold: 61 },
      { subtract: false },
      { initial: 1 },
      { skew: 1 },
      { refractorySteps: 1 },
    ]) {
      const program = fresh();
      const classes = program.classes.map((c) => (c.spiking ? { ...c, ...change } : c));
      expect(() => validateProgram({ ...program, classes }, small)).toThrow(/neuron 0 of "hidden" has the wrong/);
    }
  });
});

describe('a network that does not fit', () => {
  const dense = (inputs: number, neurons: number): FixedNetwork =>
    defineNetwork({
      name: 'large',
      numeric: 'fixed',
      populations: [
        { name: 'in', model: 'input', size: inputs },
        { name: 'out', model: 'lif', size: neurons, leakShift: 3, threshold: 60 },
      ],
      projections: [
        {
          from: 'in',
          to: 'out',
          kind: 'dense',
          weights: Array.from({ length: inputs * neurons }, (_, i) => (i % 11) + 1),
        },
      ],
    }) as FixedNetwork;

  it('says by how much, which memory, and what would make it fit', () => {
    const machine = {
      ...DEFAULT_MACHINE,
      spus: 2,
      ports: 1,
      lanes: 1,
      operations: 100,
      axons: 20,
      neurons: 16,
      accumulators: 16,
    };
    const compile = (m: MachineConfig) => () => compileNetwork(dense(30, 17), { machine: m, strategy: 'by-pre' });
    expect(compile(machine)).toThrow(/axons: 30, 10 more than the 20 there are/);
    let message = '';
    try {
      compile({ ...machine, accumulators: 17 })();
    } catch (error) {
      expect((error as TuttiError).code).toBe('LIMIT_EXCEEDED');
      ({ message } = error as Error);
    }
    expect(message).toMatch(/operations of SPU \d: \d+, \d+ more than the 100 there are/);
    expect(message).toMatch(/neurons: 17, 1 more than the 16/);
    // What it proposes does fit.
    const proposed = /It fits a machine with ([\w=, ]+?)(?: \(or more SPUs|$)/.exec(message)![1]!;
    const changes = Object.fromEntries(proposed.split(', ').map((c) => [c.split('=')[0]!, Number(c.split('=')[1])]));
    expect(() => compile({ ...machine, accumulators: 17, ...changes })()).not.toThrow();
  });

  it('is given a machine that it fits, and on which nothing can overflow', () => {
    fc.assert(
      fc.property(seeds, strategies, (seed, strategy) => {
        const network = defineNetwork(fixedNetwork(seed)) as FixedNetwork;
        const tiny = { ...DEFAULT_MACHINE, spus: 4, ports: 2, lanes: 2, operations: 8, axons: 4, neurons: 4 };
        const machine = { ...tiny, accumulators: 2, classes: 1, delaySlots: 2, queue: 1, accumulatorBits: 8 };
        let found;
        try {
          found = suggestMachine(network, { machine, strategy });
        } catch (error) {
          expect((error as TuttiError).code).toMatch(/NETWORK_INVALID|LIMIT_EXCEEDED/);
          return;
        }
        expect(() => compileNetwork(network, { machine: found.machine, strategy })).not.toThrow();
        const { mayOverflow } = validateProgram(found.program, network);
        // Potentials that drift for ever leave any width.
        expect(mayOverflow.filter((what) => !what.startsWith('potentials'))).toEqual([]);
        expect(found.machine).toEqual({ ...machine, ...found.changes });
      }),
      { numRuns: 25 },
    );
    expect(suggestMachine(dense(10, 10), { strategy: 'greedy' }).changes).toEqual({});
  });

  it('is refused for what no machine can do', () => {
    const float = defineNetwork({
      numeric: 'float32',
      dt: 1e-3,
      populations: [
        { name: 'in', model: 'input', size: 1 },
        { name: 'out', model: 'if', size: 1, threshold: 1 },
      ],
      projections: [{ from: 'in', to: 'out', kind: 'dense', weights: [1] }],
    });
    expect(() => compileNetwork(float)).toThrow(/float32; the synapse machine computes in integers: quantise it first/);
    expect(() => compileNetwork(dense(2, 2), { record: ['in'] })).toThrow(/no population that fires; there are out/);
    expect(() => compileNetwork(dense(2, 2), { strategy: 'best' as never })).toThrow(/choose round-robin, by-post/);
    const aborted = AbortSignal.abort();
    expect(() => compileNetwork(dense(2, 2), { signal: aborted })).toThrow(/compiling network "large" was cancelled/);
  });
});
