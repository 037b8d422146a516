import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MACHINE_FIELDS } from '../snn/machine/config.js';
import { generatedFiles } from './generate.js';
import { FRAME, FRAME_TEXT, HEADER_BYTES, HEADER_FIELDS } from './protocol.js';
import { CAPABILITIES_AT, REGISTERS, REGISTER_SPACE } from './register-map.js';

const root = resolve(import.meta.dirname, '../..');

describe('generated files', () => {
  it.each([...generatedFiles((path) => readFileSync(resolve(root, path), 'utf8'))])(
    '%s is up to date',
    (path, content) => {
      expect(readFileSync(resolve(root, path), 'utf8'), 'run `npm run fpga:generate`').toBe(content);
    },
  );
});

describe('the register map', () => {
  it('gives every register its own word, and the capabilities in order', () => {
    const addresses = REGISTERS.map(({ address }) => address);
    expect(new Set(addresses).size).toBe(REGISTERS.length);
    expect(addresses.every((address) => address % 4 === 0 && address < REGISTER_SPACE)).toBe(true);
    expect(REGISTERS.slice(-MACHINE_FIELDS.length).map(({ name, address }) => [name, address])).toEqual(
      MACHINE_FIELDS.map((field, i) => [field, CAPABILITIES_AT + 4 * i]),
    );
    expect(new Set(REGISTERS.map(({ name }) => name)).size).toBe(REGISTERS.length);
  });
});

describe('the protocol', () => {
  it('has a header without gaps, and a text for each frame', () => {
    let at = 0;
    for (const field of HEADER_FIELDS) {
      expect(field.at).toBe(at);
      at += field.bytes;
    }
    expect(at).toBe(HEADER_BYTES);
    expect(Object.keys(FRAME_TEXT)).toEqual(Object.keys(FRAME));
    expect(new Set(Object.values(FRAME)).size).toBe(Object.keys(FRAME).length);
  });
});
