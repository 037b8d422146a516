/** Reading and writing NIR files, loaded when it is asked for: most programs never do. */
import type { FloatNetwork, FloatNetworkDescription } from '../network.js';
import type { Hdf5Library, NirGraph, NirNetwork, NirReadOptions } from './index.js';

/** As `readNir` of `nir/index.ts`. */
export async function readNir(bytes: Uint8Array, options: NirReadOptions): Promise<FloatNetworkDescription> {
  return (await import('./index.js')).readNir(bytes, options);
}

/** As `readNirNetwork` of `nir/index.ts`. */
export async function readNirNetwork(bytes: Uint8Array, options: NirReadOptions): Promise<NirNetwork> {
  return (await import('./index.js')).readNirNetwork(bytes, options);
}

/** As `readNirGraph` of `nir/index.ts`. */
export async function readNirGraph(
  bytes: Uint8Array,
  options: Pick<NirReadOptions, 'name' | 'hdf5' | 'timeLimit'> = {},
): Promise<NirGraph> {
  return (await import('./index.js')).readNirGraph(bytes, options);
}

/** As `writeNir` of `nir/index.ts`. */
export async function writeNir(
  network: FloatNetwork | FloatNetworkDescription,
  options: { readonly hdf5?: Hdf5Library } = {},
): Promise<Uint8Array> {
  return (await import('./index.js')).writeNir(network, options);
}
