/** What a decoder needs of a model file, whatever its format: shape, tensors by one set of names, tokenizer, chat template. */
import { TuttiError } from '../../errors.js';
import type { ByteSource } from '../byte-source.js';
import { dequantise } from '../gguf/dequantise.js';
import { readGguf } from '../gguf/read-gguf.js';
import type { GgufTensorType } from '../gguf/types.js';
import { vocabularyOf } from '../tokenizer/from-gguf.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { createTokenizer, type Vocabulary } from '../tokenizer/vocabulary.js';
import { decoderConfig, type DecoderConfig } from './decoder-config.js';

export interface ModelTensor {
  /** GGUF's name, as "blk.0.attn_q.weight", in every format. */
  readonly name: string;
  readonly type: GgufTensorType;
  /** Slowest dimension first: a matrix is [outputs, inputs]. */
  readonly shape: readonly number[];
  readonly bytes: number;
  read(): Promise<Uint8Array>;
}

export interface ModelFile {
  /** For messages. */
  readonly name: string;
  readonly config: DecoderConfig;
  readonly tokenizer: Tokenizer;
  /** What the tokenizer is made of. */
  readonly vocabulary: Vocabulary;
  /** A Jinja template that makes a prompt of messages. */
  readonly chatTemplate: string | undefined;
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  close(): Promise<void>;
}

/** What Llama 3 divides the angles of its rotation by. */
export const ROPE_DIVISORS = 'rope_freqs.weight';
const MOST_DIVISOR_BYTES = 2 ** 18;

/** @throws TuttiError FILE_INVALID */
export async function openGguf(source: ByteSource): Promise<ModelFile> {
  const header = await readGguf(source);
  const divisors = header.tensors.get(ROPE_DIVISORS);
  if (divisors && divisors.bytes > MOST_DIVISOR_BYTES) {
    throw new TuttiError('FILE_INVALID', `${source.name}: tensor "${ROPE_DIVISORS}" has ${divisors.bytes} bytes`, {
      where: ROPE_DIVISORS,
    });
  }
  const config = decoderConfig(
    header,
    source.name,
    divisors && dequantise(divisors, await source.read(divisors.offset, divisors.bytes)),
  );
  const vocabulary = vocabularyOf(header, source.name);
  const template = header.metadata.get('tokenizer.chat_template');
  return {
    name: source.name,
    config,
    tokenizer: createTokenizer(vocabulary),
    vocabulary,
    chatTemplate: typeof template === 'string' ? template : undefined,
    tensors: new Map(
      [...header.tensors.values()].map(({ name, type, shape, bytes, offset }) => [
        name,
        { name, type, shape, bytes, read: () => source.read(offset, bytes) },
      ]),
    ),
    close: () => source.close(),
  };
}
