import { describe, expect, it } from 'vitest';
import { createFpgaDevice } from './create-fpga-device.js';
import { batchOf, expected, runBatch } from './fixtures/batch.js';
import { dialServer, seeded, withFaults } from './fixtures/link-pair.js';
import { smallProgram } from './fixtures/small-program.js';
import { openWordMachine } from './fixtures/word-machine.js';
import { createMachineServer } from './serve-machine.js';
import { openSession } from './session-client.js';

const batch = batchOf(smallProgram(), 30, { steps: 100 });

describe('a device of kind fpga in a page', () => {
  it('runs batches over frames, also when the link is bad', async () => {
    const server = createMachineServer(openWordMachine());
    const random = seeded(3);
    const dial = dialServer(server.accept, (near) => withFaults(near, { double: 0.2, drop: 0.02, end: 0.01 }, random));
    const device = await createFpgaDevice({ link: () => openSession(dial) });
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    await device.close();
    await server.close();
  });

  it('runs batches over the streams of a serial port', async () => {
    const server = createMachineServer(openWordMachine());
    const [toPage, toBoard] = [
      new TransformStream<Uint8Array, Uint8Array>(),
      new TransformStream<Uint8Array, Uint8Array>(),
    ];
    const writer = toPage.writable.getWriter();
    server.accept({
      name: 'board',
      send: (bytes) => writer.write(bytes),
      listen: (listener) => void toBoard.readable.pipeTo(new WritableStream({ write: listener })).catch(() => {}),
      ended: new Promise(() => {}),
      close: () => {},
    });
    const serialPort = {
      readable: toPage.readable,
      writable: toBoard.writable,
      open: async () => {},
      close: async () => {},
    };
    const device = await createFpgaDevice({ serialPort });
    expect(await runBatch(device, batch)).toEqual(expected(batch));
    await device.close();
    await server.close();
  });

  it('says which links need Node, and that nothing listens', async () => {
    for (const url of ['tcp://localhost:1', 'unix:/tmp/x', 'process:bridge', 'path:/dev/axis_fifo_0'])
      await expect(createFpgaDevice({ url }), url).rejects.toMatchObject({
        code: 'DEVICE_UNAVAILABLE',
        message: expect.stringContaining('needs Node') as string,
      });
    await expect(createFpgaDevice({ url: 'ws://localhost:1' })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining('could not be reached') as string,
    });
  });
});
