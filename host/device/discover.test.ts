import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openWordMachine } from '../fpga/fixtures/word-machine.js';
import { linkOfSocket } from '../fpga/node-link.js';
import { createMachineServer } from '../fpga/serve-machine.js';
import { DEFAULT_MACHINE } from '../snn/machine/config.js';
import { describeDevices } from './discover.js';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

describe('describeDevices', () => {
  it('reports Wasm and WebGPU as plain data', async () => {
    const devices = await describeDevices();
    expect(JSON.parse(JSON.stringify(devices))).toEqual(devices);
    const [wasm, webgpu] = devices;
    expect(wasm).toMatchObject({ kind: 'wasm', available: true, software: false, memoryBudget: 2 ** 30 });
    expect(wasm!.features).toEqual(expect.arrayContaining(['simd', 'threads']));
    expect(webgpu).toMatchObject({ kind: 'webgpu', available: true });
    expect(webgpu!.name).not.toBe('');
    expect(webgpu!.maxBufferBytes).toBeGreaterThan(2 ** 20);
  });

  it('reports boards at the addresses that it is given, or why there is none', async () => {
    const listener = createServer((socket) => server.accept(linkOfSocket('host', socket)));
    const server = createMachineServer(openWordMachine());
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = `tcp://127.0.0.1:${(listener.address() as AddressInfo).port}`;
    const boards = (await describeDevices({ boards: [address, 'tcp://127.0.0.1:1', 'usb:3'] })).filter(
      ({ kind }) => kind === 'fpga',
    );
    await server.close();
    listener.close();
    expect(boards.map((board) => board.address)).toEqual(['twin', address, 'tcp://127.0.0.1:1', 'usb:3']);
    expect(boards[0]).toMatchObject({ available: true, software: true, machine: { spus: 16, ports: 2 } });
    expect(boards[1]).toMatchObject({ available: true, machine: DEFAULT_MACHINE, software: false });
    expect(boards[2]).toMatchObject({ available: false, why: expect.stringContaining('ECONNREFUSED') });
    expect(boards[3]).toMatchObject({ available: false, why: expect.stringContaining('no address of a board') });
    expect(JSON.parse(JSON.stringify(boards))).toEqual(boards);
  });

  it('says why there is no WebGPU', async () => {
    vi.stubEnv('VK_DRIVER_FILES', '/nowhere/no_driver.json');
    vi.stubEnv('VK_ICD_FILENAMES', '/nowhere/no_driver.json');
    const webgpu = (await describeDevices()).find((device) => device.kind === 'webgpu');
    expect(webgpu).toMatchObject({ available: false, why: expect.stringContaining('no_driver.json') });
  });

  it('says why there is no Wasm, and why there are no threads', async () => {
    vi.stubGlobal('crossOriginIsolated', false);
    const [single] = await describeDevices();
    expect(single).toMatchObject({
      available: true,
      threads: 1,
      notices: [expect.stringContaining('SharedArrayBuffer')],
    });
    expect(single!.features).not.toContain('threads');
    vi.stubGlobal('WebAssembly', undefined);
    const [none] = await describeDevices();
    expect(none).toMatchObject({ available: false, why: expect.stringContaining('no WebAssembly') });
  });
});
