import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Device } from '../device/device.js';
import { createFpgaDevice, type FpgaDeviceOptions } from './create-fpga-device.js';
import { batchOf, callFor, expected, runBatch } from './fixtures/batch.js';
import { createFakeBoard, type FakeBoard } from './fixtures/fake-board.js';
import { seeded, withFaults } from './fixtures/link-pair.js';
import { smallProgram } from './fixtures/small-program.js';
import { encodeFrame } from './frame.js';
import { endProcess, dialSocket } from './node-link.js';
import { PROTOCOL_VERSION, REFUSAL } from './protocol.js';
import { REGISTER } from './register-map.js';
import { openSession } from './session-client.js';

const folder = resolve(import.meta.dirname, 'bridge');
const script = resolve(folder, 'tutti_bridge.py');
/** Fast enough for tests of what is lost; the same on both sides. */
const timing = { repeat: 15, longestRepeat: 60, heartbeat: 60, silence: 400, keep: 3000 };
const timingText = 'repeat=15,longest_repeat=60,heartbeat=60,silence=400,keep=3000';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function board(): FakeBoard {
  const made = createFakeBoard();
  undo.push(() => made.close());
  return made;
}

const argumentsFor = (at: FakeBoard, ...more: readonly string[]): string[] => [
  ...['-B', script, '--registers', at.registers, '--fifo', at.fifo, '--fifo-out', at.fifoOut],
  ...['--timing', timingText, ...more],
];

interface Bridge {
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
}

