/** The files that `tutti snn` takes: networks (safetensors, NIR) and programs, told apart by their first bytes. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { TuttiError } from '../../errors.js';
import type { Program } from '../../snn/machine/program.js';
import type { SpikingNetwork } from '../../snn/network.js';

export type Source =
  | { readonly kind: 'network'; readonly format: 'safetensors' | 'NIR'; readonly network: SpikingNetwork }
  | { readonly kind: 'program'; readonly program: Program; readonly words: Uint32Array };

/** What a NIR graph does not say and its reader must be told. */
export interface NirChoices {
  /** Seconds per step. */
  readonly dt: number;
  readonly reset: 'value' | 'subtract';
  readonly maxSpikesPerStep: number;
}

const HDF5 = [0x89, 0x48, 0x44, 0x46];
const PROGRAM = [0x54, 0x53, 0x50, 0x55];

/** @throws TuttiError FILE_INVALID naming the path, and what each reader throws. */
export async function openSource(path: string, nir: NirChoices): Promise<Source> {
  const bytes = await readBytes(path);
  const name = basename(path);
  const begins = (magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);
  if (begins(PROGRAM)) {
    const { decodeProgram } = await import('../../snn/machine/program-file.js');
    const words = wordsOf(bytes, name);
    return { kind: 'program', program: decodeProgram(words, name), words };
  }
  if (begins(HDF5)) {
    const { readNir } = await import('../../snn/nir/index.js');
    const { defineNetwork } = await import('../../snn/index.js');
    return { kind: 'network', format: 'NIR', network: defineNetwork(await readNir(bytes, { ...nir, name })) };
  }
  if (bytes[8] !== 0x7b) {
    throw new TuttiError(
      'FILE_INVALID',
      `${path} is neither a network (safetensors or NIR) nor a program of the synapse machine`,
      { where: path },
    );
  }
  const { loadNetwork } = await import('../../snn/index.js');
  return { kind: 'network', format: 'safetensors', network: loadNetwork(bytes, name) };
}

/** @throws TuttiError FILE_INVALID with the operating system's reason. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TuttiError('FILE_INVALID', `${path} cannot be read: ${reason}`, { where: path, cause });
  }
}

function wordsOf(bytes: Uint8Array, name: string): Uint32Array {
  if (bytes.length % 4 !== 0)
    throw new TuttiError('FILE_INVALID', `${name} has ${bytes.length} bytes, not a whole number of words: it was cut`, {
      where: name,
    });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** The bytes of a program's words, low byte first on every machine. */
export function bytesOf(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}
