/** A decoder's weights on a device. */
import type { Device, DeviceBuffer, LongCallOptions } from '../../device/device.js';
import { throwIfAborted, TuttiError } from '../../errors.js';
import { dequantise } from '../gguf/dequantise.js';
import type { ModelFile } from './model-file.js';

export interface LayerWeights {
  readonly attentionNorm: DeviceBuffer;
  readonly query: DeviceBuffer;
  readonly key: DeviceBuffer;
  readonly value: DeviceBuffer;
  readonly attentionOut: DeviceBuffer;
  readonly feedForwardNorm: DeviceBuffer;
  readonly gate: DeviceBuffer;
  readonly up: DeviceBuffer;
  readonly down: DeviceBuffer;
}

export interface DecoderWeights {
  /** [vocabulary][width] */
  readonly embedding: DeviceBuffer;
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: DeviceBuffer;
  /** The embedding itself where a model ties them. */
  readonly output: DeviceBuffer;
  /** Bytes on the device. */
  readonly bytes: number;
  release(): void;
}

/**
 * Reads the tensors one by one, as f32.
 * @throws TuttiError FILE_INVALID naming the tensor that is missing or has the wrong shape; MemoryRefusedError. Nothing stays allocated then.
 */
export async function loadDecoderWeights(
  device: Device,
  { name: file, config, tensors }: ModelFile,
  { signal, onProgress }: LongCallOptions = {},
): Promise<DecoderWeights> {
  const { layers, width, heads, kvHeads, headSize, feedForward, vocabulary } = config;
  const held: DeviceBuffer[] = [];
  const total = 3 + 9 * layers;
  const load = async (name: string, ...shape: readonly number[]): Promise<DeviceBuffer> => {
    throwIfAborted(signal, `loading ${file}`);
    const tensor = tensors.get(name);
    if (tensor?.shape.join() !== shape.join()) {
      throw new TuttiError(
        'FILE_INVALID',
        `${file}: tensor "${name}" ${tensor ? `is ${tensor.shape.join(' x ')}` : 'is missing'}; its model needs ${shape.join(' x ')}`,
        { where: name },
      );
    }
    const values = dequantise(tensor, await tensor.read());
    const buffer = device.allocate(values.byteLength, `${config.name} ${name}`);
    held.push(buffer);
    device.write(buffer, values);
    onProgress?.({ done: held.length, total, what: name });
    return buffer;
  };
  try {
    const embedding = await load('token_embd.weight', vocabulary, width);
    const outputNorm = await load('output_norm.weight', width);
    const output = tensors.has('output.weight') ? await load('output.weight', vocabulary, width) : embedding;
    const all: LayerWeights[] = [];
    for (let k = 0; k < layers; k++) {
      const at = `blk.${k}.`;
      all.push({
        attentionNorm: await load(`${at}attn_norm.weight`, width),
        query: await load(`${at}attn_q.weight`, heads * headSize, width),
        key: await load(`${at}attn_k.weight`, kvHeads * headSize, width),
        value: await load(`${at}attn_v.weight`, kvHeads * headSize, width),
        attentionOut: await load(`${at}attn_output.weight`, width, heads * headSize),
        feedForwardNorm: await load(`${at}ffn_norm.weight`, width),
        gate: await load(`${at}ffn_gate.weight`, feedForward, width),
        up: await load(`${at}ffn_up.weight`, feedForward, width),
        down: await load(`${at}ffn_down.weight`, width, feedForward),
      });
    }
    return {
      ...{ embedding, outputNorm, output, layers: all },
      bytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
      release: () => held.forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}
