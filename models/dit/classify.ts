/** What the project's own spiking network (models/mnist) takes pictures for. */
import { readFileSync } from 'node:fs';
import type { Device } from '../../host/device/device.js';
import type { GreyPicture } from '../../host/dit/index.js';
import { createEngine, decodeMembrane, encodeLatency, loadNetwork } from '../../host/snn/index.js';

const SIDE = 28;
const FRAME = 32;

/** A picture at another side: averages of whole points when smaller, else interpolated between the nearest two, lines and columns alike. */
function resized({ width, pixels }: GreyPicture, side: number): Float32Array {
  const ratio = width / side;
  const out = new Float32Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      if (ratio >= 1) {
        for (let j = 0; j < ratio; j++)
          for (let i = 0; i < ratio; i++) sum += pixels[(y * ratio + j) * width + x * ratio + i]!;
        out[y * side + x] = sum / (ratio * ratio);
        continue;
      }
      const at = (k: number): readonly [number, number, number] => {
        const place = Math.min(width - 1, Math.max(0, (k + 0.5) * ratio - 0.5));
        const low = Math.floor(place);
        return [low, Math.min(width - 1, low + 1), place - low];
      };
      const [[y0, y1, b], [x0, x1, a]] = [at(y), at(x)];
      const line = (row: number): number => pixels[row * width + x0]! * (1 - a) + pixels[row * width + x1]! * a;
      out[y * side + x] = line(y0) * (1 - b) + line(y1) * b;
    }
  }
  return out;
}

/** Pictures of 16, 32 or 64 pixels as MNIST has them: 28 pixels within a frame of 32. */
export function asMnist(pictures: readonly GreyPicture[]): Uint8Array {
  const images = new Uint8Array(pictures.length * SIDE * SIDE);
  const edge = (FRAME - SIDE) / 2;
  pictures.forEach((picture, n) => {
    const framed = resized(picture, FRAME);
    for (let y = 0; y < SIDE; y++)
      for (let x = 0; x < SIDE; x++)
        images[(n * SIDE + y) * SIDE + x] = Math.round(framed[(y + edge) * FRAME + x + edge]!);
  });
  return images;
}

export async function classifyDigits(device: Device, pictures: readonly GreyPicture[]): Promise<number[]> {
  const network = loadNetwork(new Uint8Array(readFileSync('models/mnist/dense.safetensors')));
  const recipe = JSON.parse(readFileSync('models/mnist/recipe.json', 'utf8')) as {
    readonly steps: number;
    readonly pixelThreshold: number;
  };
  const labels: number[] = [];
  for (let first = 0; first < pictures.length; first += 200) {
    const some = pictures.slice(first, first + 200);
    const engine = await createEngine(network, { device }, { batch: some.length });
    const input = encodeLatency(asMnist(some), {
      ...{ neurons: SIDE * SIDE, steps: recipe.steps, threshold: recipe.pixelThreshold },
    });
    const { final } = await engine.run({ inputs: { input }, record: { final: ['output'] } });
    labels.push(...decodeMembrane(final['output']!, { neurons: 10 }).labels);
    await engine.close();
  }
  return labels;
}
