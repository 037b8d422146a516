import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { Device } from '../device/device.js';
import { createFpgaDevice, type FpgaDeviceOptions } from './create-fpga-device.js';
import { batchOf, expected, runBatch } from './fixtures/batch.js';
import { linkAt } from './address.js';
import { toBytes, toWords } from './device-file-link.js';
import { createFakeBoard } from './fixtures/fake-board.js';
import { smallProgram } from './fixtures/small-program.js';
import { createWordMachine, openWordMachine, registersOf } from './fixtures/word-machine.js';
import type { ByteLink } from './machine-link.js';
import { mailbox } from './mailbox.js';
import { dialSerial, endProcess, linkOfSocket } from './node-link.js';
import { createMachineServer } from './serve-machine.js';
import { dialWebSerial } from './web-link.js';
import { openSession } from './session-client.js';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'tutti-link-'));
  undo.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function server(): ReturnType<typeof createMachineServer> {
  const made = createMachineServer(openWordMachine());
  undo.push(() => made.close());
  return made;
}

async function device(options: FpgaDeviceOptions): Promise<Device> {
  const made = await createFpgaDevice(options);
  undo.push(() => made.close());
  return made;
}

const program = smallProgram();
const batch = batchOf(program, 30, { steps: 100 });

describe('links to a machine served by this process', () => {
  it.each(['tcp', 'unix'])('%s', async (kind) => {
    const { accept } = server();
    const path = join(folder(), 'socket');
    const listener = createServer((socket) => accept(linkOfSocket('host', socket)));
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    await new Promise<void>((resolve) =>
      kind === 'tcp' ? listener.listen(0, '127.0.0.1', resolve) : listener.listen(path, resolve),
    );
    const url = kind === 'tcp' ? `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}` : `unix:${path}`;
    const fpga = await device({ url });
    expect(fpga.id).toBe(url);
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    await fpga.close();
  });

  it('WebSocket', async () => {
    const { accept } = server();
    const listener = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    listener.on('connection', (socket) => {
      const { listen, put } = mailbox();
      socket.on('message', (data: Buffer) => put(data));
      accept({
        name: 'page',
        listen,
        send: async (bytes) => socket.send(bytes),
        ended: new Promise((resolve) => socket.once('close', () => resolve('closed'))),
        close: () => socket.close(),
      });
    });
    await new Promise((resolve) => listener.once('listening', resolve));
    const fpga = await device({ url: `ws://127.0.0.1:${(listener.address() as AddressInfo).port}` });
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    await fpga.close();
    await expect(createFpgaDevice({ url: 'ws://127.0.0.1:1' })).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });

  it('serial port, on a pair of pseudo-terminals', async () => {
    const [near, far] = ['near', 'far'].map((name) => join(folder(), name)) as [string, string];
    const socat = spawn('socat', [`pty,raw,echo=0,link=${near}`, `pty,raw,echo=0,link=${far}`], { stdio: 'ignore' });
    undo.push(() => endProcess(socat));
    await expect.poll(() => existsSync(near) && existsSync(far)).toBe(true);
    const { accept } = server();
    const farEnd = await dialSerial(far, 115_200)();
    undo.push(() => farEnd.close());
    accept(farEnd);
    const fpga = await device({ url: `serial:${near}?baud=921600` });
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    await fpga.close();
    // The line stays as it is when one host has gone; another can come.
    expect(await runBatch(await device({ url: `serial:${near}` }), batch)).toEqual(expected(batch));
    await expect(createFpgaDevice({ url: 'serial:/nowhere/tty' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('plugged in'),
    });
  });

  it("WebSerial's streams", async () => {
    const { accept } = server();
    const toPage = new TransformStream<Uint8Array, Uint8Array>();
    const toBoard = new TransformStream<Uint8Array, Uint8Array>();
    const port = {
      readable: toPage.readable,
      writable: toBoard.writable,
      opened: 0,
      open: async () => void port.opened++,
      close: async () => void port.opened--,
    };
    const writer = toPage.writable.getWriter();
    const { listen, put } = mailbox();
    const far: ByteLink = {
      name: 'board',
      listen,
      send: (bytes) => writer.write(bytes),
      ended: new Promise(() => {}),
      close: () => {},
    };
    void toBoard.readable.pipeTo(new WritableStream({ write: put })).catch(() => {});
    accept(far);
    const fpga = await device({ serialPort: port });
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    expect(port.opened).toBe(1);
    await fpga.close();
    await expect.poll(() => port.opened).toBe(0);
    const broken = dialWebSerial({ ...port, open: () => Promise.reject(new Error('in use')) });
    await expect(openSession(broken)).rejects.toMatchObject({ message: expect.stringContaining('in use') });
  });
});

describe('the native simulator', () => {
  /** What rtl/sim says and hears, with a word machine in it; `spoil` changes the packets that it sends. */
  async function simulator(spoil = (packet: Uint32Array): Uint32Array | undefined => packet): Promise<string> {
    const listener = createServer((socket) => {
      const machine = createWordMachine();
      const registers = registersOf(program.machine);
      let held = Buffer.alloc(0);
      const say = (kind: number, words: Uint32Array): void => {
        const packet = spoil(Uint32Array.of(((kind << 24) | words.length) >>> 0, ...words));
        if (packet) socket.write(toBytes(packet));
      };
      socket.on('error', () => {});
      socket.on('data', (data: Buffer) => {
        held = Buffer.concat([held, data]);
        while (held.length >= 4) {
          const head = held.readUInt32LE(0);
          const length = 4 + 4 * (head & 0xffffff);
          if (held.length < length) return;
          const words = toWords(held.subarray(4, length));
          held = held.subarray(length);
          if (head >>> 24 === 0) {
            const out = machine.push(words);
            if (out.length > 0) say(0, out);
          } else if (head >>> 24 === 1) say(1, Uint32Array.of(registers.get(words[0]!) ?? 0));
          else {
            registers.set(words[0]!, words[1]!);
            say(2, new Uint32Array(0));
          }
        }
      });
    });
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    return `sim:tcp://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  }

  it('is reached in its packets, and served over frames to others', async () => {
    const url = await simulator();
    const fpga = await device({ url });
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    await fpga.close();
    const { accept } = createMachineServer(linkAt(url));
    const listener = createServer((socket) => accept(linkOfSocket('host', socket)));
    undo.push(() => new Promise((resolve) => listener.close(resolve)));
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const far = await device({ url: `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}` });
    expect(await runBatch(far, batch)).toEqual(expected(batch));
    await far.close();
  });

  it('that says what is no packet, or ends, is lost', async () => {
    await expect(createFpgaDevice({ url: await simulator(() => Uint32Array.of(0xffffffff)) })).rejects.toMatchObject({
      code: 'DEVICE_LOST',
      message: expect.stringContaining('starts no packet'),
    });
    await expect(createFpgaDevice({ url: 'sim:python3 -c pass' })).rejects.toMatchObject({
      code: 'DEVICE_LOST',
      message: expect.stringContaining('the program ended'),
    });
    await expect(createFpgaDevice({ url: 'sim:/nowhere/machine' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
    });
  });
});

describe('device files of the axis-fifo driver', () => {
  it('carry batches, and what is left of earlier work is taken out first', async () => {
    const board = createFakeBoard();
    undo.push(() => board.close());
    const options = { path: board.fifo, machine: program.machine };
    const url = `path:${board.fifo}?output=${board.fifoOut}`;
    const fpga = await device({ url });
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    expect(fpga.capabilities.notices).toEqual([expect.stringContaining('device files only')]);
    expect(fpga.capabilities.rtlVersion).toBeUndefined();
    await fpga.close();
    writeFileSync(board.fifo, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const again = await device({ url: `${url}&operations=8192` });
    expect(again.capabilities.machine).toEqual({ ...program.machine, operations: 8192 });
    expect(await runBatch(again, batch)).toEqual(expected(batch));
    await expect(createFpgaDevice({ ...options, path: '/nowhere/axis_fifo' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('modprobe axis-fifo'),
    });
  });
});
