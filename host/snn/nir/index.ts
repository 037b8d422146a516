/** NIR files (Neuromorphic Intermediate Representation): read into networks, and networks written to them. */
import { TuttiError } from '../../errors.js';
import type { FloatNetwork, FloatNetworkDescription } from '../network.js';
import { defineNetwork } from '../validate.js';
import { readHdf5, writeHdf5, type Hdf5Library } from './hdf5.js';
import type { NirGraph } from './graph.js';
import { networkFromNir, type NirNetwork, type NirOptions } from './graph-to-network.js';
import { nirFromNetwork } from './network-to-graph.js';
import { parseGraph } from './read.js';
import { graphTree } from './write.js';

export interface NirReadOptions extends NirOptions {
  /** The module "h5wasm", where it cannot be imported by that name (pages that are bundled). */
  readonly hdf5?: Hdf5Library;
  /** Seconds that reading the file may take; damaged ones can take for ever (Node). Default 30. */
  readonly timeLimit?: number;
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
  options: Pick<NirReadOptions, 'name' | 'hdf5' | 'timeLimit'> = {},
): Promise<NirGraph> {
  const { name = 'NIR file' } = options;
  return parseGraph(await readHdf5(bytes, name, options), name);
}

/**
 * A float network as the bytes of a NIR file. `readNir` with the same dt, kind of reset and number of spikes per step gives a network with the same
 * dynamics.
 * @throws TuttiError NETWORK_INVALID naming the population or projection that NIR cannot express, and why; DEVICE_UNAVAILABLE when h5wasm is not
 *   installed.
 */
export async function writeNir(
  network: FloatNetwork | FloatNetworkDescription,
  options: { readonly hdf5?: Hdf5Library } = {},
): Promise<Uint8Array> {
  const defined = defineNetwork(network as FloatNetworkDescription) as FloatNetwork;
  if (defined.numeric !== 'float32') {
    throw new TuttiError(
      'NETWORK_INVALID',
      `network "${(defined as { name: string }).name}" is fixed-point; NIR is in physical units, write the float network that it came from`,
      { where: 'numeric' },
    );
  }
  return writeNirGraph(nirFromNetwork(defined), options);
}

/** The bytes of a file with this graph. */
export async function writeNirGraph(
  graph: NirGraph,
  options: { readonly hdf5?: Hdf5Library } = {},
): Promise<Uint8Array> {
  return writeHdf5(graphTree(graph), options.hdf5);
}

export { networkFromNir, nirFromNetwork };
export type { Hdf5Library, NirGraph, NirNetwork, NirOptions };
export type { NirArray, NirLeaf, NirNode } from './graph.js';
