/** The device with real machines behind it: what comes out is what `runProgram` puts out elsewhere, and the cycles are those of the model. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildSimulator } from '../../rtl/sim/build-simulator.js';
import { expected, run, work } from './program-work.js';
import { randomInput, randomProgram } from '../../host/kernels/conformance/random-program.js';
import type { Device } from '../../host/device/device.js';
import { DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
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

describe('a device with the RTL twin behind it', () => {
  it('puts out what runProgram does elsewhere, cycle for cycle what the model says', async () => {
    const fpga = await device({});
    const machine = fpga.capabilities.machine!;
    expect(fpga.capabilities.name).toContain('RTL twin');
    for (let seed = 1; seed <= 6; seed++) {
      const job = work(machine, seed, 2);
      expect(await run(fpga, job), `seed ${seed}`).toEqual(await expected(job));
    }
  });

  it('runs the programs of smaller machines with the same shape, and takes turns with others', async () => {
    const machine = { ...DEFAULT_MACHINE, operations: 512, neurons: 128, axons: 64, accumulators: 64, queue: 100 };
    const [first, second] = await Promise.all([device({ id: 'first' }), device({ id: 'second' })]);
    const job = work(machine, 5, 3);
    const [a, b] = await Promise.all([run(first, job), run(second, job)]);
    const wanted = await expected(job);
    expect(a).toEqual(wanted);
    expect(b).toEqual(wanted);
  });

  it('never lets the machine wait for a word, however long a sample is', async () => {
    const fpga = await device({});
    const program = randomProgram(fpga.capabilities.machine!, {
      seed: 3,
      threshold: 1000,
      row: 1,
      groups: 4,
      axons: 64,
    });
    const steps = 500;
    const samples = [
      randomInput(program, { seed: 4, steps, rate: 100 }),
      randomInput(program, { seed: 5, steps, rate: 9 }),
    ];
    expect(samples[0]!.length).toBeGreaterThan(40_000);
    const job = { program, samples, steps, read: { first: 0, count: 4, everyStep: false } };
    expect(await run(fpga, job)).toEqual(await expected(job));
  });

  it('is served to others over a socket', async () => {
    const server = createMachineServer(linkAt('twin'));
    const listener = createServer((socket) => server.accept(linkOfSocket('host', socket)));
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    undo.push(() => server.close());
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const fpga = await device({ url: `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}` });
    const job = work(fpga.capabilities.machine!, 8, 2);
    expect(await run(fpga, job)).toEqual(await expected(job));
  });
});
