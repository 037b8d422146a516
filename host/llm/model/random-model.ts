/**
 * Models of the usual shapes with random weights, for measuring: as large and as fast as trained ones, and the same wherever they are
 * made. Tensors are made when they are read.
 */
import { TuttiError } from '../../errors.js';
import { checkSeed, mix32, seededRandom, splitmix32 } from '../../random.js';
import { quantise, type WritableType } from '../gguf/quantise.js';
import { TENSOR_TYPES, tensorBytes } from '../gguf/types.js';
import type { SentencePieceVocabulary } from '../tokenizer/sentence-piece.js';
import { TOKEN_KIND } from '../tokenizer/token-kind.js';
import { createTokenizer } from '../tokenizer/vocabulary.js';
import type { DecoderConfig } from './decoder-config.js';
import { FAMILIES, type Architecture } from './families.js';
import type { ModelFile, ModelTensor } from './model-file.js';

export interface RandomShape {
  readonly architecture: Architecture;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly ropeBase: number;
}

/** The stories models of llama2.c, and Qwen2-0.5B. All use their embedding as output matrix, too. */
export const RANDOM_SHAPES = {
  '15m': {
    ...{ architecture: 'llama', layers: 6, width: 288, heads: 6, kvHeads: 6, feedForward: 768 },
    ...{ vocabulary: 32_000, context: 256, ropeBase: 10_000 },
  },
  '110m': {
    ...{ architecture: 'llama', layers: 12, width: 768, heads: 12, kvHeads: 12, feedForward: 2048 },
    ...{ vocabulary: 32_000, context: 1024, ropeBase: 10_000 },
  },
  '0.5b': {
    ...{ architecture: 'qwen2', layers: 24, width: 896, heads: 14, kvHeads: 2, feedForward: 4864 },
    ...{ vocabulary: 151_936, context: 32_768, ropeBase: 1_000_000 },
  },
} as const satisfies Readonly<Record<string, RandomShape>>;

export interface RandomModelOptions {
  /** Of the matrices; vectors are f32. Default F32. */
  readonly type?: WritableType;
  /** Default 1. */
  readonly seed?: number;
}

/** @throws TuttiError OPTION_INVALID for an unknown name, a shape that makes no model, or a bad seed */
export function randomModel(
  shape: keyof typeof RANDOM_SHAPES | RandomShape,
  { type = 'F32', seed = 1 }: RandomModelOptions = {},
): ModelFile {
  checkSeed(seed);
  if (typeof shape === 'string' && !Object.hasOwn(RANDOM_SHAPES, shape)) {
    throw new TuttiError(
      'OPTION_INVALID',
      `there is no random model "${shape as string}"; there are ${Object.keys(RANDOM_SHAPES).join(', ')}`,
      { where: 'shape' },
    );
  }
  const name = `random:${typeof shape === 'string' ? shape : 'custom'}`;
  const config = configOf(typeof shape === 'string' ? RANDOM_SHAPES[shape] : shape, name);
  const vocabulary = randomVocabulary(config.vocabulary, seed);
  const tensors = new Map<string, ModelTensor>();
  for (const [tensor, size] of tensorShapes(config)) {
    const to = size.length < 2 ? 'F32' : size.at(-1)! % TENSOR_TYPES[type][1] === 0 ? type : 'F16';
    const bytes = tensorBytes(
      to,
      size.reduce((product, n) => product * n, 1),
    );
    tensors.set(tensor, {
      ...{ name: tensor, type: to, shape: size, bytes },
      read: () => Promise.resolve(randomTensor(tensor, size, to, seed)),
    });
  }
  return {
    ...{ name, config, vocabulary, tensors },
    tokenizer: createTokenizer(vocabulary),
    chatTemplate: undefined,
    close: () => Promise.resolve(),
  };
}

function configOf(shape: RandomShape, name: string): DecoderConfig {
  const { architecture, width, heads, kvHeads, vocabulary } = shape;
  const family = FAMILIES[architecture];
  for (const [key, value] of Object.entries(shape))
    if (key !== 'architecture' && !(Number.isInteger(value) && value > 0))
      throw new TuttiError('OPTION_INVALID', `${key} is ${value}; it must be a positive whole number`, { where: key });
  const headSize = width / heads;
  if (headSize % 2 !== 0 || heads % kvHeads !== 0 || vocabulary < LEAST_VOCABULARY) {
    throw new TuttiError(
      'OPTION_INVALID',
      `width ${width}, heads ${heads}, kvHeads ${kvHeads}, vocabulary ${vocabulary} make no model: heads must be of an even size, kvHeads divide them, and the vocabulary be ${LEAST_VOCABULARY} or more`,
      { where: 'shape' },
    );
  }
  return {
    ...{ architecture, name, width, heads, kvHeads, headSize, vocabulary },
    ...{ layers: shape.layers, feedForward: shape.feedForward, context: shape.context, epsilon: Math.fround(1e-5) },
    rope: { base: shape.ropeBase, rotated: headSize, halves: family.halves, factor: 1 },
    ...{ activation: family.activation, attentionBias: family.attentionBias },
    ...{ headNorms: family.headNorms, outputNorms: family.outputNorms },
    embeddingScale: family.scaledEmbedding ? Math.sqrt(width) : 1,
    attentionScale: 1 / Math.sqrt(headSize),
    ...{ scoreCap: 0, logitCap: 0, window: undefined },
  };
}

