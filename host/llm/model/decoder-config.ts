/** The shape of a decoder-only transformer, from a model file's metadata. */
import { TuttiError } from '../../errors.js';
import type { GgufHeader, GgufValue } from '../gguf/types.js';

export interface RopeConfig {
  readonly base: number;
  /** Elements of a head that are rotated. */
  readonly rotated: number;
  /** Pairs element i with i + rotated / 2 instead of its neighbour. */
  readonly halves: boolean;
  /** Linear scaling: positions are divided by it. */
  readonly factor: number;
}

/** Attention that looks back a limited number of positions (Mistral, Gemma). */
export interface WindowConfig {
  /** A token attends to so many positions, itself included. */
  readonly positions: number;
  /** Layers `k` with `(k + 1) % every === 0` look at everything all the same; 0: none do. */
  readonly every: number;
  /** Rotation of the layers that are limited, where it differs. */
  readonly rope?: RopeConfig;
}

export interface DecoderConfig {
  readonly architecture: string;
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  /** Positions that the model was trained for. */
  readonly context: number;
  readonly epsilon: number;
  readonly rope: RopeConfig;
  /** Of the gate: SwiGLU or GeGLU (tanh approximation). */
  readonly activation: 'silu' | 'gelu';
  /** Query, key and value have biases (Qwen2). */
  readonly attentionBias: boolean;
  /** Queries and keys are normalised head by head (Qwen3, Gemma 3). */
  readonly headNorms: boolean;
  /** What attention and feed-forward give is normalised before it is added (Gemma 2 and 3). */
  readonly outputNorms: boolean;
  /** Embeddings are multiplied by it (Gemma: the root of the width). */
  readonly embeddingScale: number;
  /** Scores are multiplied by it; usually 1 / sqrt(headSize). */
  readonly attentionScale: number;
  /** Scores and logits are squashed to +- this (Gemma 2); 0: not at all. */
  readonly scoreCap: number;
  readonly logitCap: number;
  readonly window: WindowConfig | undefined;
}

/** Largest shape that is taken; what is larger is damage. */
const MOST = { layers: 1024, width: 2 ** 17, feedForward: 2 ** 20, context: 2 ** 24, vocabulary: 2 ** 22 };

/** @throws TuttiError FILE_INVALID that names the entry that is missing or makes no sense */
export function decoderConfig({ metadata, tensors }: GgufHeader, file: string): DecoderConfig {
  const fail = (key: string, what: string): never => {
    throw new TuttiError('FILE_INVALID', `${file}: metadata ${key} ${what}; convert the model again`, { where: key });
  };
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') return fail('general.architecture', 'is missing');
  if (architecture !== 'llama') {
    throw new TuttiError('FILE_INVALID', `${file} is a model of architecture "${architecture}"; "llama" can be run`, {
      where: 'general.architecture',
      facts: { architecture },
    });
  }
  const number = (key: string, fallback?: number): number => {
    const value: GgufValue | undefined = metadata.get(`${architecture}.${key}`) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      return fail(
        `${architecture}.${key}`,
        value === undefined ? 'is missing' : `is ${String(value)}, not a positive number`,
      );
    return value;
  };
  const count = (key: string, most: number, fallback?: number): number => {
    const value = number(key, fallback);
    if (!Number.isInteger(value) || value > most)
      fail(`${architecture}.${key}`, `is ${value}, not a whole number of at most ${most}`);
    return value;
  };
  const width = count('embedding_length', MOST.width);
  const heads = count('attention.head_count', MOST.width);
  const kvHeads = count('attention.head_count_kv', heads, heads);
  const headSize = count('attention.key_length', MOST.width, width / heads);
  if (heads % kvHeads !== 0)
    fail(`${architecture}.attention.head_count_kv`, `is ${kvHeads}, which does not divide ${heads}`);
  const rotated = count('rope.dimension_count', headSize, headSize);
  if (rotated % 2 !== 0) fail(`${architecture}.rope.dimension_count`, `is ${rotated}, not an even number`);
  const embedding = tensors.get('token_embd.weight');
  if (embedding?.shape.length !== 2 || embedding.shape[1] !== width)
    throw new TuttiError('FILE_INVALID', `${file} has no tensor "token_embd.weight" of rows of ${width}`, {
      where: 'token_embd.weight',
    });
  const scaling = metadata.get(`${architecture}.rope.scaling.type`);
  if (scaling !== undefined && scaling !== 'none' && scaling !== 'linear')
    fail(`${architecture}.rope.scaling.type`, `is ${String(scaling)}, which is not supported`);
  const name = metadata.get('general.name');
  return {
    architecture,
    name: typeof name === 'string' ? name : file,
    layers: count('block_count', MOST.layers),
    ...{ width, heads, kvHeads, headSize },
    feedForward: count('feed_forward_length', MOST.feedForward),
    vocabulary: embedding.shape[0]!,
    context: count('context_length', MOST.context),
    epsilon: number('attention.layer_norm_rms_epsilon', 1e-5),
    rope: {
      base: number('rope.freq_base', 10_000),
      rotated,
      halves: false,
      factor: scaling === 'linear' ? number('rope.scaling.factor') : 1,
    },
    ...{ activation: 'silu', attentionBias: false, headNorms: false, outputNorms: false, embeddingScale: 1 },
    ...{ attentionScale: 1 / Math.sqrt(headSize), scoreCap: 0, logitCap: 0, window: undefined },
  };
}

/** [positions][rotated / 2][cos, sin]. */
export function rotationTable({ base, rotated, factor }: RopeConfig, positions: number): Float32Array {
  const table = new Float32Array(positions * rotated);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < rotated / 2; i++) {
      const angle = (p / factor) * base ** ((-2 * i) / rotated);
      table[p * rotated + 2 * i] = Math.cos(angle);
      table[p * rotated + 2 * i + 1] = Math.sin(angle);
    }
  }
  return table;
}
