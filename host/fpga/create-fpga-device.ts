/** `createFpgaDevice`: what a user calls. Everything behind it is loaded when it is called. */
import { TuttiError } from '../errors.js';
import type { Device } from '../device/device.js';
import type { MachineConfig } from '../snn/machine/config.js';
import type { BoardOptions } from './board.js';
import type { OpenMachineLink } from './machine-link.js';
import type { SessionOptions } from './session-client.js';
import type { WebSerialPort } from './web-link.js';

export interface FpgaDeviceOptions extends BoardOptions, Pick<SessionOptions, 'openMs' | 'resumeMs' | 'registerMs'> {
  /**
   * Where the machine is. Default 'twin': the RTL itself, compiled to Wasm. Else `tcp://host:7654`, `unix:/path`,
   * `serial:/dev/ttyUSB0?baud=921600`, `ws://host:7654`, `process:program argument ...`, `path:/dev/axis_fifo_43c00000?spus=16`.
   */
  readonly url?: string;
  /** A device file of the axis-fifo driver; `machine` is what the board was built with. */
  readonly path?: string;
  readonly machine?: MachineConfig;
  /** A WebSerial port that the page was given. */
  readonly serialPort?: WebSerialPort;
  /** Of `serialPort`. Default 115200. */
  readonly baudRate?: number;
  /** A link of your own. */
  readonly link?: OpenMachineLink;
  readonly id?: string;
  /** Bytes of host memory for buffers. Default 1 GiB. */
  readonly memoryBudget?: number;
  readonly signal?: AbortSignal;
}

/**
 * Opens a device of kind 'fpga'. It runs programs (kernel `runProgram`); other kernels are refused.
 * @throws TuttiError OPTION_INVALID; DEVICE_UNAVAILABLE when nothing answers there, or no machine of ours; ABORTED
 */
export async function createFpgaDevice(options: FpgaDeviceOptions = {}): Promise<Device> {
  const ways = (['url', 'path', 'serialPort', 'link'] as const).filter((way) => options[way] !== undefined);
  if (ways.length > 1) {
    throw new TuttiError('OPTION_INVALID', `createFpgaDevice: give one of ${ways.join(', ')}, not all of them`);
  }
  if (options.path !== undefined && options.machine === undefined) {
    throw new TuttiError(
      'OPTION_INVALID',
      'createFpgaDevice: a device file cannot tell what the board was built with; give `machine` with `path`',
      { where: 'machine' },
    );
  }
  const { id = options.url ?? options.path ?? 'fpga', memoryBudget = 2 ** 30 } = options;
  const { openFpgaDevice } = await import('./fpga-device.js');
  return openFpgaDevice(await linkOf(options), { ...options, id, memoryBudget });
}

async function linkOf(options: FpgaDeviceOptions): Promise<OpenMachineLink> {
  const { url = 'twin', path, machine, serialPort, baudRate, link } = options;
  if (link) return link;
  if (path !== undefined) return (await import('./device-file-link.js')).deviceFileLink({ path, machine: machine! });
  if (serialPort) {
    const { dialWebSerial } = await import('./web-link.js');
    const { openSession } = await import('./session-client.js');
    return (signal) => openSession(dialWebSerial(serialPort, baudRate), { ...options, signal });
  }
  return (await import('./address.js')).linkAt(url, options);
}
