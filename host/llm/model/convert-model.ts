/** A model file of any format as GGUF, its matrices in the format that is asked for. */
import type { LongCallOptions } from '../../device/device.js';
import type { ByteSink } from '../byte-sink.js';
import { dequantise } from '../gguf/dequantise.js';
import { quantise, type WritableType } from '../gguf/quantise.js';
import { TENSOR_TYPES, type GgufTensorType } from '../gguf/types.js';
import { u32, writeGguf, type GgufEntry, type TensorToWrite } from '../gguf/write-gguf.js';
import { vocabularyMetadata } from '../tokenizer/to-gguf.js';
import { configMetadata } from './config-metadata.js';
import type { DecoderConfig } from './decoder-config.js';
import { FAMILIES, type Architecture } from './families.js';
import { ROPE_DIVISORS, type ModelFile, type ModelTensor } from './model-file.js';

export interface ConvertOptions extends LongCallOptions {
  /** Of the matrices; vectors stay f32, and matrices whose rows are not whole blocks become F16. */
  readonly type: WritableType;
}

export interface ConversionReport {
  readonly bytes: number;
  readonly tensors: number;
  readonly parameters: number;
  /** Tensors of each format. */
  readonly types: Readonly<Partial<Record<GgufTensorType, number>>>;
}

/** GGUF's numbers of what most tensors of a file are. */
const FILE_TYPE: Readonly<Record<WritableType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7 };
/** Values that are converted at a time. */
const PIECE = 2 ** 20;

/**
 * Writes `model` to `sink`, tensor by tensor.
 * @throws TuttiError FILE_INVALID for values that the format cannot hold, ABORTED
 */
export async function convertModel(
  model: ModelFile,
  sink: ByteSink,
  { type, ...options }: ConvertOptions,
): Promise<ConversionReport> {
  const family = FAMILIES[model.config.architecture as Architecture];
  const repair = model.config.rope.halves && !family.halves;
  const { config } = model;
  const tensors: TensorToWrite[] = [];
  let parameters = 0;
  const types: Partial<Record<GgufTensorType, number>> = {};
  for (const tensor of model.tensors.values()) {
    if (tensor.name === ROPE_DIVISORS) continue;
    const to = typeFor(tensor, type, config, model.tensors.has('output.weight'));
    const heads = repair ? rotatedHeads(tensor.name, config) : 0;
    tensors.push({
      ...{ name: tensor.name, type: to, shape: tensor.shape },
      pieces: () => converted(tensor, to, (bytes) => (heads > 0 ? pairNeighbours(bytes, heads, config) : bytes)),
    });
    types[to] = (types[to] ?? 0) + 1;
    parameters += tensor.shape.reduce((product, size) => product * size, 1);
  }
  if (config.rope.divisors) {
    const divisors = Float32Array.from(config.rope.divisors);
    tensors.unshift({
      ...{ name: ROPE_DIVISORS, type: 'F32', shape: [divisors.length] },
      async *pieces() {
        yield quantise(divisors, 'F32');
      },
    });
  }
  const metadata = new Map<string, GgufEntry>([
    ...configMetadata(config),
    ['general.file_type', u32(FILE_TYPE[type])],
    ['general.quantization_version', u32(2)],
    ...vocabularyMetadata(model.vocabulary),
  ]);
  if (model.chatTemplate !== undefined) metadata.set('tokenizer.chat_template', model.chatTemplate);
  const bytes = await writeGguf(sink, metadata, tensors, options);
  return { bytes, tensors: tensors.length, parameters, types };
}

function typeFor(
  { name, shape }: ModelTensor,
  type: WritableType,
  { vocabulary }: DecoderConfig,
  hasOutput: boolean,
): WritableType {
  if (shape.length < 2 || name.endsWith('_norm.weight')) return 'F32';
  if (shape.at(-1)! % TENSOR_TYPES[type][1] !== 0) return 'F16';
  // The matrix that makes logits loses most by four bits.
  const makesLogits = name === (hasOutput ? 'output.weight' : 'token_embd.weight') && shape[0] === vocabulary;
  return type === 'Q4_0' && makesLogits ? 'Q8_0' : type;
}

/** Heads of the matrix or vector whose rows are rotated elements; 0 for others. */
function rotatedHeads(name: string, { heads, kvHeads }: DecoderConfig): number {
  const part = /^blk\.\d+\.attn_([qk])\.(?:weight|bias)$/.exec(name)?.[1];
  return part === undefined ? 0 : part === 'q' ? heads : kvHeads;
}

/** Rows of a head, i and i + half, next to each other. */
function pairNeighbours(bytes: Uint8Array, heads: number, { headSize, rope }: DecoderConfig): Uint8Array {
  const row = bytes.length / (heads * headSize);
  const out = bytes.slice();
  const half = rope.rotated / 2;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i++) {
      for (const part of [0, 1]) {
        const from = (head * headSize + part * half + i) * row;
        out.set(bytes.subarray(from, from + row), (head * headSize + 2 * i + part) * row);
      }
    }
  }
  return out;
}

async function* converted(
  tensor: ModelTensor,
  to: WritableType,
  arrange: (bytes: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const bytes = arrange(await tensor.read());
  if (tensor.type === to) {
    yield bytes;
    return;
  }
  // Pieces are whole blocks of both formats: a power of two of values.
  const [, block, blockBytes] = TENSOR_TYPES[tensor.type];
  const step = (PIECE / block) * blockBytes;
  for (let at = 0; at < bytes.length; at += step) {
    const part = bytes.subarray(at, at + step);
    yield quantise(dequantise({ ...tensor, bytes: part.length }, part), to, tensor.name);
  }
}
