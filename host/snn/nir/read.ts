/** From the content of an HDF5 file to a NIR graph: types known, parameters there, numbers finite. */
import { TuttiError } from '../../errors.js';
import { NODE_FIELDS, type FieldKind, type NirArray, type NirGraph, type NirLeaf, type NirNode } from './graph.js';
import type { Hdf5Tree, Hdf5Values } from './hdf5.js';

const MOST_NODES = 2 ** 14;
const MOST_EDGES = 2 ** 16;
const MOST_DIMENSIONS = 8;

/** @throws TuttiError FILE_INVALID when it is no NIR file, NETWORK_INVALID naming a node that cannot be understood */
export function parseGraph(tree: Hdf5Tree, file: string): NirGraph {
  const root = tree.get('node');
  if (!(root instanceof Map)) {
    throw new TuttiError('FILE_INVALID', `${file} is an HDF5 file without the group "node"; it holds no NIR graph`, {
      where: file,
    });
  }
  const budget = { nodes: MOST_NODES, edges: MOST_EDGES };
  const type = textOf((root as Hdf5Tree).get('type'));
  // A file may hold a single node; it is then a graph of its own.
  if (type === 'NIRGraph') return parseSubgraph(root as Hdf5Tree, '', file, budget);
  return { type: 'NIRGraph', nodes: new Map([['node', parseNode(root as Hdf5Tree, 'node', file, budget)]]), edges: [] };
}

interface Budget {
  nodes: number;
  edges: number;
}

function refuse(file: string, name: string, type: string | undefined, what: string): TuttiError {
  const node = name === '' ? 'the graph' : `node "${name}"${type === undefined ? '' : ` (${type})`}`;
  return new TuttiError('NETWORK_INVALID', `${file}: ${node} ${what}`, {
    where: name === '' ? file : name,
    facts: { node: name, type },
  });
}

function parseSubgraph(group: Hdf5Tree, name: string, file: string, budget: Budget): NirGraph {
  const nodes = group.get('nodes');
  if (!(nodes instanceof Map)) throw refuse(file, name, 'NIRGraph', 'has no group "nodes"');
  const parsed = new Map<string, NirNode>();
  for (const [key, node] of nodes as Hdf5Tree) {
    const inside = name === '' ? key : `${name}.${key}`;
    if (--budget.nodes < 0) throw refuse(file, '', undefined, `has more than ${MOST_NODES} nodes`);
    if (!(node instanceof Map)) throw refuse(file, inside, undefined, 'is a data set, not a node');
    parsed.set(key, parseNode(node as Hdf5Tree, inside, file, budget));
  }
  return { type: 'NIRGraph', nodes: parsed, edges: parseEdges(group.get('edges'), parsed, name, file, budget) };
}

function parseEdges(
  found: Hdf5Values | Hdf5Tree | undefined,
  nodes: ReadonlyMap<string, NirNode>,
  name: string,
  file: string,
  budget: Budget,
): (readonly [string, string])[] {
  if (found === undefined || found instanceof Map) throw refuse(file, name, 'NIRGraph', 'has no data set "edges"');
  const { values, shape } = found as Hdf5Values;
  const count = values.length / 2;
  if (values.length === 0) return [];
  if (!Array.isArray(values) || shape.length !== 2 || shape[1] !== 2)
    throw refuse(file, name, 'NIRGraph', `has edges of shape [${shape.join(', ')}]; they must be pairs of names`);
  budget.edges -= count;
  if (budget.edges < 0) throw refuse(file, '', undefined, `has more than ${MOST_EDGES} edges`);
  const names = values as readonly string[];
  return Array.from({ length: count }, (_, i) => {
    const edge = [names[2 * i]!, names[2 * i + 1]!] as const;
    for (const end of edge) {
      if (!nodes.has(end))
        throw refuse(file, name, 'NIRGraph', `has an edge "${edge[0]}" -> "${edge[1]}", but no node "${end}"`);
    }
    return edge;
  });
}

function parseNode(group: Hdf5Tree, name: string, file: string, budget: Budget): NirNode {
  const type = textOf(group.get('type'));
  if (type === undefined) throw refuse(file, name, undefined, 'has no type');
  if (type === 'NIRGraph') return parseSubgraph(group, name, file, budget);
  if (!Object.hasOwn(NODE_FIELDS, type)) {
    const known = ['NIRGraph', ...Object.keys(NODE_FIELDS)].join(', ');
    throw refuse(file, name, type, `is of a type that is not known here; known types: ${known}`);
  }
  const node: Record<string, unknown> = { type };
  for (const [field, kind] of Object.entries(NODE_FIELDS[type as NirLeaf['type']])) {
    node[field] = parseField(group.get(field), kind, (what) => refuse(file, name, type, `${field} ${what}`));
  }
  return node as unknown as NirLeaf;
}

function parseField(
  found: Hdf5Values | Hdf5Tree | undefined,
  kind: FieldKind,
  wrong: (what: string) => TuttiError,
): NirArray | readonly number[] | number | string | undefined {
  if (found === undefined) {
    if (kind.endsWith('?')) return undefined;
    throw wrong('is missing');
  }
  if (found instanceof Map) throw wrong('is a group, not a data set');
  const { shape, values } = found as Hdf5Values;
  if (Array.isArray(values)) {
    const text = textOf(found);
    if (kind === 'padding' && (text === 'same' || text === 'valid')) return text;
    throw wrong(`must be numbers${kind === 'padding' ? ", 'same' or 'valid'" : ''}, got "${String(text)}"`);
  }
  const data = values as Float32Array | Float64Array;
  if (shape.length > MOST_DIMENSIONS) throw wrong(`has ${shape.length} dimensions, the most is ${MOST_DIMENSIONS}`);
  const bad = data.findIndex((value) => !Number.isFinite(Math.fround(value)));
  if (bad >= 0) throw wrong(`holds ${data[bad]} at [${bad}]; it must be finite in single precision`);
  if (kind === 'array' || kind === 'array?') {
    if (data.length === 0) throw wrong('is empty');
    return { shape, data };
  }
  if (!data.every((value) => Number.isInteger(value) && Math.abs(value) < 2 ** 31))
    throw wrong('must hold whole numbers');
  if (kind === 'whole') {
    if (data.length !== 1) throw wrong(`must be one number, got ${data.length}`);
    return data[0]!;
  }
  if (data.length > MOST_DIMENSIONS) throw wrong(`holds ${data.length} numbers, the most is ${MOST_DIMENSIONS}`);
  return [...data];
}

function textOf(found: Hdf5Values | Hdf5Tree | undefined): string | undefined {
  if (found === undefined || found instanceof Map) return undefined;
  const { values } = found as Hdf5Values;
  return Array.isArray(values) && values.length === 1 ? (values[0] as string) : undefined;
}
