/** What is generated from register-map.ts, stream.ts and frame.ts: `npm run fpga:generate` writes it, a test checks it. */
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
import { CAPABILITIES_AT, REGISTERS, type Register } from './register-map.js';

const FROM =
  'Generated from host/fpga/register-map.ts and host/snn/machine/stream.ts by `npm run fpga:generate`; do not edit.';

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

/** Path in the repository -> its whole content. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['rtl/generated/register_map.svh', registerMapSvh()],
    ['rtl/generated/stream_words.svh', streamSvh()],
  ]);
}
