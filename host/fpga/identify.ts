/** Which machine is behind a link, and whether a program fits it. */
import { TuttiError } from '../errors.js';
import { checkMachine, MACHINE_FIELDS, type MachineConfig } from '../snn/machine/config.js';
import type { MachineLink } from './machine-link.js';
import { CAPABILITIES_AT, IDENTIFICATION, REGISTER, RTL_VERSION, STREAM_VERSION } from './register-map.js';

export interface BoardIdentity {
  readonly machine: MachineConfig;
  /** "1.0"; undefined where the registers cannot be reached. */
  readonly rtlVersion: string | undefined;
}

/**
 * Reads the identification and capability registers.
 * @throws TuttiError DEVICE_UNAVAILABLE when what answers is no machine, of another major version, or says impossible things of itself
 */
export async function identifyBoard(link: MachineLink): Promise<BoardIdentity> {
  const { registers, name } = link;
  if (!registers) {
    if (!link.machine) {
      throw new TuttiError(
        'OPTION_INVALID',
        `${name} has no registers to read the configuration from; give \`machine\`, the configuration that the board was built with`,
        { where: name },
      );
    }
    return { machine: checkMachine(link.machine), rtlVersion: undefined };
  }
  const refuse = (what: string, facts: Readonly<Record<string, unknown>>): TuttiError =>
    new TuttiError('DEVICE_UNAVAILABLE', `${name} ${what}`, { where: name, facts });
  const magic = await registers.read(REGISTER.identification);
  if (magic !== IDENTIFICATION) {
    throw refuse(
      `is no synapse machine: its identification register holds ${hex(magic)}, not ${hex(IDENTIFICATION)}; is the bitstream loaded, and the base address right?`,
      { magic },
    );
  }
  const version = await registers.read(REGISTER.rtlVersion);
  if (version >>> 16 !== RTL_VERSION >>> 16) {
    throw refuse(
      `was built from RTL of version ${versionText(version)}, this release knows ${versionText(RTL_VERSION)}; build the bitstream from this release's rtl/`,
      { version: versionText(version), ours: versionText(RTL_VERSION) },
    );
  }
  const stream = await registers.read(REGISTER.streamVersion);
  if (stream !== STREAM_VERSION) {
    throw refuse(
      `speaks version ${stream} of the stream's words, this release ${STREAM_VERSION}; build the bitstream from this release's rtl/`,
      { stream, ours: STREAM_VERSION },
    );
  }
  const values: Record<string, number> = {};
  for (const [i, field] of MACHINE_FIELDS.entries()) values[field] = await registers.read(CAPABILITIES_AT + 4 * i);
  try {
    const machine = checkMachine(values as unknown as MachineConfig, 'capability registers');
    return { machine, rtlVersion: versionText(version) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError('DEVICE_UNAVAILABLE', `${name} describes a machine that cannot be: ${why}`, {
      where: name,
      facts: values,
      cause,
    });
  }
}

/** Numbers that shape a program's layout; of all others a board may have more than a program was compiled for. */
const SHAPING: ReadonlySet<keyof MachineConfig> = new Set(['spus', 'ports', 'lanes']);

export interface MachineDifference {
  readonly field: keyof MachineConfig;
  readonly program: number;
  readonly board: number;
}

/** Where a program for `program` does not fit `board`; empty when it runs there with the same results. */
export function machineDifferences(program: MachineConfig, board: MachineConfig): MachineDifference[] {
  return MACHINE_FIELDS.filter((field) =>
    SHAPING.has(field) ? program[field] !== board[field] : program[field] > board[field],
  ).map((field) => ({ field, program: program[field], board: board[field] }));
}

/** @throws TuttiError DEVICE_FAILED naming every number that differs */
export function checkProgramFits(program: MachineConfig, board: MachineConfig, id: string): void {
  const differences = machineDifferences(program, board);
  if (differences.length === 0) return;
  const said = differences.map(
    ({ field, program: needs, board: has }) =>
      `${field} ${needs}, the board has ${has}${SHAPING.has(field) ? '' : ' (at least as many are needed)'}`,
  );
  throw new TuttiError(
    'KERNEL_UNSUPPORTED',
    `the program was compiled for another machine than ${id}: ${said.join('; ')}; compile the network with { machine: device.capabilities.machine }`,
    { where: id, facts: { differences } },
  );
}

const hex = (word: number): string => `0x${word.toString(16).padStart(8, '0')}`;
const versionText = (version: number): string => `${version >>> 16}.${version & 0xffff}`;
