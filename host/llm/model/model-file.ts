/** What a decoder needs of a model file, whatever its format: shape, tensors by one set of names, tokenizer, chat template. */
import type { ByteSource } from '../byte-source.js';
import { readGguf } from '../gguf/read-gguf.js';
import type { GgufTensorType } from '../gguf/types.js';
import { tokenizerOf } from '../tokenizer/from-gguf.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
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
  /** A Jinja template that makes a prompt of messages. */
  readonly chatTemplate: string | undefined;
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  close(): Promise<void>;
}

/** @throws TuttiError FILE_INVALID */
export async function openGguf(source: ByteSource): Promise<ModelFile> {
  const header = await readGguf(source);
  const template = header.metadata.get('tokenizer.chat_template');
  return {
    name: source.name,
    config: decoderConfig(header, source.name),
    tokenizer: tokenizerOf(header, source.name),
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
