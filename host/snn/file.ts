/**
 * A network in a file: safetensors, with the arrays as tensors and the topology as JSON in the metadata. In the JSON an
 * array is replaced by { "tensor": name }; weights of 4 bits are packed two to a byte.
 */
import { TuttiError } from '../errors.js';
import { readSafetensors, tensorElements, tensorOf, writeSafetensors, type Tensor } from '../files/safetensors.js';
import type { NetworkDescription, SpikingNetwork } from './network.js';
import { defineNetwork } from './validate.js';

const FORMAT = 'tutti-snn';
const VERSION = '1';

/** What stands in the JSON for an array. */
interface TensorReference {
  readonly tensor: string;
  /** Elements, where they are packed two to a byte. */
  readonly packed?: number;
}

/** The network as the bytes of a .safetensors file; `loadNetwork` gives the same network back, to the bit. */
export function saveNetwork(network: SpikingNetwork): Uint8Array {
  const tensors = new Map<string, Tensor>();
  const reference = (
    path: string,
    array: Float32Array | Int32Array | Uint32Array | Int8Array,
    bits: unknown,
  ): TensorReference => {
    if (bits === 4 && array instanceof Int8Array) {
      tensors.set(path, tensorOf('U8', packNibbles(array)));
      return { tensor: path, packed: array.length };
    }
    const type =
      array instanceof Float32Array
        ? 'F32'
        : array instanceof Int32Array
          ? 'I32'
          : array instanceof Uint32Array
            ? 'U32'
            : 'I8';
    tensors.set(path, tensorOf(type, array));
    return { tensor: path };
  };
  const plain = (value: unknown, path: string): unknown => {
    if (ArrayBuffer.isView(value)) return reference(path, value as Int8Array, undefined);
    if (Array.isArray(value)) return value.map((item, i) => plain(item, `${path}.${i}`));
    if (typeof value !== 'object' || value === null) return value;
    const { bits } = value as { readonly bits?: unknown };
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        key === 'weights' && ArrayBuffer.isView(item)
          ? reference(`${path}.weights`, item as Int8Array, bits)
          : plain(item, path === '' ? key : `${path}.${key}`),
      ]),
    );
  };
  // What is derived is derived again when the file is read.
  const { populations, projections } = network;
  const head =
    network.numeric === 'float32' ? { numeric: network.numeric, dt: network.dt } : { numeric: network.numeric };
  const topology = plain({ name: network.name, ...head, populations, projections }, '');
  return writeSafetensors(
    tensors,
    new Map([
      ['format', FORMAT],
      ['version', VERSION],
      ['network', JSON.stringify(topology)],
    ]),
  );
}

/**
 * @throws TuttiError FILE_INVALID when the bytes are not a network file, NETWORK_INVALID when the network in it is not
 *   sound.
 */
export function loadNetwork(bytes: Uint8Array, name = 'network file'): SpikingNetwork {
  const { metadata, tensors } = readSafetensors(bytes, name);
  const refuse = (what: string, cause?: unknown): TuttiError =>
    new TuttiError('FILE_INVALID', `${name} ${what}`, { where: name, cause });
  if (metadata.get('format') !== FORMAT)
    throw refuse(`is a safetensors file, but not one of format "${FORMAT}"; save networks with saveNetwork`);
  if (metadata.get('version') !== VERSION)
    throw refuse(`has version ${JSON.stringify(metadata.get('version'))}, this release reads ${VERSION}`);
  let topology: unknown;
  try {
    topology = JSON.parse(metadata.get('network') ?? '');
  } catch (cause) {
    throw refuse('has a topology that is not JSON', cause);
  }
  const restore = (value: unknown, depth: number): unknown => {
    if (depth > 16) throw refuse('has a topology that is nested too deeply');
    if (Array.isArray(value)) return value.map((item) => restore(item, depth + 1));
    if (typeof value !== 'object' || value === null) return value;
    const { tensor, packed } = value as { readonly tensor?: unknown; readonly packed?: unknown };
    if (typeof tensor !== 'string') {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, restore(item, depth + 1)]));
    }
    const found = tensors.get(tensor);
    if (found === undefined) throw refuse(`refers to tensor ${JSON.stringify(tensor)}, which it does not hold`);
    if (packed === undefined) {
      if (found.type !== 'F32' && found.type !== 'I32' && found.type !== 'U32' && found.type !== 'I8') {
        throw refuse(`holds ${found.type} in tensor ${JSON.stringify(tensor)}; networks hold F32, I32, U32 or I8`);
      }
      return tensorElements(found, found.type);
    }
    const nibbles = tensorElements(found, 'U8', `${name} tensor ${JSON.stringify(tensor)}`);
    if (typeof packed !== 'number' || Math.ceil(packed / 2) !== nibbles.length || !Number.isInteger(packed)) {
      throw refuse(
        `says that tensor ${JSON.stringify(tensor)} packs ${String(packed)} weights into ${nibbles.length} bytes`,
      );
    }
    return unpackNibbles(nibbles, packed);
  };
  return defineNetwork(restore(topology, 0) as NetworkDescription);
}

/** Two weights of -8 .. 7 to a byte, the first in the low half. */
function packNibbles(weights: Int8Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(weights.length / 2));
  for (let i = 0; i < weights.length; i++) packed[i >> 1]! |= (weights[i]! & 15) << (4 * (i & 1));
  return packed;
}

function unpackNibbles(packed: Uint8Array, count: number): Int8Array {
  const weights = new Int8Array(count);
  for (let i = 0; i < count; i++) weights[i] = ((packed[i >> 1]! >> (4 * (i & 1))) << 28) >> 28;
  return weights;
}
