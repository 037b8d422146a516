/**
 * The registers of the machine on its AXI-Lite port, as plain data: the one description from which rtl/generated/*.svh,
 * host/fpga/bridge/protocol.py and the tables of docs/fpga.md are made (`npm run fpga:generate`).
 */
import { MACHINE_FIELDS } from '../snn/machine/config.js';
import { STATUS } from '../snn/machine/stream.js';

export type RegisterAccess =
  /** Reads tell, writes do nothing. */
  | 'read'
  /** Reads return what was written; 0 after any reset. */
  | 'read-write'
  /** Sticky bits: writing 1 clears. */
  | 'clear'
  /** Reads as 0; a written 1 acts once. */
  | 'act';

export interface Register {
  readonly name: string;
  /** Byte address. */
  readonly address: number;
  readonly access: RegisterAccess;
  readonly what: string;
  /** Named bits, by place. */
  readonly bits?: Readonly<Record<string, number>>;
  /** Value of a register that never changes. */
  readonly fixed?: number;
}

/** "TUTM", low byte first: what tells the machine from any other thing at that address. */
export const IDENTIFICATION = 0x4d545554;

/** Major << 16 | minor. Another major: what the words or registers mean has changed. */
export const RTL_VERSION = 0x0001_0000;

/** Version of the input and output words (host/snn/machine/stream.ts). */
export const STREAM_VERSION = 1;

/** First of the capability registers, which follow in the order of `MACHINE_FIELDS`, one word each. */
export const CAPABILITIES_AT = 0x0100;

/** Bytes of address space; addresses without a register read as 0 and ignore writes. */
export const REGISTER_SPACE = 0x1000;

const DESCRIBED = [
  { name: 'identification', address: 0x0000, access: 'read', what: 'magic number, "TUTM"', fixed: IDENTIFICATION },
  { name: 'rtlVersion', address: 0x0004, access: 'read', what: 'major << 16, minor', fixed: RTL_VERSION },
  {
    name: 'streamVersion',
    address: 0x0008,
    access: 'read',
    what: 'version of the input and output words',
    fixed: STREAM_VERSION,
  },
  {
    name: 'control',
    address: 0x000c,
    access: 'act',
    what: 'bit 0 resets everything but the memories, as rst_n does: words on their way are gone, all registers are as after power-up',
    bits: { softReset: 0 },
  },
  {
    name: 'status',
    address: 0x0010,
    access: 'read',
    what: 'running: between `begin` and the last word of `end`; loading: inside a `load`; outputWaiting: an output word is offered and not taken',
    bits: { running: 0, loading: 1, outputWaiting: 2 },
  },
  {
    name: 'errors',
    address: 0x0014,
    access: 'clear',
    what: 'the status bits of all `end` words since they were cleared',
    bits: Object.fromEntries(Object.entries(STATUS).map(([name, mask]) => [name, Math.log2(mask)])),
  },
  {
    name: 'session',
    address: 0x0018,
    access: 'read-write',
    what: 'the host writes a number other than 0 after it has reset the machine; reading 0 or another number later tells it that somebody reset the machine since',
  },
  {
    name: 'program',
    address: 0x001c,
    access: 'read-write',
    what: 'the host writes the checksum of a program when it is loaded',
  },
  { name: 'wordsIn', address: 0x0020, access: 'read', what: 'input words taken, modulo 2^32' },
  { name: 'wordsOut', address: 0x0024, access: 'read', what: 'output words given, modulo 2^32' },
  { name: 'samples', address: 0x0028, access: 'read', what: 'samples ended, modulo 2^32' },
  {
    name: 'cyclesLow',
    address: 0x002c,
    access: 'read',
    what: 'clock cycles since reset, bits 0 .. 31; reading it latches the high half',
  },
  { name: 'cyclesHigh', address: 0x0030, access: 'read', what: 'bits 32 .. 63 as of the last read of cyclesLow' },
] as const satisfies readonly Register[];

export type RegisterName = (typeof DESCRIBED)[number]['name'];

export const REGISTERS: readonly Register[] = [
  ...DESCRIBED,
  ...MACHINE_FIELDS.map((field, i): Register => ({
    name: field,
    address: CAPABILITIES_AT + 4 * i,
    access: 'read',
    what: `capability: \`${field}\` of the machine's configuration`,
  })),
];

/** Byte addresses by name. */
export const REGISTER = Object.fromEntries(DESCRIBED.map(({ name, address }) => [name, address])) as Readonly<
  Record<RegisterName, number>
>;
