import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createDevicePool } from '../device/pool.js';
import { runWithReplay } from '../device/replay.js';
import type { Device, KernelBody } from '../device/device.js';
import { TuttiError } from '../errors.js';
import { DEFAULT_MACHINE } from '../snn/machine/config.js';
import { machineSteps } from '../snn/machine/program.js';
import { createFpgaDevice, type FpgaDeviceOptions } from './create-fpga-device.js';
import { batchOf, callFor, expected, runBatch, runProgramBody as body, type Batch } from './fixtures/batch.js';
import { dialServer, seeded, withFaults, type Faults } from './fixtures/link-pair.js';
import { smallProgram } from './fixtures/small-program.js';
import { openWordMachine, type WordMachine, type WordMachineOptions } from './fixtures/word-machine.js';
import type { ByteLink } from './machine-link.js';
import { CAPABILITIES_AT, REGISTER } from './register-map.js';
import type { Timing } from './reliable-stream.js';
import { createMachineServer } from './serve-machine.js';
import { openSession } from './session-client.js';

const devices: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const device of devices.splice(0)) await device.close();
});
const kept = <T extends { close(): Promise<void> }>(thing: T): T => {
  devices.push(thing);
  return thing;
};
const open = async (machine: WordMachineOptions = {}, options: FpgaDeviceOptions = {}): Promise<Device> =>
  kept(await createFpgaDevice({ link: openWordMachine(machine), timeoutMs: 300, ...options }));

const program = smallProgram();