function* tensorShapes(config: DecoderConfig): Generator<readonly [string, readonly number[]]> {
  const { width, heads, kvHeads, headSize, feedForward } = config;
  yield ['token_embd.weight', [config.vocabulary, width]];
  for (let k = 0; k < config.layers; k++) {
    const at = `blk.${k}.`;
    yield [`${at}attn_norm.weight`, [width]];
    yield [`${at}attn_q.weight`, [heads * headSize, width]];
    yield [`${at}attn_k.weight`, [kvHeads * headSize, width]];
    yield [`${at}attn_v.weight`, [kvHeads * headSize, width]];
    if (config.attentionBias) {
      yield [`${at}attn_q.bias`, [heads * headSize]];
      yield [`${at}attn_k.bias`, [kvHeads * headSize]];
      yield [`${at}attn_v.bias`, [kvHeads * headSize]];
    }
    if (config.headNorms) {
      yield [`${at}attn_q_norm.weight`, [headSize]];
      yield [`${at}attn_k_norm.weight`, [headSize]];
    }
    yield [`${at}attn_output.weight`, [width, heads * headSize]];
    if (config.outputNorms) {
      yield [`${at}post_attention_norm.weight`, [width]];
      yield [`${at}post_ffw_norm.weight`, [width]];
    }
    yield [`${at}ffn_norm.weight`, [width]];
    yield [`${at}ffn_gate.weight`, [feedForward, width]];
    yield [`${at}ffn_up.weight`, [feedForward, width]];
    yield [`${at}ffn_down.weight`, [width, feedForward]];
  }
  yield ['output_norm.weight', [width]];
}

/** Values that are made and packed at a time. */
const PIECE = 2 ** 16;

/** The values do not depend on `type`: they are rounded from the same numbers. */
function randomTensor(name: string, shape: readonly number[], type: WritableType, seed: number): Uint8Array {
  const count = shape.reduce((product, size) => product * size, 1);
  let counter = mix32(seed + 0x51ed_2701);
  for (let k = 0; k < name.length; k++) counter = mix32(counter ^ name.charCodeAt(k));
  const vector = shape.length < 2;
  const center = name.endsWith('norm.weight') ? 1 : 0;
  // Such that what goes through a matrix keeps its size. A triangle on -1 .. 1 has the variance 1/6.
  const spread = (vector ? 0.1 : 1 / Math.sqrt(shape.at(-1)!)) * Math.sqrt(6);
  const out = new Uint8Array(tensorBytes(type, count));
  const values = new Float32Array(Math.min(PIECE, count));
  let to = 0;
  for (let at = 0; at < count; at += PIECE) {
    const piece = values.subarray(0, Math.min(PIECE, count - at));
    for (let i = 0; i < piece.length; i++) {
      const bits = splitmix32(counter++);
      piece[i] = center + (((bits & 0xffff) + (bits >>> 16) - 65_535) / 65_536) * spread;
    }
    const packed = quantise(piece, type, name);
    out.set(packed, to);
    to += packed.length;
  }
  return out;
}

const LETTERS = 'etaoinshrdlucmfwypvbgkjqxz';
const SINGLES = [...'\u2581', ...LETTERS, ...LETTERS.toUpperCase(), ...'0123456789.,!?\'"-:;()'];
const LEAST_VOCABULARY = 3 + 256 + SINGLES.length;

/** Bytes, made-up pieces of words that grow out of each other, letters: every text can be written with it. */
function randomVocabulary(size: number, seed: number): SentencePieceVocabulary {
  const random = seededRandom(seed);
  const tokens = ['<unk>', '<s>', '</s>'];
  const kinds: number[] = [TOKEN_KIND.unknown, TOKEN_KIND.control, TOKEN_KIND.control];
  for (let byte = 0; byte < 256; byte++) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    kinds.push(TOKEN_KIND.byte);
  }
  const known = new Set(SINGLES);
  const starts = ['\u2581'];
  const parts = [...LETTERS];
  while (tokens.length + SINGLES.length < size) {
    const first = random.below(2) === 0 ? starts : parts;
    // Early ones, which are short, more often than others.
    const pick = (from: readonly string[]): string => from[Math.floor(random.uniform() ** 2 * from.length)]!;
    const piece = pick(first) + pick(parts);
    if (piece.length > 16 || known.has(piece)) continue;
    known.add(piece);
    first.push(piece);
    tokens.push(piece);
  }
  tokens.push(...SINGLES);
  while (kinds.length < tokens.length) kinds.push(TOKEN_KIND.normal);
  return {
    ...{ model: 'llama', tokens, kinds: Int32Array.from(kinds), bos: 1, eos: 2, unknown: 0, ends: new Set([2]) },
    scores: Float32Array.from(tokens, (_, id) => (id < 259 ? 0 : 259 - id)),
    addBos: true,
  };
}
