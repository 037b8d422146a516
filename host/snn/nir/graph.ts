/**
 * A NIR graph (Neuromorphic Intermediate Representation, neuroir.org) as plain data. Nodes and their parameters bear the
 * names that they have in NIR files; units are NIR's (seconds, and whatever potentials are in).
 */
import { TuttiError } from '../../errors.js';

/** Row-major; a scalar has shape []. */
export interface NirArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

export type NirPadding = readonly number[] | 'same' | 'valid';

interface ConvolutionNode {
  /** Size of the input without its channels; worked out from the graph where it is missing. */
  readonly input_shape?: readonly number[] | undefined;
  /** [out channels, in channels / groups, ...kernel]. */
  readonly weight: NirArray;
  readonly bias: NirArray;
  readonly stride: readonly number[];
  readonly padding: NirPadding;
  readonly dilation: readonly number[];
  readonly groups: number;
}

interface PoolNode {
  readonly kernel_size: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
}

/** Node types that hold no other nodes. */
export type NirLeaf =
  | { readonly type: 'Input' | 'Output'; readonly shape: readonly number[] }
  | { readonly type: 'Affine'; readonly weight: NirArray; readonly bias: NirArray }
  | { readonly type: 'Linear'; readonly weight: NirArray }
  | { readonly type: 'Scale'; readonly scale: NirArray }
  | ({ readonly type: 'Conv1d' | 'Conv2d' } & ConvolutionNode)
  | ({ readonly type: 'SumPool2d' | 'AvgPool2d' } & PoolNode)
  | {
      readonly type: 'Flatten';
      readonly input_type?: readonly number[] | undefined;
      readonly start_dim: number;
      readonly end_dim: number;
    }
  | { readonly type: 'Delay'; readonly delay: NirArray }
  | { readonly type: 'Threshold'; readonly threshold: NirArray }
  | { readonly type: 'I'; readonly r: NirArray }
  | {
      readonly type: 'IF';
      readonly r: NirArray;
      readonly v_threshold: NirArray;
      readonly v_reset?: NirArray | undefined;
    }
  | { readonly type: 'LI'; readonly tau: NirArray; readonly r: NirArray; readonly v_leak: NirArray }
  | {
      readonly type: 'LIF';
      readonly tau: NirArray;
      readonly r: NirArray;
      readonly v_leak: NirArray;
      readonly v_threshold: NirArray;
      readonly v_reset?: NirArray | undefined;
    }
  | {
      readonly type: 'CubaLI';
      readonly tau_syn: NirArray;
      readonly tau_mem: NirArray;
      readonly r: NirArray;
      readonly v_leak: NirArray;
      readonly w_in?: NirArray | undefined;
    }
  | {
      readonly type: 'CubaLIF';
      readonly tau_syn: NirArray;
      readonly tau_mem: NirArray;
      readonly r: NirArray;
      readonly v_leak: NirArray;
      readonly v_threshold: NirArray;
      readonly v_reset?: NirArray | undefined;
      readonly w_in?: NirArray | undefined;
    };

export interface NirGraph {
  readonly type: 'NIRGraph';
  readonly nodes: ReadonlyMap<string, NirNode>;
  /** (source, target); a node's inputs are added up, and an edge that stands there twice counts twice. */
  readonly edges: readonly (readonly [source: string, target: string])[];
}

export type NirNode = NirLeaf | NirGraph;
export type NirType = NirNode['type'];

/** How a parameter stands in a file; `?` marks what may be missing. */
export type FieldKind = 'array' | 'array?' | 'sizes' | 'sizes?' | 'whole' | 'padding';

const conv = {
  input_shape: 'sizes?',
  weight: 'array',
  stride: 'sizes',
  padding: 'padding',
  dilation: 'sizes',
  groups: 'whole',
  bias: 'array',
} as const;
const pool = { kernel_size: 'sizes', stride: 'sizes', padding: 'sizes' } as const;

/** The parameters of every node type, in the order in which they are written. */
export const NODE_FIELDS: Readonly<Record<NirLeaf['type'], Readonly<Record<string, FieldKind>>>> = {
  Input: { shape: 'sizes' },
  Output: { shape: 'sizes' },
  Affine: { weight: 'array', bias: 'array' },
  Linear: { weight: 'array' },
  Scale: { scale: 'array' },
  Conv1d: conv,
  Conv2d: conv,
  SumPool2d: pool,
  AvgPool2d: pool,
  Flatten: { input_type: 'sizes?', start_dim: 'whole', end_dim: 'whole' },
  Delay: { delay: 'array' },
  Threshold: { threshold: 'array' },
  I: { r: 'array' },
  IF: { r: 'array', v_threshold: 'array', v_reset: 'array?' },
  LI: { tau: 'array', r: 'array', v_leak: 'array' },
  LIF: { tau: 'array', r: 'array', v_leak: 'array', v_threshold: 'array', v_reset: 'array?' },
  CubaLI: { tau_syn: 'array', tau_mem: 'array', r: 'array', v_leak: 'array', w_in: 'array?' },
  CubaLIF: {
    tau_syn: 'array',
    tau_mem: 'array',
    r: 'array',
    v_leak: 'array',
    v_threshold: 'array',
    v_reset: 'array?',
    w_in: 'array?',
  },
};

export function volume(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** NETWORK_INVALID about a node. */
export function nodeError(name: string, type: string, what: string): TuttiError {
  return new TuttiError('NETWORK_INVALID', `node "${name}" (${type}) ${what}`, {
    where: name,
    facts: { node: name, type },
  });
}