describe('a device of kind fpga', () => {
  it('says what the board is', async () => {
    const machine = { ...DEFAULT_MACHINE, spus: 4, ports: 1, neurons: 64 };
    const device = await open({ machine }, { id: 'board' });
    expect(device).toMatchObject({ id: 'board', kind: 'fpga' });
    expect(device.capabilities).toMatchObject({ machine, rtlVersion: '1.0', software: false, threads: 1 });
    expect(device.capabilities.name).toContain('4 SPUs at 1 port (word machine)');
  });

  it('runs batches: words as the machine put them out, then zeros', async () => {
    const machines: WordMachine[] = [];
    const device = await open({ onOpen: (machine) => machines.push(machine) });
    const batch = batchOf(program, 40);
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    const every = { ...batch, read: { first: 1, count: 3, everyStep: true } };
    const loads = machines[0]!.loads;
    expect(await runBatch(device, every)).toEqual(expected(every));
    // Only what is read was loaded anew.
    expect(machines[0]!.loads).toBe(loads + 1);
    expect(await runBatch(device, every)).toEqual(expected(every));
    expect(machines[0]!.loads).toBe(loads + 1);
    const other = batchOf(smallProgram(2), 3);
    expect(await runBatch(device, other)).toEqual(expected(other));
    expect(machines[0]!.loads).toBe(2 * loads + 1);
    expect(machines).toHaveLength(1);
    expect(device.memory.inUse).toBe(0);
  });

  it('cuts what has no room, as the kernel does', async () => {
    const device = await open();
    for (const outputWords of [4, 5, 11, 20]) {
      const batch = { ...batchOf(program, 20), outputWords };
      expect(await runBatch(device, batch)).toEqual(expected(batch));
    }
  });

  it('keeps the order of issue, and runs a list as often as it is told', async () => {
    const device = await open();
    const [a, b] = [batchOf(program, 5, { seed: 1 }), batchOf(smallProgram(3), 7, { seed: 2 })];
    const [first, second] = [callFor(device, a), callFor(device, b)];
    const runs = [device.run([first.call, second.call], { steps: 2 }), device.run([second.call])];
    const [x, y] = await Promise.all([device.read(first.outputs), device.read(second.outputs)]);
    await Promise.all(runs);
    expect(new Uint32Array(x)).toEqual(expected(a));
    expect(new Uint32Array(y)).toEqual(expected(b));
    await device.warmup([body]);
  });

  it('refuses every other kernel, naming what it can run', async () => {
    const device = await open();
    const other = { ...body, name: 'neuronStep' } as KernelBody;
    const refusal = {
      code: 'KERNEL_UNSUPPORTED',
      message: expect.stringMatching(/"neuronStep".*"runProgram" only/),
    };
    await expect(device.run([{ kernel: other, buffers: [], scalars: [] }])).rejects.toMatchObject(refusal);
    await expect(device.warmup([body, other])).rejects.toMatchObject(refusal);
    const batch = batchOf(program, 2);
    expect(await runBatch(device, batch)).toEqual(expected(batch));
  });

  it('refuses a program for another machine, naming what differs', async () => {
    const device = await open({ machine: { ...DEFAULT_MACHINE, spus: 8, operations: 1024, neurons: 1024 } });
    await expect(runBatch(device, batchOf(program, 1))).rejects.toMatchObject({
      code: 'KERNEL_UNSUPPORTED',
      message: expect.stringMatching(/spus 16, the board has 8; operations 4096, the board has 1024/),
      facts: {
        differences: [
          { field: 'spus', program: 16, board: 8 },
          { field: 'operations', program: 4096, board: 1024 },
        ],
      },
    });
    const fits = batchOf(smallProgram(1, { ...DEFAULT_MACHINE, spus: 8, operations: 512 }), 3);
    expect(await runBatch(device, fits)).toEqual(expected(fits));
  });

  it('refuses words that no machine would ever end, and damaged programs', async () => {
    const device = await open();
    const batch = batchOf(program, 3);
    const total = machineSteps(program, batch.steps);
    const broken = (change: (words: number[]) => void): Batch => {
      const words = [...batch.samples[1]!];
      change(words);
      return { ...batch, samples: [batch.samples[0]!, Uint32Array.from(words), batch.samples[2]!] };
    };
    for (const [change, message] of [
      [(w: number[]) => w.pop(), `ends after ${total - 1} of ${total}`],
      [(w: number[]) => w.push(2 ** 30), 'goes on'],
      [(w: number[]) => (w[0]! += 1), 'begins a run of 13 steps'],
      [(w: number[]) => w.shift(), 'begin word'],
    ] as const) {
      await expect(runBatch(device, broken(change))).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        where: 'inputs[1]',
        message: expect.stringContaining(message),
      });
    }
    const { call } = callFor(device, batch);
    device.write(call.buffers[0]!, Uint32Array.of(99), 400);
    await expect(device.run([call])).rejects.toMatchObject({ code: 'FILE_INVALID' });
    device.write(call.buffers[0]!, Uint32Array.of(99));
    await expect(device.run([call])).rejects.toMatchObject({ code: 'FILE_INVALID' });
    expect(await runBatch(device, batch)).toEqual(expected(batch));
  });

  it('does not open what is no machine of ours', async () => {
    for (const [registers, message] of [
      [{ [REGISTER.identification]: 0xffffffff }, 'is no synapse machine'],
      [{ [REGISTER.rtlVersion]: 0x20003 }, 'RTL of version 2.3, this release knows 1.0'],
      [{ [REGISTER.streamVersion]: 9 }, "version 9 of the stream's words"],
      [{ [CAPABILITIES_AT]: 3 }, 'spus is 3'],
    ] as const) {
      await expect(open({ registers })).rejects.toMatchObject({
        code: 'DEVICE_UNAVAILABLE',
        message: expect.stringContaining(message),
      });
    }
  });

  it('checks its options', async () => {
    const invalid = { code: 'OPTION_INVALID' };
    await expect(createFpgaDevice({ url: 'twin', path: '/dev/null' })).rejects.toMatchObject(invalid);
    await expect(createFpgaDevice({ path: '/dev/null' })).rejects.toMatchObject({ ...invalid, where: 'machine' });
    for (const url of [
      '',
      'board',
      'tcp:',
      'tcp://',
      'tcp://h:x',
      'usb:/dev/x',
      'serial:',
      'serial:/dev/x?baud=no',
      'process: ',
    ])
      await expect(createFpgaDevice({ url }), url).rejects.toMatchObject(invalid);
    for (const url of ['path:', 'path:/dev/x?spus=3', 'path:/dev/x?legs=4'])
      await expect(createFpgaDevice({ url }), url).rejects.toMatchObject(invalid);
  });
});