/** Starts the bridge and resolves when it listens. */
async function bridge(at: FakeBoard, { port = 0, more = [] as readonly string[] } = {}): Promise<Bridge> {
  const child = spawn('python3', argumentsFor(at, '--listen', `127.0.0.1:${port}`, ...more), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  undo.push(() => endProcess(child));
  let said = '';
  const listening = await new Promise<number>((found, failed) => {
    child.once('error', failed);
    child.once('close', () => failed(new Error(`the bridge ended: ${said}`)));
    child.stderr.on('data', (text) => {
      said += String(text);
      const match = /at 127\.0\.0\.1:(\d+)/.exec(said);
      if (match) found(Number(match[1]));
    });
  });
  return { child, port: listening, url: `tcp://127.0.0.1:${listening}` };
}

async function device(options: FpgaDeviceOptions): Promise<Device> {
  const made = await createFpgaDevice({ timeoutMs: 2000, openMs: 8000, resumeMs: 4000, ...options });
  undo.push(() => made.close());
  return made;
}

const program = smallProgram();
const batch = batchOf(program, 40, { steps: 60 });

describe('the bridge for boards', () => {
  it('passes its own tests, a hundred thousand damaged frames among them', async () => {
    const said = await new Promise<string>((done, failed) =>
      execFile('python3', ['-B', '-m', 'unittest', 'test_bridge'], { cwd: folder }, (error, _, err) =>
        error ? failed(new Error(err)) : done(err),
      ),
    );
    expect(said).toMatch(/Ran 1\d tests/);
  });

  it('serves a machine over TCP', async () => {
    const at = board();
    const { url } = await bridge(at);
    const fpga = await device({ url });
    expect(fpga.capabilities.machine).toEqual(program.machine);
    expect(await runBatch(fpga, batch)).toEqual(expected(batch));
    const long = batchOf(smallProgram(2), 20, { steps: 3000 });
    expect(await runBatch(fpga, long)).toEqual(expected(long));
    expect(at.machine.samples).toBe(60);
  });

  it('serves it over standard streams, a Unix socket and WebSockets', async () => {
    const at = board();
    const unix = resolve(at.folder, 'socket');
    const byPipe = await device({ url: `process:python3 ${argumentsFor(at, '--stdio', '--quiet').join(' ')}` });
    expect(await runBatch(byPipe, batch)).toEqual(expected(batch));
    await byPipe.close();
    const { port } = await bridge(at, { more: ['--unix', unix] });
    const byPath = await device({ url: `unix:${unix}` });
    expect(await runBatch(byPath, batch)).toEqual(expected(batch));
    await byPath.close();
    const byWeb = await device({ url: `ws://127.0.0.1:${port}` });
    expect(await runBatch(byWeb, batch)).toEqual(expected(batch));
    await byWeb.close();
    expect(at.resets).toBeGreaterThanOrEqual(3);
  });

  it('lets only pages of the origins in that it was told', async () => {
    const at = board();
    const { port } = await bridge(at, { more: ['--origin', 'https://good.example'] });
    const knock = (origin: string): Promise<number> =>
      new Promise((done) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}`, { origin });
        socket.once('unexpected-response', (_, { statusCode }) => done(statusCode!));
        socket.once('open', () => {
          socket.close();
          done(101);
        });
      });
    expect(await knock('https://good.example')).toBe(101);
    expect(await knock('https://evil.example')).toBe(403);
  });

  it('keeps one host at a time, and says so to another', async () => {
    const { url } = await bridge(board());
    const first = await device({ url });
    await expect(createFpgaDevice({ url, openMs: 1000 })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      facts: { refusal: REFUSAL.busy },
    });
    expect(await runBatch(first, batch)).toEqual(expected(batch));
    await first.close();
    expect(await runBatch(await device({ url }), batch)).toEqual(expected(batch));
  });

  it('goes on after every kind of fault of the link', async () => {
    const at = board();
    const { port } = await bridge(at);
    const faults = { drop: 0.02, double: 0.1, flip: 0.02, cut: 0.02, delay: 0.05, end: 0.01, hang: 0.002 };
    for (const seed of [1, 2, 3, 4]) {
      const random = seeded(seed);
      const dial = dialSocket('board', { host: '127.0.0.1', port });
      const link = (signal?: AbortSignal): ReturnType<typeof openSession> =>
        openSession(async (s) => withFaults(await dial(s), faults, random), {
          ...{ timing, openMs: 1000, resumeMs: 3000, registerMs: 1000 },
          ...(signal ? { signal } : {}),
        });
      const fpga = await device({ link, timeoutMs: 1000, retries: 8 });
      const long = batchOf(smallProgram(seed), 25, { steps: 400, seed });
      expect(await runBatch(fpga, long)).toEqual(expected(long));
      await fpga.close();
    }
  });

  it('that is started again in the middle of a batch costs no sample', async () => {
    const at = board();
    const first = await bridge(at);
    let retries = 0;
    const fpga = await device({ url: first.url, retries: 20, onRetry: () => retries++, inFlightWords: 2000 });
    const long = batchOf(program, 120, { steps: 300 });
    const { call, outputs } = callFor(fpga, long);
    const running = fpga.run([call]);
    await expect.poll(() => at.machine.samples, { interval: 2 }).toBeGreaterThan(20);
    await endProcess(first.child);
    await bridge(at, { port: first.port });
    await running;
    expect(new Uint32Array(await fpga.read(outputs))).toEqual(expected(long));
    expect(retries).toBeGreaterThan(0);
    // Those that had ended before were not run again.
    expect(at.machine.samples).toBeLessThan(150);
  });

  it('tells of a machine that hangs, is none, or does not come out of reset', async () => {
    const at = board();
    const { url } = await bridge(at);
    const fpga = await device({ url, timeoutMs: 150, retries: 1 });
    at.stuck = true;
    await expect(runBatch(fpga, batch)).rejects.toMatchObject({
      code: 'DEVICE_LOST',
      message: expect.stringContaining('does not come out of reset'),
    });
    at.stuck = false;
    const again = await device({ url });
    expect(await runBatch(again, batch)).toEqual(expected(batch));
    await again.close();
    at.setRegister(REGISTER.identification, 0);
    await expect(createFpgaDevice({ url })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('no synapse machine'),
    });
  }, 30_000);

  it('survives garbage, other versions, and hosts that say half a word', async () => {
    const at = board();
    const { port, url } = await bridge(at);
    const random = seeded(9);
    for (let round = 0; round < 30; round++) {
      const link = await dialSocket('garbage', { host: '127.0.0.1', port })();
      await link.send(Uint8Array.from({ length: 1 + Math.floor(random() * 400) }, () => random() * 256));
      await link.send(encodeFrame({ type: 'data', session: 1, payload: Uint32Array.of(1) }).subarray(0, 33));
      link.close();
    }
    const link = await dialSocket('old', { host: '127.0.0.1', port })();
    void link.send(encodeFrame({ type: 'hello', session: 7 }, PROTOCOL_VERSION + 1));
    const answer = await new Promise<Uint8Array>((done) => link.listen(done));
    expect(answer[2]).toBe(PROTOCOL_VERSION);
    link.close();
    expect(await runBatch(await device({ url }), batch)).toEqual(expected(batch));
  });

  it('explains what it cannot open', async () => {
    const at = board();
    const failing = (args: readonly string[]): Promise<{ code: unknown; err: string }> =>
      new Promise((done) =>
        execFile('python3', ['-B', script, ...args], (error, _, err) => done({ code: error?.code ?? 0, err })),
      );
    const results = await Promise.all([
      failing(['--registers', '/nowhere', '--fifo', at.fifo]),
      failing(['--registers', at.registers, '--fifo', '/nowhere']),
      failing(['--registers', at.registers, '--dma', at.registers, '--dma-buffer', 'none']),
    ]);
    expect(results).toMatchObject([
      { code: 1, err: expect.stringContaining('/nowhere could not be mapped') },
      { code: 1, err: expect.stringContaining('/nowhere could not be opened') },
      { code: 1, err: expect.stringContaining('is u-dma-buf loaded?') },
    ]);
    await expect(createFpgaDevice({ url: 'process:/nowhere/bridge' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
    });
    await expect(createFpgaDevice({ url: 'process:python3 -c pass' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('the program ended'),
    });
    await expect(createFpgaDevice({ url: 'tcp://127.0.0.1:1' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
