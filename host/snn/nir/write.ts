/** A NIR graph as the content of an HDF5 file, laid out as NIR's own writer does it. */
import { NODE_FIELDS, type NirArray, type NirGraph, type NirNode } from './graph.js';
import type { Hdf5Tree, Hdf5Values } from './hdf5.js';

/** Version of the format that is written. */
const VERSION = '1.0';

export function graphTree(graph: NirGraph): Hdf5Tree {
  return new Map<string, Hdf5Tree | Hdf5Values>([
    ['version', text(VERSION)],
    ['node', nodeTree(graph)],
  ]);
}

function text(value: string): Hdf5Values {
  return { shape: [], values: [value] };
}

function nodeTree(node: NirNode): Hdf5Tree {
  const tree = new Map<string, Hdf5Tree | Hdf5Values>([['type', text(node.type)]]);
  if (node.type === 'NIRGraph') {
    tree.set('nodes', new Map([...node.nodes].map(([name, inner]) => [name, nodeTree(inner)])));
    tree.set('edges', { shape: [node.edges.length, 2], values: node.edges.flat() });
    return tree;
  }
  for (const field of Object.keys(NODE_FIELDS[node.type])) {
    const value = (node as unknown as Readonly<Record<string, unknown>>)[field];
    if (value === undefined) continue;
    if (typeof value === 'string') tree.set(field, text(value));
    else if (typeof value === 'number') tree.set(field, { shape: [], values: Int32Array.of(value) });
    else if (Array.isArray(value)) tree.set(field, { shape: [value.length], values: Int32Array.from(value) });
    else tree.set(field, { shape: (value as NirArray).shape, values: (value as NirArray).data });
  }
  return tree;
}
