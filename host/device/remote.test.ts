import { once } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MessageChannel } from 'node:worker_threads';
import { DeviceLostError, MemoryRefusedError, TuttiError } from '../errors.js';
import type { Device } from './device.js';
import { addStep, createLosableDevice, type LosableDevice } from './fixtures/losable-device.js';
import { defineKernel } from '../kernels/kernel.js';
import { createOracleDevice } from './oracle.js';
import { createRemoteDevice } from './remote.js';
import { packError, unpackError } from './remote-protocol.js';
import { serveDevice } from './serve-device.js';

const channels: MessageChannel[] = [];
const channel = (): MessageChannel => {
  const made = new MessageChannel();
  channels.push(made);
  return made;
};
afterEach(() => {
  for (const { port1, port2 } of channels.splice(0)) {
    port1.close();
    port2.close();
  }
});

interface Pair {
  readonly real: LosableDevice;
  readonly remote: Device;
  readonly ports: MessageChannel;
}
const open = async (budget?: number): Promise<Pair> => {
  const ports = channel();
  const real = createLosableDevice('far', budget);
  serveDevice(ports.port2, real.device, [addStep.body]);
  return { real, remote: await createRemoteDevice(ports.port1), ports };
};
const thrown = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe('a remote device', () => {
  it('looks like the one that it stands for', async () => {
    const { real, remote } = await open();
    expect(remote.id).toBe('far');
    expect(remote.kind).toBe('simulated');
    expect(remote.capabilities).toEqual(real.device.capabilities);
    expect(remote.capabilities.features.has('simd')).toBe(true);
    expect(remote.memory.budget).toBe(2 ** 20);
  });

  it('needs no await between write, run, write, run and read', async () => {
    const { remote } = await open();
    const a = remote.allocate(12, 'a');
    const data = Uint32Array.of(1, 2, 3);
    remote.write(a, data);
    data.fill(99); // may be reused at once
    const run = remote.run([addStep({ values: a, count: 3, amount: 10 })], { steps: 3, firstStep: 1 });
    remote.write(a, Uint32Array.of(7), 8);
    const second = remote.run([addStep({ values: a, count: 3, amount: 1 })]);
    const bytes = await remote.read(a);
    expect([...new Uint32Array(bytes)]).toEqual([38, 39, 8]);
    await Promise.all([run, second]);
    expect([...new Uint32Array(await remote.read(a, 4, 4))]).toEqual([39]);
  });

  it('sends a list of calls once, and runs it with the buffers as they are then', async () => {
    const { remote, ports } = await open();
    const a = remote.allocate(4, 'a');
    const list = [addStep({ values: a, count: 1, amount: 1 })];
    const post = vi.spyOn(ports.port1, 'postMessage');
    for (let i = 0; i < 5; i++) await remote.run(list);
    const kinds = post.mock.calls.map(([value]) => (value as { message: { kind: string } }).message.kind);
    expect(kinds).toEqual(['list', 'run', 'run', 'run', 'run', 'run']);
    expect(new Uint32Array(await remote.read(a))[0]).toBe(5);
  });

  it('remembers a bounded number of lists', async () => {
    const { remote, ports } = await open();
    const a = remote.allocate(4, 'a');
    const post = vi.spyOn(ports.port1, 'postMessage');
    const lists = Array.from({ length: 100 }, () => [addStep({ values: a, count: 1, amount: 1 })]);
    for (const list of [...lists, ...lists]) await remote.run(list);
    const count = (kind: string): number =>
      post.mock.calls.filter(([value]) => (value as { message: { kind: string } }).message.kind === kind).length;
    expect(count('list') - count('forget')).toBe(64);
    expect(new Uint32Array(await remote.read(a))[0]).toBe(200);
  });

  it('transfers what it writes and reads', async () => {
    const { remote, ports } = await open();
    const a = remote.allocate(4, 'a');
    const post = vi.spyOn(ports.port1, 'postMessage');
    const answer = vi.spyOn(ports.port2, 'postMessage');
    remote.write(a, Uint32Array.of(3));
    await remote.read(a);
    expect((post.mock.calls[0]![1] as readonly ArrayBuffer[])[0]!.byteLength).toBe(0);
    expect((answer.mock.calls[0]![1] as readonly ArrayBuffer[])[0]!.byteLength).toBe(0);
  });

  it('keeps the books of its memory here', async () => {
    const { real, remote } = await open(1000);
    const a = remote.allocate(600, 'a');
    const refused = thrown(() => remote.allocate(500, 'b')) as MemoryRefusedError;
    expect(refused).toBeInstanceOf(MemoryRefusedError);
    expect(refused).toMatchObject({ need: 500, budget: 1000, inUse: 600, holders: [{ holder: 'a', bytes: 600 }] });
    a.release();
    a.release();
    const c = remote.allocate(998, 'c');
    expect(remote.memory.inUse).toBe(1000);
    await remote.read(c);
    expect(real.device.memory.inUse).toBe(1000);
    c.release();
    await remote.read(remote.allocate(4, 'd'));
    expect(real.device.memory.inUse).toBe(4);
    expect(thrown(() => remote.allocate(2 ** 25, 'e'))).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(thrown(() => remote.allocate(-1, 'e'))).toMatchObject({ code: 'KERNEL_ARGUMENT' });
    expect(remote.memory.inUse).toBe(4);
  });

  it('counts what the far side really leased', async () => {
    const { port1, port2 } = channel();
    const real = createOracleDevice({ memoryBudget: 4096 });
    const rounded: Device = {
      ...real,
      memory: real.memory,
      allocate(bytes, label) {
        const buffer = real.allocate(bytes, label);
        real.memory.lease(256 - bytes, label);
        return buffer;
      },
    };
    serveDevice(port2, rounded, []);
    const remote = await createRemoteDevice(port1);
    await remote.read(remote.allocate(100, 'a'));
    expect(remote.memory.inUse).toBe(256);
  });

  it('an allocation that only the far side refuses answers at the next use, as what it is', async () => {
    const { real, remote } = await open(1000);
    real.device.allocate(600, 'taken behind its back');
    const a = remote.allocate(600, 'a');
    remote.write(a, Uint32Array.of(1));
    await expect(remote.read(a)).rejects.toBeInstanceOf(MemoryRefusedError);
    await expect(remote.run([addStep({ values: a, count: 1, amount: 1 })])).rejects.toMatchObject({
      need: 600,
      inUse: 600,
    });
    a.release();
    const b = remote.allocate(4, 'b');
    expect([...new Uint32Array(await remote.read(b))]).toEqual([0]);
  });

  it('checks buffers and ranges before anything is sent', async () => {
    const { remote } = await open();
    const other = createOracleDevice();
    const a = remote.allocate(8, 'a');
    const foreign = other.allocate(8, 'foreign');
    expect(thrown(() => remote.write(foreign, new Uint8Array(4)))).toMatchObject({ code: 'KERNEL_ARGUMENT' });
    expect(thrown(() => remote.write(a, new Uint8Array(12)))).toMatchObject({ code: 'BUFFER_RANGE' });
    expect(thrown(() => remote.write(a, new Uint8Array(4), 2))).toMatchObject({ code: 'BUFFER_RANGE' });
    await expect(remote.read(a, 4, 8)).rejects.toMatchObject({ code: 'BUFFER_RANGE' });
    await expect(remote.run([], { steps: 1.5 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    a.release();
    await expect(remote.read(a)).rejects.toMatchObject({ code: 'BUFFER_RELEASED' });
    await expect(remote.run([], { steps: 0 })).resolves.toBeUndefined();
  });

  it('runs only kernels that are served, and two kernels may not share a name', async () => {
    const { remote } = await open();
    const a = remote.allocate(4, 'a');
    const unknown = defineKernel({
      name: 'unknown',
      buffers: { values: ['u32', 'read'] },
      scalars: {},
      elements: () => ({ values: 1 }),
      oracle: () => {},
      wasm: { name: 'unknown', bytes: new Uint8Array() },
      wgsl: [],
      workgroups: () => [1, 1, 1],
    });
    await expect(remote.run([unknown({ values: a })])).rejects.toMatchObject({
      code: 'KERNEL_UNSUPPORTED',
      where: 'unknown',
    });
    await expect(remote.warmup([unknown.body])).rejects.toMatchObject({ code: 'KERNEL_UNSUPPORTED' });
    await remote.warmup([addStep.body]);
    const twin = { ...addStep.body };
    expect(thrown(() => serveDevice(channel().port1, createOracleDevice(), [addStep.body, twin]))).toMatchObject({
      code: 'OPTION_INVALID',
      where: 'addStep',
    });
  });

  it('carries abort and progress', async () => {
    const { remote } = await open();
    const a = remote.allocate(4, 'a');
    const controller = new AbortController();
    const seen: number[] = [];
    const run = remote.run([addStep({ values: a, count: 1, amount: 1 })], {
      steps: 1_000_000,
      signal: controller.signal,
      onProgress({ done, total }) {
        expect(total).toBe(1_000_000);
        if (seen.push(done) === 3) controller.abort(new Error('seen enough'));
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('seen enough') });
    expect(seen.slice(0, 3)).toEqual([1, 2, 3]);
    remote.write(a, Uint32Array.of(0));
    await remote.run([addStep({ values: a, count: 1, amount: 1 })]);
    expect(new Uint32Array(await remote.read(a))[0]).toBe(1);
    await expect(remote.run([], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('the end of a remote device', () => {
  it('close releases the far device, is idempotent, and rejects what is in flight', async () => {
    const { real, remote } = await open();
    const a = remote.allocate(4, 'a');
    const inFlight = remote.run([addStep({ values: a, count: 1, amount: 1 })], { steps: 1_000_000 });
    const rejected = expect(inFlight).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    await Promise.all([remote.close(), remote.close()]);
    await rejected;
    expect(await remote.lost).toMatchObject({ reason: 'destroyed' });
    expect(await real.device.lost).toMatchObject({ reason: 'destroyed' });
    expect(thrown(() => remote.allocate(4, 'b'))).toMatchObject({ code: 'DEVICE_CLOSED' });
    await expect(remote.read(a)).rejects.toMatchObject({ code: 'DEVICE_CLOSED' });
    a.release();
  });

  it('a loss of the far device is a loss here', async () => {
    const { real, remote } = await open();
    const a = remote.allocate(4, 'a');
    const reads = Promise.allSettled([
      remote.run([addStep({ values: a, count: 1, amount: 1 })], { steps: 1_000_000 }),
      remote.read(a),
    ]);
    await remote.warmup([]);
    real.lose('driver reset');
    for (const result of await reads) {
      expect(result.status === 'rejected' && result.reason).toBeInstanceOf(DeviceLostError);
    }
    expect(await remote.lost).toEqual({ reason: 'lost', message: 'driver reset' });
    expect(thrown(() => remote.allocate(4, 'b'))).toBeInstanceOf(DeviceLostError);
    await remote.close();
  });

  it('the port closing is a loss', async () => {
    const { remote, ports, real } = await open();
    const a = remote.allocate(4, 'a');
    const run = remote.run([addStep({ values: a, count: 1, amount: 1 })], { steps: 1_000_000 });
    const rejected = expect(run).rejects.toBeInstanceOf(DeviceLostError);
    ports.port2.close();
    await rejected;
    expect(await remote.lost).toMatchObject({ reason: 'lost' });
    expect(await real.device.lost).toMatchObject({ reason: 'destroyed' });
    await remote.close();
  });

  it('a device that cannot be opened says why here', async () => {
    const { port1, port2 } = channel();
    const why = new TuttiError('DEVICE_UNAVAILABLE', 'no adapter', { where: 'webgpu', facts: { tried: ['a', 'b'] } });
    const served = serveDevice(port2, Promise.reject(why), []);
    const error = await createRemoteDevice(port1).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TuttiError);
    expect(error).toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: 'no adapter',
      where: 'webgpu',
      facts: { tried: ['a', 'b'] },
    });
    await served.closed;
  });

  it('opening can be aborted, and the far device is closed then', async () => {
    const { port1, port2 } = channel();
    const controller = new AbortController();
    const opening = createRemoteDevice(port1, { signal: controller.signal });
    controller.abort();
    await expect(opening).rejects.toMatchObject({ code: 'ABORTED' });
    const real = createLosableDevice('far');
    await serveDevice(port2, real.device, []).closed;
    expect(await real.device.lost).toMatchObject({ reason: 'destroyed' });
  });

  it('the order in which the two sides start does not matter', async () => {
    for (const clientFirst of [true, false]) {
      const { port1, port2 } = channel();
      const client = clientFirst ? createRemoteDevice(port1) : undefined;
      // A worker that listens to other things first lets the client's first message pass unheard.
      if (clientFirst) await once(port2, 'message');
      serveDevice(port2, Promise.resolve(createOracleDevice()), []);
      await new Promise((resolve) => setImmediate(resolve));
      expect((await (client ?? createRemoteDevice(port1))).id).toBe('oracle');
    }
  });

  it('messages of others on the same port are left alone', async () => {
    const { remote, ports } = await open();
    for (const foreign of ['hello', null, 42, { kind: 'close' }]) {
      ports.port1.postMessage(foreign);
      ports.port2.postMessage(foreign);
    }
    const a = remote.allocate(4, 'a');
    expect((await remote.read(a)).byteLength).toBe(4);
  });

  it('another version of the protocol is refused in plain words', async () => {
    const { port1, port2 } = channel();
    const opening = createRemoteDevice(port1);
    port2.postMessage({ tuttiDevice: 2, message: { kind: 'hello' } });
    await expect(opening).rejects.toThrow(/version 2 of the device protocol/);
  });
});

describe('errors on the wire', () => {
  it('stay what they are', () => {
    const cross = (error: unknown): TuttiError => unpackError(structuredClone(packError(error)));
    const lost = new DeviceLostError('gpu', 'reset', new Error('deep', { cause: new RangeError('deeper') }));
    expect(cross(lost)).toBeInstanceOf(DeviceLostError);
    expect(cross(lost)).toMatchObject({ message: lost.message, where: 'gpu', facts: { reason: 'reset' } });
    expect(cross(lost).cause).toMatchObject({ message: 'deep', cause: { name: 'RangeError', message: 'deeper' } });
    const refused = new MemoryRefusedError('gpu', 'kv', 10, 5, 4, [{ holder: 'w', bytes: 4 }]);
    expect(cross(refused)).toBeInstanceOf(MemoryRefusedError);
    expect(cross(refused)).toMatchObject({
      message: refused.message,
      need: 10,
      budget: 5,
      inUse: 4,
      holders: refused.holders,
    });
    const odd = new TuttiError('LIMIT_EXCEEDED', 'too large', { facts: { limit: 3, print: () => 'no clone' } });
    expect(cross(odd)).toMatchObject({ code: 'LIMIT_EXCEEDED', message: 'too large', facts: { limit: 3 } });
    expect(cross(new RangeError('bug'))).toMatchObject({
      code: 'DEVICE_FAILED',
      message: "RangeError in the device's worker: bug",
    });
    expect(cross('text').message).toContain('text');
    const circular = new Error('round');
    circular.cause = circular;
    expect(cross(circular).message).toContain('round');
  });
});