describe('faults of a board', () => {
  const batch = batchOf(program, 30);

  it('a machine that stops taking words is connected again; the batch is whole', async () => {
    let opened = 0;
    const retries: TuttiError[] = [];
    const stuck = openWordMachine({ stuckAfter: 400, onOpen: () => opened++ });
    const good = openWordMachine({ onOpen: () => opened++ });
    const link = (): ReturnType<typeof good> => (opened === 0 ? stuck() : good());
    const device = kept(await createFpgaDevice({ link, timeoutMs: 60, onRetry: (error) => retries.push(error) }));
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    expect(opened).toBe(2);
    expect(retries).toMatchObject([
      { code: 'DEVICE_FAILED', message: expect.stringContaining('hangs: no word in 60 ms') },
    ]);
  });

  it('samples that have ended are not run again', async () => {
    const machines: WordMachine[] = [];
    let portions = 0;
    const device = await open(
      {
        onOpen: (machine) => machines.push(machine),
        tamper(words) {
          if (++portions === 12) throw new Error('unplugged');
          return words;
        },
      },
      { inFlightWords: 1 },
    );
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    expect(machines.map(({ samples }) => samples)).toEqual([12, 19]);
  });

  it.each([
    [
      'words that are none',
      (words: Uint32Array) => words.map((word, i) => (i === 1 ? 0xffffffff : word)),
      'no output word',
    ],
    [
      'another tag',
      (words: Uint32Array) => words.map((w, i) => (i === words.length - 4 ? w + 5 : w)),
      'words were lost',
    ],
    ['words without end', () => new Uint32Array(3000), 'cannot make more than'],
    ['nothing', () => undefined, 'hangs'],
  ])('a board that answers with %s is lost in bounded time', async (_, tamper, message) => {
    const started = performance.now();
    const device = await open({ tamper }, { timeoutMs: 50, retries: 2 });
    await expect(runBatch(device, batchOf(program, 1))).rejects.toMatchObject({
      code: 'DEVICE_LOST',
      message: expect.stringMatching(message),
    });
    expect((await device.lost).reason).toBe('lost');
    expect(performance.now() - started).toBeLessThan(5000);
    await expect(device.run([])).rejects.toMatchObject({ code: 'DEVICE_LOST' });
  });

  it('a board that puts out more than was asked for is connected again', async () => {
    let opened = 0;
    const twice = (words: Uint32Array): Uint32Array => Uint32Array.of(...words, ...words);
    const device = await open({ onOpen: () => opened++, tamper: (words) => (opened === 1 ? twice(words) : words) });
    expect(await runBatch(device, batchOf(program, 1))).toEqual(expected(batchOf(program, 1)));
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    expect(opened).toBe(2);
  });

  it('a board that somebody reset is loaded again', async () => {
    const registers: Map<number, number>[] = [];
    const device = await open({ onOpen: (_, r) => registers.push(r) });
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    registers[0]!.set(REGISTER.session, 0);
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    expect(registers).toHaveLength(2);
  });

  it('another machine at the same place is a loss', async () => {
    let opened = 0;
    const link = (): ReturnType<ReturnType<typeof openWordMachine>> =>
      opened++ === 0
        ? openWordMachine({ stuckAfter: 0 })()
        : openWordMachine({ machine: { ...DEFAULT_MACHINE, queue: 8 } })();
    const device = kept(await createFpgaDevice({ link, timeoutMs: 40 }));
    await expect(runBatch(device, batch)).rejects.toMatchObject({
      code: 'DEVICE_LOST',
      message: expect.stringMatching(/another machine.*queue/),
    });
  });

  it('can be aborted and closed in the middle', async () => {
    const device = await open({ tamper: () => undefined }, { timeoutMs: 60_000 });
    const { call } = callFor(device, batch);
    const abort = new AbortController();
    const run = device.run([call], { signal: abort.signal });
    setTimeout(() => abort.abort(new Error('enough')), 20);
    await expect(run).rejects.toMatchObject({ code: 'ABORTED', cause: expect.objectContaining({ message: 'enough' }) });
    const again = device.run([call]);
    const reading = device.read(call.buffers[3]!);
    setTimeout(() => void device.close(), 20);
    await expect(again).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await expect(reading).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    expect((await device.lost).reason).toBe('destroyed');
  });

  it('a lost board is replaced by another device of its pool', async () => {
    let bad = 0;
    const pool = kept(
      createDevicePool({
        members: [
          {
            name: 'bad board',
            kind: 'fpga',
            maxRestarts: 0,
            open: () =>
              createFpgaDevice({
                link: openWordMachine({ onOpen: () => bad++, stuckAfter: 400 }),
                timeoutMs: 40,
                retries: 0,
              }),
          },
          { name: 'good board', kind: 'fpga', open: () => createFpgaDevice({ link: openWordMachine() }) },
        ],
      }),
    );
    await pool.settled();
    const used: string[] = [];
    const result = await runWithReplay(pool, { kind: 'fpga' }, async (device) => {
      used.push(device.id);
      return runBatch(device, batch);
    });
    expect(result).toEqual(expected(batch));
    expect(used).toHaveLength(2);
    expect(bad).toBe(1);
  });
});

