/** What is generated from register-map.ts, protocol.ts and stream.ts: `npm run fpga:generate` writes it, a test checks it. */
import { MACHINE_FIELDS } from '../snn/machine/config.js';
import {
  CLASS_WORDS,
  CONTROL_WORDS,
  END_WORDS,
  INPUT,
  LAST,
  MEMORY,
  OUTPUT,
  PAIR,
  STATUS,
} from '../snn/machine/stream.js';
import {
  CONTROL,
  FRAME,
  FRAME_TEXT,
  HEADER_BYTES,
  HEADER_FIELDS,
  MAX_PAYLOAD_WORDS,
  PROTOCOL_VERSION,
  REFUSAL,
  SYNC,
  TIMING,
  WINDOW_FRAMES,
  type FrameType,
} from './protocol.js';
import { CAPABILITIES_AT, IDENTIFICATION, REGISTERS, REGISTER_SPACE, type Register } from './register-map.js';

const FROM =
  'Generated from host/fpga/{register-map,protocol}.ts and host/snn/machine/stream.ts by `npm run fpga:generate`; do not edit.';

const upper = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** localparams, to be included inside a module (or package). */
function svh(lines: readonly string[]): string {
  return [
    `// ${FROM}`,
    '// Include inside a module or package.',
    '/* verilator lint_off UNUSEDPARAM */',
    ...lines,
    '/* verilator lint_on UNUSEDPARAM */',
    '',
  ].join('\n');
}

export function registerMapSvh(): string {
  const one = ({ name, address, bits = {}, fixed, what, access }: Register): string[] => [
    `localparam logic [15:0] REG_${upper(name)} = 16'h${hex(address, 4)}; // ${access}: ${what}`,
    ...(fixed === undefined ? [] : [`localparam logic [31:0] VALUE_${upper(name)} = 32'h${hex(fixed, 8)};`]),
    ...Object.entries(bits).map(([bit, place]) => `localparam int BIT_${upper(name)}_${upper(bit)} = ${place};`),
  ];
  return svh([
    ...REGISTERS.flatMap(one),
    `localparam logic [15:0] REG_CAPABILITIES = 16'h${hex(CAPABILITIES_AT, 4)}; // the first of ${MACHINE_FIELDS.length}`,
    `localparam int CAPABILITY_COUNT = ${MACHINE_FIELDS.length};`,
  ]);
}

export function streamSvh(): string {
  const table = (prefix: string, width: number, values: Readonly<Record<string, number>>): string[] =>
    Object.entries(values).map(
      ([name, value]) => `localparam logic [${width - 1}:0] ${prefix}_${upper(name)} = ${width}'d${value};`,
    );
  return svh([
    ...table('INPUT', 2, INPUT),
    ...table('OUTPUT', 2, OUTPUT),
    ...table('MEMORY', 6, MEMORY),
    ...table('STATUS', 14, STATUS),
    `localparam int BIT_LAST = ${Math.log2(LAST)};`,
    `localparam int BIT_PAIR = ${Math.log2(PAIR)};`,
    `localparam int CONTROL_WORDS = ${CONTROL_WORDS};`,
    `localparam int CLASS_WORDS = ${CLASS_WORDS};`,
    `localparam int END_WORDS = ${END_WORDS};`,
  ]);
}

const python = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));

/** The constants of both as a Python module, for the bridge. */
export function protocolPython(): string {
  const table = (name: string, values: Readonly<Record<string, unknown>>): string[] => [
    `class ${name}:`,
    ...Object.entries(values).map(([key, value]) => `    ${upper(key)} = ${python(value)}`),
    '',
  ];
  return [
    `# ${FROM}`,
    '',
    `VERSION = ${PROTOCOL_VERSION}`,
    `SYNC = bytes(${python(SYNC)})`,
    `HEADER_BYTES = ${HEADER_BYTES}`,
    `MAX_PAYLOAD_WORDS = ${MAX_PAYLOAD_WORDS}`,
    `WINDOW_FRAMES = ${WINDOW_FRAMES}`,
    `IDENTIFICATION = 0x${hex(IDENTIFICATION, 8)}`,
    `REGISTER_SPACE = 0x${hex(REGISTER_SPACE, 4)}`,
    '',
    ...table('Frame', FRAME),
    ...table('Refusal', REFUSAL),
    ...table('Control', CONTROL),
    '# Milliseconds.',
    ...table('Timing', TIMING),
    '# Byte addresses.',
    ...table('Register', Object.fromEntries(REGISTERS.map(({ name, address }) => [name, address]))),
  ]
    .join('\n')
    .replace(/\n+$/, '\n');
}

/** Replaces what stands between the marks of each generated table in docs/fpga.md. */
export function docsWithTables(docs: string): string {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
    const widths = head.map((cell, c) =>
      Math.max(3, cell.length, ...rows.map((r) => r[c]!.replaceAll('|', '\\|').length)),
    );
    const pad = (r: readonly string[]): string => row(r.map((cell, c) => cell.padEnd(widths[c]!)));
    return [pad(head), row(widths.map((w) => '-'.repeat(w))), ...rows.map(pad)].join('\n');
  };
  const address = (value: number): string => `0x${hex(value, 4)}`;
  const bits = (register: Register): string =>
    Object.entries(register.bits ?? {})
      .map(([name, place]) => `bit ${place} ${name}`)
      .join(', ');
  const tables: Readonly<Record<string, string>> = {
    registers: table(
      ['address', 'name', 'access', 'bits', 'what'],
      REGISTERS.map((r) => [address(r.address), r.name, r.access, bits(r), r.what]),
    ),
    header: table(
      ['byte', 'bytes', 'field', 'what'],
      HEADER_FIELDS.map(({ at, bytes, name, what }) => [String(at), String(bytes), name, what]),
    ),
    frames: table(
      ['type', 'name', 'from', 'what'],
      Object.entries(FRAME).map(([name, code]) => {
        const { from, what } = FRAME_TEXT[name as FrameType];
        return [String(code), name, from, what];
      }),
    ),
    timing: table(
      ['what', 'ms'],
      Object.entries(TIMING).map(([name, ms]) => [name, String(ms)]),
    ),
    refusals: table(
      ['code', 'name'],
      Object.entries(REFUSAL).map(([name, code]) => [String(code), name]),
    ),
  };
  return docs.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (whole, open: string, name: string, close: string) =>
      name in tables ? `${open}\n${tables[name]}\n\n${close}` : whole,
  );
}

/**
 * Path in the repository -> its whole content.
 * @param read gives the present content of a file, of which only parts are generated
 */
export function generatedFiles(read: (path: string) => string): ReadonlyMap<string, string> {
  return new Map([
    ['rtl/generated/register_map.svh', registerMapSvh()],
    ['rtl/generated/stream_words.svh', streamSvh()],
    ['host/fpga/bridge/protocol.py', protocolPython()],
    ['docs/fpga.md', docsWithTables(read('docs/fpga.md'))],
  ]);
}
