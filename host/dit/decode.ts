/** The decode stage: latent pictures to grey pictures, a small convolutional decoder (models/dit). */
import type { Device, DeviceBuffer, KernelCall } from '../device/device.js';
import { TuttiError } from '../errors.js';
import { ACTIVATIONS, convolvePoints, linearRows } from '../kernels/dit/index.js';
import type { DitConfig, PictureShape } from './config.js';
import type { DitWeights } from './device-weights.js';

export interface Decoding {
  /** [images][side][side][channels] */
  readonly latents: DeviceBuffer;
  /** [images][size][size], about 0 .. 1 */
  readonly pictures: DeviceBuffer;
  readonly calls: readonly KernelCall[];
  release(): void;
}

/** @throws TuttiError OPTION_INVALID when the model has no decoder; MemoryRefusedError */
export function createDecoding(
  device: Device,
  config: DitConfig,
  weights: DitWeights,
  shape: PictureShape,
  images: number,
): Decoding {
  const { decoder, denormalise } = weights;
  if (!decoder || !denormalise) {
    throw new TuttiError('OPTION_INVALID', `${config.name} has no decoder, so its latents cannot become pictures`, {
      where: 'decode',
    });
  }
  const { side, size } = shape;
  const held: DeviceBuffer[] = [];
  const floats = (count: number, label: string): DeviceBuffer => {
    const buffer = device.allocate(4 * count, `${config.name} ${label}`);
    held.push(buffer);
    return buffer;
  };
  try {
    const points = images * side * side;
    const [entry, middle, enlarged, exit] = decoder as [(typeof decoder)[0], ...typeof decoder];
    const latents = floats(points * config.channels, 'latents to decode');
    const restored = floats(points * config.channels, 'latents as they were');
    const first = floats(points * entry.outer, 'decoder 1');
    const second = floats(points * middle!.outer, 'decoder 2');
    const third = floats(images * size * size * enlarged!.outer, 'decoder 3');
    const pictures = floats(images * size * size, 'pictures');
    const convolve = (
      layer: (typeof decoder)[0],
      x: DeviceBuffer,
      y: DeviceBuffer,
      of: number,
      upsample: number,
      activation: keyof typeof ACTIVATIONS,
    ): KernelCall =>
      convolvePoints({
        ...{ x, weights: layer.weights, bias: layer.bias, y, images, height: of, width: of, upsample },
        ...{ inChannels: layer.inner / 9, outChannels: layer.outer, activation: ACTIVATIONS[activation] },
      });
    return {
      latents,
      pictures,
      calls: [
        linearRows({
          ...{ x: latents, weights: denormalise.weights, bias: denormalise.bias, y: restored, rows: points },
          ...{ inner: config.channels, outer: config.channels, tokens: points, activation: ACTIVATIONS.none },
          ...{ xSequence: points, xFirst: 0, ySequence: points, yFirst: 0 },
        }),
        convolve(entry, restored, first, side, 1, 'silu'),
        convolve(middle!, first, second, side, 1, 'silu'),
        convolve(enlarged!, second, third, size, 2, 'silu'),
        convolve(exit!, third, pictures, size, 1, 'none'),
      ],
      release: () => held.splice(0).forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}

/** Numbers 0 .. 1 to bytes. */
export function toPixels(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => Math.round(255 * Math.min(1, Math.max(0, value))));
}
