/** Random programs with samples, run as a kernel on any device, and what must come of them on a machine that counts cycles. */
import { createOracleDevice } from '../../host/device/oracle.js';
import type { Device, DeviceBuffer } from '../../host/device/device.js';
import { programTables, runProgram } from '../../host/kernels/machine/index.js';
import type { MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import type { ReadRequest } from '../../host/snn/machine/load-words.js';
import { findEnd, outputBound } from '../../host/snn/machine/output-words.js';
import { encodeProgram } from '../../host/snn/machine/program-file.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import { randomInput, randomProgram } from '../../host/kernels/conformance/random-program.js';

export interface Work {
  readonly program: Program;
  readonly samples: readonly Uint32Array[];
  readonly steps: number;
  readonly read: ReadRequest;
}

export function work(machine: MachineConfig, seed: number, count: number): Work {
  const program = randomProgram(machine, { seed, stretch: 1 + (seed % 2) });
  const steps = 3 + (seed % 20);
  const samples = Array.from({ length: count }, (_, b) =>
    randomInput(program, { seed: 100 * seed + b, steps, rate: 1 + (seed % 7), bad: seed % 3 === 0 }),
  );
  const first = seed % 5;
  return { program, samples, steps, read: { first, count: program.neurons - first, everyStep: seed % 4 === 0 } };
}

export async function run(on: Device, { program, samples, steps, read }: Work): Promise<Uint32Array[]> {
  const file = encodeProgram(program);
  const { words: tables, stateWords } = programTables(file);
  const outputWords = outputBound(program.neurons, machineSteps(program, steps), read);
  const buffer = (words: Uint32Array, label: string): DeviceBuffer => {
    const made = on.allocate(words.byteLength, label);
    on.write(made, words);
    return made;
  };
  const starts = new Uint32Array(samples.length + 1);
  samples.forEach((sample, b) => (starts[b + 1] = starts[b]! + sample.length));
  const buffers = {
    program: buffer(file, 'program'),
    tables: buffer(tables, 'tables'),
    inputs: buffer(Uint32Array.from(samples.flatMap((sample) => [...sample])), 'inputs'),
    inputStart: buffer(starts, 'inputStart'),
    outputs: buffer(new Uint32Array(samples.length * outputWords), 'outputs'),
    state: buffer(new Uint32Array(samples.length * stateWords), 'state'),
  };
  const scalars = { batch: samples.length, steps, outputWords, stateWords };
  const { first: readFirst, count: readCount, everyStep } = read;
  const call = runProgram({ ...buffers, ...scalars, readFirst, readCount, everyStep: Number(everyStep) });
  const running = on.run([call]);
  const words = new Uint32Array(await on.read(buffers.outputs));
  await running;
  for (const each of Object.values(buffers)) each.release();
  return samples.map((_, b) => words.slice(b * outputWords, (b + 1) * outputWords));
}

/** Every sample as the oracle has it, with the cycle model's cycles. */
export async function expected(of: Work): Promise<Uint32Array[]> {
  const oracle = createOracleDevice();
  const model = createCycleModel(of.program, of.read);
  const outputs = await run(oracle, of);
  await oracle.close();
  return outputs.map((words, b) => {
    const timed = model.run(of.samples[b]!);
    words[findEnd(words, 0) + 1] = timed[findEnd(timed, 0) + 1]!;
    return words;
  });
}
