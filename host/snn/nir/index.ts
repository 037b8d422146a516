/** NIR files (Neuromorphic Intermediate Representation): read into networks, and networks written to them. */
import { readHdf5, type Hdf5Library } from './hdf5.js';
import type { NirGraph } from './graph.js';
import { networkFromNir, type NirNetwork, type NirOptions } from './graph-to-network.js';
import { parseGraph } from './read.js';

export interface NirReadOptions extends NirOptions {
  /** The module "h5wasm", where it cannot be imported by that name (pages that are bundled). */
  readonly hdf5?: Hdf5Library;
}

/**
 * The network in a NIR file, with what the file does not say from `options`.
 * @throws TuttiError FILE_INVALID when the bytes are no sound NIR file; NETWORK_INVALID naming the node that has no equivalent, its type and why;
 *   LIMIT_EXCEEDED; OPTION_INVALID; DEVICE_UNAVAILABLE when h5wasm is not installed.
 */
export async function readNir(bytes: Uint8Array, options: NirReadOptions): Promise<NirNetwork['network']> {
  return (await readNirNetwork(bytes, options)).network;
}

/** As `readNir`, and which populations are the file's inputs and outputs. */
export async function readNirNetwork(bytes: Uint8Array, options: NirReadOptions): Promise<NirNetwork> {
  return networkFromNir(await readNirGraph(bytes, options), options);
}

/** The graph in a NIR file as it stands there. */
export async function readNirGraph(
  bytes: Uint8Array,
  options: { readonly name?: string; readonly hdf5?: Hdf5Library } = {},
): Promise<NirGraph> {
  const { name = 'NIR file', hdf5 } = options;
  return parseGraph(await readHdf5(bytes, name, hdf5), name);
}

export { networkFromNir };
export type { Hdf5Library, NirGraph, NirNetwork, NirOptions };
export type { NirArray, NirLeaf, NirNode } from './graph.js';
