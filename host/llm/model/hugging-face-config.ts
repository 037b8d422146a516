/** The shape of a decoder from the config.json of a Hugging Face folder. */
import { TuttiError } from '../../errors.js';
import { isObject, type JsonObject } from '../json.js';
import { MOST, type DecoderConfig, type WindowConfig } from './decoder-config.js';
import { FAMILIES, type Architecture } from './families.js';
import { llama3Divisors, yarnMagnitude, type RopeConfig } from './rope.js';

/** Whose decoder a `model_type` is. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  ...{ llama: 'llama', mistral: 'llama', qwen2: 'qwen2', qwen3: 'qwen3' },
  ...{ gemma: 'gemma', gemma2: 'gemma2', gemma3: 'gemma3', gemma3_text: 'gemma3' },
};

const ACTIVATIONS: Readonly<Record<string, 'silu' | 'gelu'>> = {
  ...{ silu: 'silu', swish: 'silu', gelu_pytorch_tanh: 'gelu', gelu_new: 'gelu' },
};

interface Defaults {
  readonly headSize?: number;
  readonly ropeBase?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly context?: number;
}

/** What a model's `config.json` leaves out. */
const DEFAULTS: Readonly<Record<string, Defaults>> = {
  gemma: { headSize: 256 },
  gemma2: { headSize: 256 },
  gemma3: { headSize: 256, ropeBase: 1_000_000, heads: 8, kvHeads: 4, context: 131_072 },
  qwen3: { headSize: 128 },
};

export interface HuggingFaceShape {
  /** All but the size of the vocabulary, which is that of the embedding. */
  readonly config: Omit<DecoderConfig, 'vocabulary'>;
  readonly tied: boolean;
  readonly bos: number | undefined;
  readonly ends: readonly number[];
}

