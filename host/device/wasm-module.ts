/**
 * Wasm modules of kernels: compiled once per process and kind of memory. They are built with an imported *shared* memory;
 * where SharedArrayBuffer is not allowed the same bytes serve, with the import's "shared" flag cleared (atomic loads and
 * stores are legal on unshared memory, and a single thread never waits).
 */
import { TuttiError } from '../errors.js';
import type { WasmModuleSource } from './device.js';

type Compiled = WeakMap<Uint8Array, Promise<WebAssembly.Module>>;
/** By the bytes themselves: two modules may have one name. */
const forShared: Compiled = new WeakMap();
const forUnshared: Compiled = new WeakMap();

/** @throws TuttiError KERNEL_UNSUPPORTED when the module does not compile, FILE_INVALID when it is none or imports no memory */
export function compileWasm({ name, bytes }: WasmModuleSource, shared: boolean): Promise<WebAssembly.Module> {
  const compiled = shared ? forShared : forUnshared;
  let module = compiled.get(bytes);
  if (!module) {
    module = compile(name, bytes, shared);
    module.catch(() => compiled.delete(bytes));
    compiled.set(bytes, module);
  }
  return module;
}

async function compile(name: string, bytes: Uint8Array, shared: boolean): Promise<WebAssembly.Module> {
  const unshared = withUnsharedMemory(bytes, name);
  try {
    return await WebAssembly.compile((shared ? bytes : unshared) as BufferSource);
  } catch (cause) {
    throw new TuttiError('KERNEL_UNSUPPORTED', `the Wasm module "${name}" does not compile here: ${String(cause)}`, {
      where: name,
      cause,
    });
  }
}

/** A copy of a module whose imported memory is not shared. @throws TuttiError FILE_INVALID when there is no such import. */
export function withUnsharedMemory(module: Uint8Array, name = 'Wasm module'): Uint8Array {
  const bytes = module.slice();
  const fail = (what: string): never => {
    throw new TuttiError('FILE_INVALID', `${name}: ${what}`, { where: name });
  };
  let at = 0;
  const byte = (): number => (at < bytes.length ? bytes[at++]! : fail('ends in the middle of its import section'));
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const next = byte();
      value += (next & 0x7f) * 2 ** shift;
      if (next < 0x80) return value;
    }
    return fail('has a malformed integer');
  };
  const skip = (): void => {
    const length = leb();
    at += length;
  };
  if (bytes.length < 8 || bytes[0] !== 0 || bytes[1] !== 0x61 || bytes[2] !== 0x73 || bytes[3] !== 0x6d)
    fail('is not a Wasm module');
  at = 8;
  while (at < bytes.length) {
    const section = byte();
    const size = leb();
    if (section !== 2) {
      at += size;
      continue;
    }
    for (let imports = leb(); imports > 0; imports--) {
      skip(); // module name
      skip(); // field name
      const kind = byte();
      if (kind === 2) {
        if (bytes[at] === undefined) fail('ends in the middle of its import section');
        bytes[at]! &= ~2;
        return bytes;
      }
      if (kind === 0) leb();
      else if (kind === 1) {
        byte();
        if (byte() & 1) leb();
        leb();
      } else if (kind === 3) at += 2;
      else fail(`imports something of unknown kind ${kind}`);
    }
    break;
  }
  return fail('imports no memory');
}
