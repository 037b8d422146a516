/** The packaged digits on the default machine: the RTL and its model, word for word and cycle for cycle, and what they say. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileNetwork } from '../../host/snn/compile/compile.js';
import { encodeLatency } from '../../host/snn/encoders.js';
import { loadNetwork } from '../../host/snn/file.js';
import { parseIdx } from '../../host/snn/index.js';
import { DEFAULT_MACHINE } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import { inputWords } from '../../host/snn/machine/input-words.js';
import { loadWords } from '../../host/snn/machine/load-words.js';
import { readOutput, type SampleOutput } from '../../host/snn/machine/output-words.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import { simulate, verilate } from './verilate.js';

const DIGITS = 200;
const { steps, pixelThreshold } = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
  steps: number;
  pixelThreshold: number;
};
const labels = parseIdx(new Uint8Array(readFileSync('models/mnist/t200-labels.idx1-ubyte'))).data;
const images = parseIdx(new Uint8Array(readFileSync('models/mnist/t200-images.idx3-ubyte'))).data;
const input = encodeLatency(images, { neurons: 784, steps, threshold: pixelThreshold });

let program: Program;
let binary: string;
beforeAll(() => {
  binary = verilate(DEFAULT_MACHINE);
  const network = loadNetwork(new Uint8Array(readFileSync('models/mnist/sparse.safetensors')));
  if (network.numeric !== 'fixed') throw new Error('models/mnist/sparse.safetensors is not in fixed point');
  // What is compared does not depend on how good the partition is.
  program = compileNetwork(network, { machine: DEFAULT_MACHINE, strategy: 'greedy' });
}, 600_000);

describe('200 digits', () => {
  it('are the same on the RTL as in the cycle model, and 98 % are right', () => {
    const out = program.populations.find((p) => p.name === 'output')!;
    const read = { first: out.firstNeuron, count: out.size, everyStep: false };
    const words = Uint32Array.from(
      Array.from({ length: DIGITS }, (_, sample) => [
        ...inputWords(program, new Map([['input', input]]), sample, { steps, tag: sample }),
      ]).flat(),
    );
    const expected = createCycleModel(program, read).run(words);
    const load = loadWords(program, read);
    const all = new Uint32Array(load.length + words.length);
    all.set(load);
    all.set(words, load.length);
    expect(simulate(binary, all, { ends: DIGITS }).words).toEqual(expected);

    const samples: SampleOutput[] = [];
    for (let at = 0; at < expected.length; at += samples.at(-1)!.words)
      samples.push(readOutput(expected, at, machineSteps(program, steps), read));
    expect(samples.map((sample) => sample.tag)).toEqual(Array.from({ length: DIGITS }, (_, k) => k));
    expect(samples.every((sample) => sample.status === 0 && sample.cycles > 0)).toBe(true);
    const right = samples.filter((sample, k) => {
      const scores = [...program.placement.subarray(out.offset, out.offset + out.size)].map(
        (id) => sample.potentials[id - out.firstNeuron]!,
      );
      return scores.indexOf(Math.max(...scores)) === labels[k];
    });
    expect(right.length).toBeGreaterThanOrEqual(196);
  });
});