describe('a board behind a bad link', () => {
  const timing: Timing = { repeat: 8, longestRepeat: 40, heartbeat: 30, silence: 120, keep: 250 };
  const rate = (max: number): fc.Arbitrary<number> => fc.double({ min: 0, max, noNaN: true });
  const faults: fc.Arbitrary<Faults> = fc.record({
    drop: rate(0.05),
    double: rate(0.2),
    flip: rate(0.05),
    cut: rate(0.04),
    delay: rate(0.1),
    end: rate(0.02),
    hang: rate(0.005),
  });

  it('gives every result, complete and right, or a typed error in bounded time', async () => {
    let whole = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer(), faults, fc.boolean(), async (seed, kinds, restarts) => {
        const random = seeded(seed);
        // A far end that is started again forgets its sessions and resets its machine.
        let server = createMachineServer(openWordMachine(), { timing });
        const wrap = (near: ByteLink): ByteLink => withFaults(near, kinds, random);
        const dial = dialServer((far) => server.accept(far), wrap);
        const session = { timing, openMs: 150, resumeMs: 400, registerMs: 200 };
        const link = (signal?: AbortSignal): ReturnType<typeof openSession> =>
          openSession(dial, { ...session, ...(signal ? { signal } : {}) });
        const started = performance.now();
        let restarting: ReturnType<typeof setTimeout> | undefined;
        try {
          const device = kept(await createFpgaDevice({ link, timeoutMs: 300, retries: 4 }));
          if (restarts) {
            restarting = setTimeout(() => {
              void server.close();
              server = createMachineServer(openWordMachine(), { timing });
            }, 20);
          }
          for (let round = 0; round < 2; round++) {
            const batch = batchOf(smallProgram(round), 12, { steps: 200, seed: seed + round });
            expect(await runBatch(device, batch)).toEqual(expected(batch));
            whole++;
          }
        } catch (error) {
          if (!(error instanceof TuttiError)) throw error;
          expect(['DEVICE_UNAVAILABLE', 'DEVICE_LOST', 'DEVICE_FAILED']).toContain(error.code);
        } finally {
          clearTimeout(restarting);
          for (const device of devices.splice(0)) await device.close();
          await server.close();
        }
        expect(performance.now() - started).toBeLessThan(10_000);
      }),
      { numRuns: 60, seed: 5 },
    );

    expect(whole).toBeGreaterThan(60);
  });
});
