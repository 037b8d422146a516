/** A decoder's weights on a device, in the formats of its file. */
import type { Device, DeviceBuffer, LongCallOptions } from '../../device/device.js';
import { throwIfAborted, TuttiError } from '../../errors.js';
import type { WeightFormat } from '../../kernels/tensor/index.js';
import { dequantise } from '../gguf/dequantise.js';
import type { DecoderConfig } from './decoder-config.js';
import type { ModelFile, ModelTensor } from './model-file.js';
import { formatOf, packMatrix } from './pack-weights.js';

/** [outer][inner] */
export interface Matrix {
  readonly buffer: DeviceBuffer;
  readonly format: WeightFormat;
  readonly inner: number;
  readonly outer: number;
}

export interface LayerWeights {
  readonly attentionNorm: DeviceBuffer;
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
  /** Of query, key and value. */
  readonly biases: readonly DeviceBuffer[] | undefined;
  /** [headSize] of queries and keys. */
  readonly headNorms: readonly [DeviceBuffer, DeviceBuffer] | undefined;
  readonly attentionOut: Matrix;
  /** What attention and feed-forward give, before it is added. */
  readonly outputNorms: readonly [DeviceBuffer, DeviceBuffer] | undefined;
  readonly feedForwardNorm: DeviceBuffer;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
}

export interface DecoderWeights {
  /** [vocabulary][width] */
  readonly embedding: Matrix;
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: DeviceBuffer;
  /** The embedding itself where a model ties them. */
  readonly output: Matrix;
  /** Bytes on the device. */
  readonly bytes: number;
  /** Reads them back, to be loaded again without the file. */
  stash(): Promise<WeightStash>;
  release(): void;
}

/** Weights as they lie on a device, by the names of their tensors, in host memory. */
export type WeightStash = ReadonlyMap<string, Uint8Array>;

/** Bytes that `loadDecoderWeights` will ask for, near enough to plan with. */
export function decoderWeightBytes({ tensors }: ModelFile): number {
  return [...tensors.values()].reduce((sum, { bytes, shape }) => sum + (shape.length > 1 ? bytes * 1.12 : bytes), 0);
}

/**
 * Reads the tensors one by one, or takes them from `stash`.
 * @throws TuttiError FILE_INVALID naming the tensor that is missing, has the wrong shape or a type that cannot be run; MemoryRefusedError. Nothing stays
 *   allocated then.
 */
export async function loadDecoderWeights(
  device: Device,
  { name: file, config, tensors }: ModelFile,
  { signal, onProgress, stash }: LongCallOptions & { readonly stash?: WeightStash | undefined } = {},
): Promise<DecoderWeights> {
  const { layers, width, heads, kvHeads, headSize, feedForward, vocabulary } = config;
  const held: DeviceBuffer[] = [];
  const names: string[] = [];
  const total = tensorCount(config, tensors.has('output.weight'));
  const find = (name: string, ...shape: readonly number[]): ModelTensor => {
    throwIfAborted(signal, `loading ${file}`);
    const tensor = tensors.get(name);
    if (tensor?.shape.join() !== shape.join()) {
      throw new TuttiError(
        'FILE_INVALID',
        `${file}: tensor "${name}" ${tensor ? `is ${tensor.shape.join(' x ')}` : 'is missing'}; its model needs ${shape.join(' x ')}`,
        { where: name },
      );
    }
    return tensor;
  };
  const keep = (name: string, data: ArrayBufferView): DeviceBuffer => {
    const buffer = device.allocate(data.byteLength, `${config.name} ${name}`);
    held.push(buffer);
    names.push(name);
    device.write(buffer, data);
    onProgress?.({ done: held.length, total, what: name });
    return buffer;
  };
  const vector = async (name: string, length: number): Promise<DeviceBuffer> => {
    const tensor = find(name, length);
    return keep(name, stash?.get(name) ?? dequantise(tensor, await tensor.read()));
  };
  const matrix = async (name: string, outer: number, inner: number): Promise<Matrix> => {
    const tensor = find(name, outer, inner);
    const format = formatOf(tensor);
    const words = stash?.get(name) ?? packMatrix(tensor, await tensor.read());
    return { buffer: keep(name, words), format, inner, outer };
  };
  try {
    const embedding = await matrix('token_embd.weight', vocabulary, width);
    const outputNorm = await vector('output_norm.weight', width);
    const output = tensors.has('output.weight') ? await matrix('output.weight', vocabulary, width) : embedding;
    const all: LayerWeights[] = [];
    const [queries, keys] = [heads * headSize, kvHeads * headSize];
    for (let k = 0; k < layers; k++) {
      const at = `blk.${k}.`;
      all.push({
        attentionNorm: await vector(`${at}attn_norm.weight`, width),
        query: await matrix(`${at}attn_q.weight`, queries, width),
        key: await matrix(`${at}attn_k.weight`, keys, width),
        value: await matrix(`${at}attn_v.weight`, keys, width),
        biases: config.attentionBias
          ? [
              await vector(`${at}attn_q.bias`, queries),
              await vector(`${at}attn_k.bias`, keys),
              await vector(`${at}attn_v.bias`, keys),
            ]
          : undefined,
        headNorms: config.headNorms
          ? [await vector(`${at}attn_q_norm.weight`, headSize), await vector(`${at}attn_k_norm.weight`, headSize)]
          : undefined,
        attentionOut: await matrix(`${at}attn_output.weight`, width, queries),
        outputNorms: config.outputNorms
          ? [await vector(`${at}post_attention_norm.weight`, width), await vector(`${at}post_ffw_norm.weight`, width)]
          : undefined,
        feedForwardNorm: await vector(`${at}ffn_norm.weight`, width),
        gate: await matrix(`${at}ffn_gate.weight`, feedForward, width),
        up: await matrix(`${at}ffn_up.weight`, feedForward, width),
        down: await matrix(`${at}ffn_down.weight`, width, feedForward),
      });
    }
    return {
      ...{ embedding, outputNorm, output, layers: all },
      bytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
      async stash() {
        const all = new Map<string, Uint8Array>();
        for (const [k, buffer] of held.entries()) all.set(names[k]!, new Uint8Array(await device.read(buffer)));
        return all;
      },
      release: () => held.forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}

function tensorCount(config: DecoderConfig, ownOutput: boolean): number {
  const more = (config.attentionBias ? 3 : 0) + (config.headNorms ? 2 : 0) + (config.outputNorms ? 2 : 0);
  return (ownOutput ? 3 : 2) + (9 + more) * config.layers;
}
