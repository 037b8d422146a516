/** The device with real machines behind it: what comes out is what `runProgram` puts out elsewhere, and the cycles are those of the model. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildSimulator } from '../../rtl/sim/build-simulator.js';
import { randomInput, randomProgram } from '../rtl/random-program.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import type { Device, DeviceBuffer } from '../../host/device/device.js';
import { programTables, runProgram } from '../../host/kernels/machine/index.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { createCycleModel } from '../../host/snn/machine/cycle-model.js';
import type { ReadRequest } from '../../host/snn/machine/load-words.js';
import { findEnd, outputBound } from '../../host/snn/machine/output-words.js';
import { encodeProgram } from '../../host/snn/machine/program-file.js';
import { machineSteps, type Program } from '../../host/snn/machine/program.js';
import { linkAt } from '../../host/fpga/address.js';
import { createFpgaDevice, type FpgaDeviceOptions } from '../../host/fpga/create-fpga-device.js';
import { linkOfSocket } from '../../host/fpga/node-link.js';
import { createMachineServer } from '../../host/fpga/serve-machine.js';

const SMALL: MachineConfig = {
  ...DEFAULT_MACHINE,
  ...{ spus: 4, ports: 2, lanes: 2, operations: 256, accumulators: 32, axons: 64, neurons: 160, queue: 64 },
};

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function device(options: FpgaDeviceOptions): Promise<Device> {
  const made = await createFpgaDevice(options);
  undo.push(() => made.close());
  return made;
}

interface Work {
  readonly program: Program;
  readonly samples: readonly Uint32Array[];
  readonly steps: number;
  readonly read: ReadRequest;
}

function work(machine: MachineConfig, seed: number, count: number): Work {
  const program = randomProgram(machine, { seed, stretch: 1 + (seed % 2) });
  const steps = 3 + (seed % 20);
  const samples = Array.from({ length: count }, (_, b) =>
    randomInput(program, { seed: 100 * seed + b, steps, rate: 1 + (seed % 7), bad: seed % 3 === 0 }),
  );
  const first = seed % 5;
  return { program, samples, steps, read: { first, count: program.neurons - first, everyStep: seed % 4 === 0 } };
}

async function run(on: Device, { program, samples, steps, read }: Work): Promise<Uint32Array[]> {
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
async function expected(of: Work): Promise<Uint32Array[]> {
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

describe('a device with the native simulator behind it', () => {
  let program: string;
  beforeAll(async () => {
    program = await buildSimulator(SMALL);
  }, 120_000);

  it('puts out what runProgram does elsewhere, cycle for cycle what the model says', async () => {
    const fpga = await device({ url: `sim:${program}` });
    expect(fpga.capabilities.machine).toEqual(SMALL);
    for (let seed = 1; seed <= 12; seed++) {
      const job = work(SMALL, seed, 6);
      expect(await run(fpga, job), `seed ${seed}`).toEqual(await expected(job));
    }
  });

  it('does so over frames and a socket that is torn down again and again', async () => {
    const server = createMachineServer(linkAt(`sim:${program}`));
    const sockets: Socket[] = [];
    const listener = createServer((socket) => {
      sockets.push(socket);
      server.accept(linkOfSocket('host', socket));
    });
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    undo.push(() => server.close());
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const fpga = await device({ url: `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}` });
    let torn = 0;
    const tearing = setInterval(() => torn++ < 10 && sockets.at(-1)?.destroy(), 40);
    undo.push(() => clearInterval(tearing));
    for (let seed = 20; seed < 24; seed++) {
      const job = work(SMALL, seed, 40);
      expect(await run(fpga, job), `seed ${seed}`).toEqual(await expected(job));
    }
    expect(sockets.length).toBeGreaterThan(3);
  });
});
