/** Nested graphs made flat: nodes of a subgraph get its name in front, its Input and Output nodes become relays. */
import { nodeError, type NirGraph, type NirLeaf } from './graph.js';

/** What was an Input or Output of a subgraph: passes on what it gets. */
export interface Relay {
  readonly type: 'Relay';
}

export type FlatNode = NirLeaf | Relay;

export interface FlatGraph {
  readonly nodes: ReadonlyMap<string, FlatNode>;
  readonly edges: readonly (readonly [source: string, target: string])[];
}

/**
 * @throws TuttiError NETWORK_INVALID when an edge leads to a subgraph with several inputs (or from one with several
 *   outputs): NIR does not say which is meant.
 */
export function flattenGraph(graph: NirGraph): FlatGraph {
  const nodes = new Map<string, FlatNode>();
  const edges: (readonly [string, string])[] = [];
  flatten(graph, '', nodes, edges);
  return { nodes, edges };
}

/** Where edges to and from a node end: itself, or the Input and Output of a subgraph. */
interface Ports {
  readonly into: readonly string[];
  readonly out: readonly string[];
  readonly type: string;
}

function flatten(
  graph: NirGraph,
  prefix: string,
  nodes: Map<string, FlatNode>,
  edges: (readonly [string, string])[],
): Ports {
  const ports = new Map<string, Ports>();
  for (const [key, node] of graph.nodes) {
    let name = prefix === '' ? key : `${prefix}.${key}`;
    if (node.type === 'NIRGraph') {
      ports.set(key, flatten(node, name, nodes, edges));
      continue;
    }
    // "a.b" may also be the name of a node.
    while (nodes.has(name)) name += "'";
    nodes.set(name, prefix !== '' && (node.type === 'Input' || node.type === 'Output') ? { type: 'Relay' } : node);
    ports.set(key, { into: [name], out: [name], type: node.type });
  }
  for (const [from, to] of graph.edges) {
    const source = ports.get(from)!;
    const target = ports.get(to)!;
    edges.push([onlyPort(source.out, from, source.type, 'Output'), onlyPort(target.into, to, target.type, 'Input')]);
  }
  const portsOf = (type: 'Input' | 'Output'): string[] =>
    [...graph.nodes].filter(([, node]) => node.type === type).map(([key]) => ports.get(key)!.into[0]!);
  return { into: portsOf('Input'), out: portsOf('Output'), type: 'NIRGraph' };
}

function onlyPort(ports: readonly string[], name: string, type: string, kind: 'Input' | 'Output'): string {
  if (ports.length === 1) return ports[0]!;
  throw nodeError(
    name,
    type,
    `has ${ports.length} ${kind} nodes, so that an edge ${kind === 'Input' ? 'to' : 'from'} it has no one meaning; a subgraph that is connected needs exactly one`,
  );
}