/** @throws TuttiError FILE_INVALID that names the entry that is missing, makes no sense or is not supported */
export function huggingFaceShape(whole: unknown, name: string): HuggingFaceShape {
  const fail = (key: string, what: string): never => {
    throw new TuttiError('FILE_INVALID', `${name}: config.json ${key} ${what}`, { where: key });
  };
  if (!isObject(whole)) return fail('itself', 'is no object');
  // Models that also see pictures keep their decoder's shape in a part of its own.
  const json: JsonObject = isObject(whole['text_config']) ? { ...whole, ...whole['text_config'] } : whole;
  const modelType = json['model_type'];
  if (typeof modelType !== 'string' || !Object.hasOwn(ARCHITECTURES, modelType)) {
    return fail('model_type', `is ${text(modelType)}; ${Object.keys(ARCHITECTURES).join(', ')} can be run`);
  }
  const architecture = ARCHITECTURES[modelType]!;
  const family = FAMILIES[architecture];
  const defaults = DEFAULTS[architecture] ?? {};
  const given = (key: string): unknown => json[key] ?? undefined;
  const number = (key: string, fallback?: number, from: JsonObject = json): number => {
    const value = from[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      return fail(key, value === undefined ? 'is missing' : `is ${text(value)}, not a positive number`);
    return value;
  };
  const count = (key: string, most: number, fallback?: number, from?: JsonObject): number => {
    const value = number(key, fallback, from);
    return Number.isInteger(value) && value <= most ? value : fail(key, `is ${value}, not a whole number to ${most}`);
  };
  for (const key of ['mlp_bias', 'use_bidirectional_attention'])
    if (given(key) === true) fail(key, 'is true, which is not supported');

  const layers = count('num_hidden_layers', MOST.layers);
  const width = count('hidden_size', MOST.width);
  const heads = count('num_attention_heads', MOST.width, defaults.heads);
  const kvHeads = count('num_key_value_heads', heads, defaults.kvHeads ?? heads);
  const headSize = count('head_dim', MOST.width, defaults.headSize ?? width / heads);
  const context = count('max_position_embeddings', MOST.context, defaults.context);
  if (heads % kvHeads !== 0) fail('num_key_value_heads', `is ${kvHeads}, which does not divide ${heads}`);
  const rotated = Math.trunc(headSize * number('partial_rotary_factor', 1));
  if (rotated % 2 !== 0 || rotated > headSize || rotated === 0)
    fail('partial_rotary_factor', `makes ${rotated} of ${headSize} elements rotate, not an even number of them`);
  const act = given('hidden_activation') ?? given('hidden_act') ?? (family.activation === 'gelu' ? 'gelu' : 'silu');
  // Gemma's first files say "gelu" and mean its approximation.
  const activation =
    act === 'gelu' && family.activation === 'gelu' ? 'gelu' : ACTIVATIONS[typeof act === 'string' ? act : ''];
  if (activation === undefined)
    return fail('hidden_act', `is ${text(act)}; ${Object.keys(ACTIVATIONS).join(', ')} can be run`);
  const cap = (key: string): number => (family.capped && given(key) !== undefined ? number(key) : 0);
  const scalar = architecture === 'gemma2' || architecture === 'gemma3' ? 'query_pre_attn_scalar' : undefined;

  return {
    config: {
      ...{ architecture, name, layers, width, heads, kvHeads, headSize, context, activation },
      feedForward: count('intermediate_size', MOST.feedForward),
      epsilon: number('rms_norm_eps', 1e-6),
      rope: ropeConfig(),
      attentionBias: family.attentionBias || given('attention_bias') === true,
      ...{ headNorms: family.headNorms, outputNorms: family.outputNorms },
      embeddingScale: family.scaledEmbedding ? Math.sqrt(width) : 1,
      attentionScale: 1 / Math.sqrt(scalar !== undefined ? number(scalar, 256) : headSize),
      ...{ scoreCap: cap('attn_logit_softcapping'), logitCap: cap('final_logit_softcapping') },
      window: windowConfig(),
    },
    tied: typeof json['tie_word_embeddings'] === 'boolean' ? json['tie_word_embeddings'] : family.scaledEmbedding,
    bos: typeof json['bos_token_id'] === 'number' ? json['bos_token_id'] : undefined,
    ends: endsOf(json),
  };

  /** Older files have rope_theta and rope_scaling, newer ones rope_parameters, for each kind of layer where they differ. */
  function ropeConfig(): RopeConfig {
    const parameters = given('rope_parameters');
    const full = isObject(parameters) ? (parameters['full_attention'] ?? parameters) : given('rope_scaling');
    const scaling = isObject(full) ? full : {};
    const base = number('rope_theta', number('rope_theta', defaults.ropeBase ?? 10_000), scaling);
    const rope = { base, rotated, halves: true, factor: 1 };
    const type = scaling['rope_type'] ?? scaling['type'] ?? 'default';
    const original = (): number => count('original_max_position_embeddings', MOST.context, context, scaling);
    switch (type) {
      case 'default':
      case 'dynamic': // stretches only beyond the context, where nobody here goes
        return rope;
      case 'linear':
        return { ...rope, factor: number('factor', undefined, scaling) };
      case 'llama3': {
        const [lowFrequency, highFrequency] = [
          number('low_freq_factor', 1, scaling),
          number('high_freq_factor', 4, scaling),
        ];
        if (lowFrequency >= highFrequency) fail('low_freq_factor', `is ${lowFrequency}, not below ${highFrequency}`);
        const factor = number('factor', undefined, scaling);
        const stretched = { factor, lowFrequency, highFrequency, context: original() };
        return { ...rope, divisors: llama3Divisors(base, rotated, stretched) };
      }
      case 'yarn': {
        if (scaling['truncate'] === false || scaling['mscale'] !== undefined)
          fail('rope_scaling', 'has truncate or mscale, which are not supported');
        const factor = number('factor', undefined, scaling);
        return {
          ...rope,
          yarn: {
            ...{ factor, context: original() },
            betaFast: number('beta_fast', 32, scaling),
            betaSlow: number('beta_slow', 1, scaling),
            magnitude: number('attention_factor', yarnMagnitude(factor), scaling),
          },
        };
      }
      default:
        return fail('rope_scaling', `is of type ${text(type)}; linear, llama3, yarn and dynamic are supported`);
    }
  }

  function windowConfig(): WindowConfig | undefined {
    if (given('sliding_window') === undefined && family.window.positions === undefined) return undefined;
    // Qwen's files name a window that they do not use.
    if (modelType!.toString().startsWith('qwen') && given('use_sliding_window') !== true) return undefined;
    const positions = count('sliding_window', MOST.context, family.window.positions);
    const every = everyOf();
    if (every === undefined || (positions >= context && family.window.ropeBase === undefined)) return undefined;
    if (family.window.ropeBase === undefined) return { positions, every };
    const parameters = given('rope_parameters');
    const own =
      isObject(parameters) && isObject(parameters['sliding_attention']) ? parameters['sliding_attention'] : {};
    const base = number('rope_theta', number('rope_local_base_freq', family.window.ropeBase), own);
    return { positions, every, rope: { base, rotated, halves: true, factor: 1 } };
  }

  /** Which layers look at everything; undefined: all do. */
  function everyOf(): number | undefined {
    const types = given('layer_types');
    if (!Array.isArray(types)) {
      const usual = count('sliding_window_pattern', MOST.layers, family.window.every || layers + 1);
      const first = modelType!.toString().startsWith('qwen') ? Number(given('max_window_layers') ?? 0) : 0;
      if (first >= layers) return undefined;
      if (first > 0) fail('max_window_layers', `is ${first}: windows in some layers are not supported`);
      return usual > layers && family.window.every === 0 ? 0 : usual;
    }
    if (types.length !== layers) fail('layer_types', `has ${types.length} entries for ${layers} layers`);
    const fits = (every: number): boolean =>
      types.every((type, k) => (type === 'full_attention') === (every > 0 && (k + 1) % every === 0));
    if (!types.every((type) => type === 'full_attention' || type === 'sliding_attention'))
      fail('layer_types', 'has other entries than full_attention and sliding_attention');
    if (types.every((type) => type === 'full_attention')) return undefined;
    const every = [family.window.every, 0, types.indexOf('full_attention') + 1].find(fits);
    return every ?? fail('layer_types', 'is no pattern that repeats, which is not supported');
  }
}

const text = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);

/** One id or several. */
export function endsOf(json: unknown): number[] {
  const ends = isObject(json) ? json['eos_token_id'] : undefined;
  return (Array.isArray(ends) ? ends : [ends]).filter((id): id is number => typeof id === 'number');
}
