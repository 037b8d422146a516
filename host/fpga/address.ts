/** Addresses of boards, as users write them: `tcp://pynq:7654`, `serial:/dev/ttyUSB0?baud=921600`. */
import { TuttiError } from '../errors.js';
import { checkMachine, DEFAULT_MACHINE, MACHINE_FIELDS, type MachineConfig } from '../snn/machine/config.js';
import type { DialByteLink, OpenMachineLink } from './machine-link.js';
import { openSession, type SessionOptions } from './session-client.js';

/** Port of the bridge unless another is given. */
export const DEFAULT_PORT = 7654;

const KNOWN =
  'twin, tcp://host:port, unix:/path, serial:/dev/ttyUSB0?baud=115200, ws://host:port, process:program argument ..., sim:program argument ... (or sim:tcp://..., sim:unix:/...), path:/dev/axis_fifo_43c00000?spus=16';

/**
 * How to open what is at `address`. Nothing is opened, or loaded, before it is called.
 * @throws TuttiError OPTION_INVALID for an address that is none
 */
export function linkAt(address: string, options: SessionOptions = {}): OpenMachineLink {
  const { scheme, rest } = split(address);
  const invalid = (why: string): TuttiError =>
    new TuttiError('OPTION_INVALID', `"${address}" is no address of a board: ${why}; there are ${KNOWN}`, {
      where: address,
    });
  const session = (signal?: AbortSignal): SessionOptions => (signal ? { ...options, signal } : options);
  switch (scheme) {
    case 'tcp':
    case 'unix':
    case 'process': {
      const dial = dialOf(address, address, invalid);
      return async (signal) => openSession(dial, session(signal));
    }
    case 'sim': {
      const dial = dialOf(address, /^(tcp|unix):/.test(rest) ? rest : `process:${rest}`, invalid);
      return async (signal) => (await import('./simulator-link.js')).simulatorLink(dial)(signal);
    }
    case 'serial': {
      const [path, query] = halves(rest);
      const baud = Number(query.get('baud') ?? 115_200);
      if (path === '') throw invalid('the path is missing');
      if (!Number.isInteger(baud) || baud < 1) throw invalid(`baud is ${query.get('baud')}`);
      return async (signal) => {
        const { dialSerial } = await import('./node-link.js');
        return openSession(dialSerial(path, baud), session(signal));
      };
    }
    case 'ws':
    case 'wss':
      urlOf(address, invalid);
      return async (signal) => {
        const { dialWebSocket } = await import('./web-link.js');
        return openSession(dialWebSocket(address), session(signal));
      };
    case 'path': {
      const [path, query] = halves(rest);
      if (path === '') throw invalid('the path is missing');
      const machine = machineOf(query, invalid);
      const output = query.get('output');
      return async (signal) => {
        const { deviceFileLink } = await import('./device-file-link.js');
        return deviceFileLink({ path, machine, ...(output === null ? {} : { output }) })(signal);
      };
    }
    case 'twin':
      return async (signal) => (await import('./twin.js')).openTwin()(signal);
    default:
      throw invalid(scheme === undefined ? 'it has no scheme' : `there is no link of kind "${scheme}"`);
  }
}

/** How to dial a socket or a program; `name` is what it is called in messages. */
function dialOf(name: string, address: string, invalid: (why: string) => TuttiError): DialByteLink {
  const { scheme, rest } = split(address);
  if (scheme === 'process') {
    const [program, ...parts] = rest.split(' ').filter((part) => part !== '');
    if (program === undefined) throw invalid('the program is missing');
    return async (signal) => (await import('./node-link.js')).dialProcess(name, [program, ...parts])(signal);
  }
  let to: { readonly host: string; readonly port: number } | { readonly path: string };
  if (scheme === 'unix') {
    to = { path: rest.replace(/^\/\/(?=\/)/, '') };
    if (to.path === '') throw invalid('the path is missing');
  } else {
    const { hostname, port } = urlOf(address, invalid);
    if (hostname === '') throw invalid('the host is missing');
    to = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? DEFAULT_PORT : Number(port) };
  }
  return async (signal) => (await import('./node-link.js')).dialSocket(name, to)(signal);
}

function split(address: string): { readonly scheme: string | undefined; readonly rest: string } {
  if (address === 'twin') return { scheme: 'twin', rest: '' };
  const match = /^([a-z]+):(.*)$/s.exec(address);
  return { scheme: match?.[1], rest: match?.[2] ?? '' };
}

function urlOf(address: string, invalid: (why: string) => TuttiError): URL {
  try {
    return new URL(address);
  } catch {
    throw invalid('host or port make no sense');
  }
}

function halves(rest: string): readonly [path: string, query: URLSearchParams] {
  const at = rest.indexOf('?');
  return at < 0 ? [rest, new URLSearchParams()] : [rest.slice(0, at), new URLSearchParams(rest.slice(at + 1))];
}

/** The default machine with what the query says otherwise. */
function machineOf(query: URLSearchParams, invalid: (why: string) => TuttiError): MachineConfig {
  const known: ReadonlySet<string> = new Set([...MACHINE_FIELDS, 'output']);
  for (const key of query.keys()) if (!known.has(key)) throw invalid(`a machine has no "${key}"`);
  const given = MACHINE_FIELDS.filter((field) => query.has(field)).map((field) => [field, Number(query.get(field))]);
  return checkMachine({ ...DEFAULT_MACHINE, ...(Object.fromEntries(given) as Partial<MachineConfig>) }, 'machine');
}

/** The addresses in `TUTTI_FPGA`, separated by commas. */
export function addressesOf(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
}
