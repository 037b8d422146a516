/** A model's weights on a device, in panels. */
import type { Device, DeviceBuffer } from '../device/device.js';
import { PANEL, toPanels } from '../kernels/dit/index.js';
import type { DitModel } from './model.js';

export interface Linear {
  readonly weights: DeviceBuffer;
  readonly bias: DeviceBuffer;
  readonly inner: number;
  readonly outer: number;
}

export interface DitBlock {
  readonly qkv: Linear;
  readonly projection: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly cross: CrossAttention | undefined;
}

export interface CrossAttention {
  readonly query: Linear;
  readonly keyValue: Linear;
  readonly projection: Linear;
}

export interface DitWeights {
  readonly embed: Linear;
  readonly time: readonly [Linear, Linear];
  readonly classes: readonly [Linear, Linear];
  /** Shifts, scales and gates of all blocks and the last layer: [depth][6][width], [2][width]. */
  readonly modulation: Linear;
  readonly blocks: readonly DitBlock[];
  readonly last: Linear;
  /** From the width of the context to that of the transformer. */
  readonly context: readonly [Linear, Linear] | undefined;
  /** Weights of a 3 x 3 convolution of the decoder: [out][ky][kx][in] in panels. */
  readonly decoder: readonly Linear[] | undefined;
  /** From latents to what the decoder was trained on. */
  readonly denormalise: Linear | undefined;
  /** [classes + 1][width], on the host: rows are few. */
  readonly classTable: Float32Array;
  release(): void;
}

/** Convolutions of the decoder, in order. */
export const DECODER_LAYERS = ['conv_in', 'conv_mid', 'conv_up', 'conv_out'] as const;

/** Weights [out][channel][y][x] of a convolution as [out][y][x][channel]. */
function channelsLast(weights: Float32Array, outer: number, channels: number, points: number): Float32Array {
  const to = new Float32Array(weights.length);
  for (let n = 0; n < outer; n++)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < points; p++) to[(n * points + p) * channels + c] = weights[(n * channels + c) * points + p]!;
  return to;
}

/** @throws TuttiError FILE_INVALID, MemoryRefusedError. Nothing is left behind then. */
export function uploadDit(device: Device, model: DitModel): DitWeights {
  const { config } = model;
  const { width, depth, ratio, patch, channels, classes, timeWidth } = config;
  const held: DeviceBuffer[] = [];
  const upload = (data: Float32Array, label: string): DeviceBuffer => {
    const buffer = device.allocate(Math.max(4, data.byteLength), `${config.name} ${label}`);
    held.push(buffer);
    device.write(buffer, data);
    return buffer;
  };
  const place = (weights: Float32Array, bias: Float32Array, inner: number, outer: number, label: string): Linear => {
    // Rows of the bias are read eight at a time.
    const padded = new Float32Array(Math.ceil(outer / PANEL) * PANEL);
    padded.set(bias);
    return {
      weights: upload(toPanels(weights, inner, outer), `${label} weights`),
      bias: upload(padded, `${label} bias`),
      inner,
      outer,
    };
  };
  const linear = (name: string, inner: number, outer: number): Linear =>
    place(model.tensor(`${name}.weight`, [outer, inner]), model.tensor(`${name}.bias`, [outer]), inner, outer, name);
  const pair = (name: string, inner: number): readonly [Linear, Linear] => [
    linear(`${name}.mlp.0`, inner, width),
    linear(`${name}.mlp.2`, width, width),
  ];
  try {
    const points = patch * patch;
    const ofPatch = points * channels;
    // Modulations of all blocks are one product.
    const rows = (6 * depth + 2) * width;
    const modulation = new Float32Array(rows * width);
    const modulationBias = new Float32Array(rows);
    for (let b = 0; b <= depth; b++) {
      const name = b < depth ? `blocks.${b}.adaLN_modulation.1` : 'final_layer.adaLN_modulation.1';
      const outer = (b < depth ? 6 : 2) * width;
      modulation.set(model.tensor(`${name}.weight`, [outer, width]), 6 * b * width * width);
      modulationBias.set(model.tensor(`${name}.bias`, [outer]), 6 * b * width);
    }
    const convolution = (name: string, inner: number, outer: number): Linear =>
      place(
        channelsLast(model.tensor(`decoder.${name}.weight`, [outer, inner, 3, 3]), outer, inner, 9),
        model.tensor(`decoder.${name}.bias`, [outer]),
        9 * inner,
        outer,
        name,
      );
    const decoderWidth = 32;
    const decoderShapes = [channels, decoderWidth, decoderWidth, decoderWidth / 2, 1];
    const decodes = config.scale === 2 && model.has('decoder.conv_in.weight');
    const diagonal = new Float32Array(channels * channels);
    if (decodes) {
      const deviation = model.tensor('decoder.deviation', [channels]);
      deviation.forEach((value, c) => (diagonal[c * channels + c] = value));
    }
    return {
      embed: place(
        channelsLast(model.tensor('x_embedder.weight', [width, ofPatch]), width, channels, points),
        model.tensor('x_embedder.bias', [width]),
        ofPatch,
        width,
        'x_embedder',
      ),
      time: pair('t_embedder', timeWidth),
      classes: pair('class_encoder', width),
      modulation: place(modulation, modulationBias, width, rows, 'modulation'),
      blocks: Array.from({ length: depth }, (_, b) => ({
        qkv: linear(`blocks.${b}.attn.qkv`, width, 3 * width),
        projection: linear(`blocks.${b}.attn.proj`, width, width),
        up: linear(`blocks.${b}.mlp.fc1`, width, ratio * width),
        down: linear(`blocks.${b}.mlp.fc2`, ratio * width, width),
        cross: config.context && {
          query: linear(`blocks.${b}.cross_attn.q_linear`, width, width),
          keyValue: linear(`blocks.${b}.cross_attn.kv_linear`, width, 2 * width),
          projection: linear(`blocks.${b}.cross_attn.proj`, width, width),
        },
      })),
      context: config.context && [
        linear('y_embedder.y_proj.fc1', config.context.width, width),
        linear('y_embedder.y_proj.fc2', width, width),
      ],
      last: linear('final_layer.linear', width, ofPatch),
      decoder: decodes
        ? DECODER_LAYERS.map((name, k) => convolution(name, decoderShapes[k]!, decoderShapes[k + 1]!))
        : undefined,
      denormalise: decodes
        ? place(diagonal, model.tensor('decoder.mean', [channels]), channels, channels, 'denormalise')
        : undefined,
      classTable: model.tensor('y_embedder.weight', [classes + 1, width]),
      release: () => held.splice(0).forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}
