/** The shape of a decoder-only transformer, from a model file's metadata. */
import { TuttiError } from '../../errors.js';
import type { GgufHeader, GgufValue } from '../gguf/types.js';
import { FAMILIES, type Architecture } from './families.js';
import { yarnMagnitude, type RopeConfig } from './rope.js';

export { rotationTable } from './rope.js';
export type { RopeConfig } from './rope.js';

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
export const MOST = { layers: 1024, width: 2 ** 17, feedForward: 2 ** 20, context: 2 ** 24, vocabulary: 2 ** 22 };

/**
 * `ropeDivisors` is the content of the tensor "rope_freqs.weight", where a file has it.
 * @throws TuttiError FILE_INVALID that names the entry that is missing or makes no sense
 */
export function decoderConfig(
  { metadata, tensors }: GgufHeader,
  file: string,
  ropeDivisors?: ArrayLike<number>,
): DecoderConfig {
  const fail = (key: string, what: string): never => {
    throw new TuttiError('FILE_INVALID', `${file}: metadata ${key} ${what}; convert the model again`, { where: key });
  };
  const architecture = metadata.get('general.architecture');
  if (typeof architecture !== 'string') return fail('general.architecture', 'is missing');
  if (!Object.hasOwn(FAMILIES, architecture)) {
    throw new TuttiError(
      'FILE_INVALID',
      `${file} is a model of architecture ${JSON.stringify(architecture)}; ${Object.keys(FAMILIES).join(', ')} can be run`,
      { where: 'general.architecture', facts: { architecture } },
    );
  }
  const family = FAMILIES[architecture as Architecture];
  const full = (key: string): string => `${architecture}.${key}`;
  const get = (key: string): GgufValue | undefined => metadata.get(full(key));
  const number = (key: string, fallback?: number): number => {
    const value = get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      return fail(full(key), value === undefined ? 'is missing' : `is ${String(value)}, not a positive number`);
    return value;
  };
  const count = (key: string, most: number, fallback?: number): number => {
    const value = number(key, fallback);
    if (!Number.isInteger(value) || value > most) fail(full(key), `is ${value}, not a whole number of at most ${most}`);
    return value;
  };
  const width = count('embedding_length', MOST.width);
  const heads = count('attention.head_count', MOST.width);
  const kvHeads = count('attention.head_count_kv', heads, heads);
  const layers = count('block_count', MOST.layers);
  const headSize = count('attention.key_length', MOST.width, width / heads);
  if (heads % kvHeads !== 0) fail(full('attention.head_count_kv'), `is ${kvHeads}, which does not divide ${heads}`);
  if (count('attention.value_length', MOST.width, headSize) !== headSize)
    fail(full('attention.value_length'), `is not ${headSize} as the keys' is, which is not supported`);
  if ((get('expert_count') ?? 0) !== 0) fail(full('expert_count'), `is not 0: mixtures of experts are not supported`);
  const rotated = count('rope.dimension_count', headSize, headSize);
  if (rotated % 2 !== 0) fail(full('rope.dimension_count'), `is ${rotated}, not an even number`);
  const embedding = tensors.get('token_embd.weight');
  if (embedding?.shape.length !== 2 || embedding.shape[1] !== width)
    throw new TuttiError('FILE_INVALID', `${file} has no tensor "token_embd.weight" of rows of ${width}`, {
      where: 'token_embd.weight',
    });
  for (const tensor of ['attn_output.bias', 'ffn_gate.bias', 'ffn_up.bias', 'ffn_down.bias'])
    if (tensors.has(`blk.0.${tensor}`))
      throw new TuttiError('FILE_INVALID', `${file} has a tensor "blk.0.${tensor}", which is not supported`, {
        where: `blk.0.${tensor}`,
      });

  const context = count('context_length', MOST.context);
  const rope = ropeConfig();
  const name = metadata.get('general.name');
  const cap = (key: string): number => (family.capped && (get(key) ?? 0) !== 0 ? number(key) : 0);
  return {
    ...{ architecture, name: typeof name === 'string' ? name : file },
    ...{ layers, width, heads, kvHeads, headSize, context, rope },
    feedForward: count('feed_forward_length', MOST.feedForward),
    vocabulary: embedding.shape[0]!,
    epsilon: number('attention.layer_norm_rms_epsilon', 1e-5),
    activation: family.activation,
    attentionBias: family.attentionBias || tensors.has('blk.0.attn_q.bias'),
    ...{ headNorms: family.headNorms, outputNorms: family.outputNorms },
    embeddingScale: family.scaledEmbedding ? Math.sqrt(width) : 1,
    attentionScale: number('attention.scale', family.attentionScale({ layers, width, heads, headSize })),
    ...{ scoreCap: cap('attn_logit_softcapping'), logitCap: cap('final_logit_softcapping') },
    window: windowConfig(),
  };

  function ropeConfig(): RopeConfig {
    const scaling = get('rope.scaling.type') ?? 'none';
    if (scaling !== 'none' && scaling !== 'linear' && scaling !== 'yarn')
      fail(full('rope.scaling.type'), `is ${String(scaling)}; none, linear and yarn are supported`);
    if (ropeDivisors) {
      if (ropeDivisors.length !== rotated / 2)
        fail('rope_freqs.weight', `has ${ropeDivisors.length} numbers, not ${rotated / 2}`);
      for (let i = 0; i < ropeDivisors.length; i++)
        if (!(ropeDivisors[i]! > 0 && ropeDivisors[i]! < Infinity))
          fail('rope_freqs.weight', `holds ${ropeDivisors[i]}, not a positive number`);
    }
    const factor = scaling === 'none' ? 1 : number('rope.scaling.factor');
    return {
      ...{ base: number('rope.freq_base', 10_000), rotated, halves: family.halves },
      factor: scaling === 'linear' ? factor : number('rope.scale_linear', 1),
      ...(ropeDivisors && { divisors: Array.from(ropeDivisors) }),
      ...(scaling === 'yarn' && {
        yarn: {
          factor,
          context: count('rope.scaling.original_context_length', MOST.context, context),
          betaFast: number('rope.scaling.yarn_beta_fast', 32),
          betaSlow: number('rope.scaling.yarn_beta_slow', 1),
          magnitude: number('rope.scaling.attn_factor', 1) * yarnMagnitude(factor),
        },
      }),
    };
  }

  function windowConfig(): WindowConfig | undefined {
    if (get('attention.sliding_window') === undefined && family.window.positions === undefined) return undefined;
    if (get('attention.sliding_window') === 0) return undefined;
    const positions = count('attention.sliding_window', MOST.context, family.window.positions);
    const pattern = get('attention.sliding_window_pattern');
    const every = typeof pattern === 'number' ? count('attention.sliding_window_pattern', MOST.layers) : undefined;
    // A window that is never full is none, unless its layers turn differently.
    if (positions >= context && family.window.ropeBase === undefined) return undefined;
    return {
      positions,
      every: every ?? family.window.every,
      ...(family.window.ropeBase !== undefined && {
        rope: {
          ...{ base: number('rope.freq_base_swa', family.window.ropeBase), rotated, halves: family.halves, factor: 1 },
        },
      }),
    };
  }
}
