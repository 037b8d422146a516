import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TuttiError } from '../errors.js';
import { snnModule } from '../kernels/snn/module.js';
import { trainingModule } from '../kernels/training/module.js';
import { compileWasm, withUnsharedMemory } from './wasm-module.js';

const shared = snnModule.bytes;

/** A module's bytes up to the end of its import section. */
function upToImports(bytes: Uint8Array): number {
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  for (;;) {
    const section = bytes[at++]!;
    const size = leb();
    at += size;
    if (section === 2) return at;
  }
}

/** A patched copy, or the typed error; anything else fails the test. */
function patch(bytes: Uint8Array): Uint8Array | TuttiError {
  const before = bytes.slice();
  let result: Uint8Array | TuttiError;
  try {
    result = withUnsharedMemory(bytes, 'broken');
    expect(result.length).toBe(bytes.length);
    expect(result.filter((byte, i) => byte !== bytes[i]).length).toBeLessThanOrEqual(1);
  } catch (error) {
    expect(error).toBeInstanceOf(TuttiError);
    expect(error).toMatchObject({ code: 'FILE_INVALID', where: 'broken' });
    expect((error as TuttiError).message).toMatch(/^broken: /);
    result = error as TuttiError;
  }
  expect(bytes).toEqual(before);
  return result;
}

describe('modules on unshared memory', () => {
  for (const { name, bytes } of [snnModule, trainingModule]) {
    it(`differ from the shared ones by one bit, and run: ${name}`, async () => {
      const patched = withUnsharedMemory(bytes);
      const changed = [...bytes.keys()].filter((i) => patched[i] !== bytes[i]);
      expect(changed).toHaveLength(1);
      expect(bytes[changed[0]!]! ^ patched[changed[0]!]!).toBe(2);
      const module = await WebAssembly.compile(patched as BufferSource);
      const env = {
        memory: new WebAssembly.Memory({ initial: 2, maximum: 100 }),
        table: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }),
      };
      const { exports } = await WebAssembly.instantiate(module, { env });
      expect(typeof exports['runCommands']).toBe('function');
      await expect(WebAssembly.instantiate(await WebAssembly.compile(bytes as BufferSource), { env })).rejects.toThrow(
        WebAssembly.LinkError,
      );
    });
  }

  it('answer every truncation with a module or a typed error', () => {
    const imports = upToImports(shared);
    for (let length = 0; length < imports + 50; length++) {
      const result = patch(shared.subarray(0, length));
      if (length < 8) expect(String(result)).toMatch(/is not a Wasm module/);
      if (length >= imports) expect(result).toBeInstanceOf(Uint8Array);
    }
  });

  it('answer every flipped bit before the end of the imports with a module or a typed error', () => {
    const imports = upToImports(shared);
    let refused = 0;
    for (let bit = 0; bit < imports * 8; bit++) {
      const flipped = shared.slice(0, imports + 200);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      if (patch(flipped) instanceof TuttiError) refused++;
    }
    expect(refused).toBeGreaterThan(32); // the magic number alone has 32 bits
  });

  it('answer arbitrary import sections with a module or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        patch(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 2, ...bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('say what is missing', () => {
    const header = [0, 97, 115, 109, 1, 0, 0, 0];
    expect(String(patch(Uint8Array.from(header)))).toMatch(/imports no memory/);
    // Two imports, a function and a global, both named "".
    expect(String(patch(Uint8Array.of(...header, 2, 10, 2, 0, 0, 0, 0, 0, 0, 3, 127, 0)))).toMatch(/imports no memory/);
    expect(String(patch(Uint8Array.of(...header, 2, 4, 1, 0, 0, 9)))).toMatch(/unknown kind 9/);
    expect(String(patch(Uint8Array.of(...header, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)))).toMatch(/malformed integer/);
    expect(String(patch(Uint8Array.of(...header, 2, 3, 1, 0, 0)))).toMatch(/ends in the middle/);
  });
});

describe('compiled modules', () => {
  it('are compiled once for each kind of memory, whatever their name', async () => {
    expect(compileWasm(snnModule, true)).toBe(compileWasm({ ...snnModule, name: 'by another name' }, true));
    expect(await compileWasm(snnModule, true)).not.toBe(await compileWasm(snnModule, false));
    expect(await compileWasm({ name: 'snn', bytes: trainingModule.bytes }, false)).toBe(
      await compileWasm(trainingModule, false),
    );
  });

  it('that do not compile say why, each time', async () => {
    // Cut off after the imports: a module by the look of its beginning.
    const cut = { name: 'cut', bytes: shared.slice(0, upToImports(shared) + 20) };
    for (const memory of [true, false, true]) {
      await expect(compileWasm(cut, memory)).rejects.toMatchObject({
        code: 'KERNEL_UNSUPPORTED',
        message: expect.stringMatching(/"cut" does not compile here: .*CompileError/) as string,
      });
      await expect(compileWasm({ name: 'empty', bytes: new Uint8Array() }, memory)).rejects.toMatchObject({
        code: 'FILE_INVALID',
        where: 'empty',
      });
    }
  });
});
