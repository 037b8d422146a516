/**
 * A 3 x 3 convolution of pictures [height][width][channels], zeros around them, cross-correlation as machine-learning frameworks define it, with an activation behind it. With `upsample` 2
 * every point of x counts as 2 x 2 (nearest neighbours), so nothing enlarged is written. `height` and `width` are those of y. Weights lie in panels
 * (`panels.ts`) of rows `[ky][kx][inChannels]`; a sum is in that order, taps outside of the picture left out.
 */
import source from '../../../gpu-kernels/dit/convolve_points.wgsl';
import { defineKernel } from '../kernel.js';
import { activate } from './activation.js';
import { ditModule } from './module.js';
import { PANEL, panelElements } from './panels.js';

const f = Math.fround;

export const convolvePoints = defineKernel({
  name: 'convolvePoints',
  buffers: {
    /** [images][height / upsample][width / upsample][inChannels] */
    x: ['f32', 'read'],
    /** [outChannels / 8][3][3][inChannels][8] */
    weights: ['f32', 'read'],
    /** [outChannels] */
    bias: ['f32', 'read'],
    /** [images][height][width][outChannels] */
    y: ['f32', 'read-write'],
  },
  scalars: {
    ...{ images: 'u32', height: 'u32', width: 'u32', inChannels: 'u32', outChannels: 'u32' },
    ...{ upsample: 'u32', activation: 'u32' },
  },
  elements: (s) => ({
    x: (s.images * s.height * s.width * s.inChannels) / (s.upsample * s.upsample),
    weights: panelElements(9 * s.inChannels, s.outChannels),
    bias: s.outChannels,
    y: s.images * s.height * s.width * s.outChannels,
  }),
  oracle({ x, weights, bias, y, images, height, width, inChannels, outChannels, upsample, activation }) {
    const across = width / upsample;
    for (let p = 0; p < images * height * width; p++) {
      const [image, row, column] = [Math.floor(p / (height * width)), Math.floor(p / width) % height, p % width];
      for (let n = 0; n < outChannels; n++) {
        const panel = Math.floor(n / PANEL) * PANEL * 9 * inChannels + (n % PANEL);
        let sum = 0;
        for (let tap = 0; tap < 9; tap++) {
          const [yy, xx] = [row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1];
          if (yy < 0 || yy >= height || xx < 0 || xx >= width) continue;
          const line = (image * height) / upsample + Math.floor(yy / upsample);
          const from = (line * across + Math.floor(xx / upsample)) * inChannels;
          for (let c = 0; c < inChannels; c++)
            sum = f(sum + f(x[from + c]! * weights[panel + (tap * inChannels + c) * PANEL]!));
        }
        y[p * outChannels + n] = activate(f(sum + bias[n]!), activation);
      }
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.outChannels / size), s.width, s.images * s.height],
});
