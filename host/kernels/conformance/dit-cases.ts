/** Conformance cases of the diffusion transformers' kernels. */
import * as dit from '../dit/index.js';
import { panelElements } from '../dit/index.js';
import type { KernelCase } from './case.js';
import { floats, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

/** Rows of sequences, and where they lie among longer ones. */
function range(d: Dice): { rows: number; tokens: number; sequence: number; first: number; held: number } {
  const [sequences, tokens, first] = [d.int(1, 3), d.int(1, 14), d.int(0, 3)];
  const sequence = first + tokens + d.int(0, 3);
  return { rows: sequences * tokens, tokens, sequence, first, held: sequences * sequence };
}

const linearRows: Maker = (d) => {
  const { rows, tokens, sequence, first, held } = range(d);
  const [inner, outer] = [d.int(1, d.chance(0.2) ? 150 : 40), d.int(1, 45)];
  const ySequence = tokens + d.int(0, 2);
  return {
    name: 'linearRows',
    kernel: dit.linearRows.body,
    scalars: [rows, inner, outer, tokens, sequence, first, ySequence, ySequence - tokens, d.int(0, 2)],
    buffers: [
      floats(d, held * inner),
      floats(d, panelElements(inner, outer)),
      floats(d, outer),
      floats(d, (rows / tokens) * ySequence * outer),
    ],
    tolerance: 2e-5,
  };
};

const gatedLinearRows: Maker = (d) => {
  const { rows, tokens, sequence, first, held } = range(d);
  const [inner, outer, gateFirst] = [d.int(1, 40), d.int(1, 45), d.int(0, 9)];
  const gateStride = gateFirst + outer + d.int(0, 9);
  return {
    name: 'gatedLinearRows',
    kernel: dit.gatedLinearRows.body,
    scalars: [rows, inner, outer, tokens, sequence, first, gateStride, gateFirst],
    buffers: [
      floats(d, held * inner),
      floats(d, panelElements(inner, outer)),
      floats(d, outer),
      floats(d, (rows / tokens) * gateStride),
      floats(d, rows * outer),
    ],
    tolerance: 5e-5,
  };
};

const modulateRows: Maker = (d) => {
  const [sequences, tokens, width] = [d.int(1, 3), d.int(1, 6), 4 * d.int(1, 60)];
  const [shiftFirst, scaleFirst] = [d.int(0, 9), d.int(0, 9)];
  const stride = width + 9 + d.int(0, 5);
  return {
    name: 'modulateRows',
    kernel: dit.modulateRows.body,
    scalars: [sequences * tokens, width, tokens, stride, shiftFirst, scaleFirst, Math.fround(1e-6)],
    buffers: [
      floats(d, sequences * tokens * width),
      floats(d, sequences * stride),
      floats(d, sequences * tokens * width),
    ],
    // Rows of four numbers can have hardly any variance.
    tolerance: 1e-4,
  };
};

const panelRows: Maker = (d) => {
  const [sequences, rows, heads, headSize] = [d.int(1, 3), d.int(1, 20), d.int(1, 3), 8 * d.int(1, 4)];
  const [first, begin] = [d.int(0, 3), d.int(0, 9)];
  const [sequence, stride] = [first + rows + d.int(0, 2), begin + heads * headSize + d.int(0, 5)];
  return {
    name: 'panelRows',
    kernel: dit.panelRows.body,
    scalars: [sequences, rows, heads, headSize, sequence, first, stride, begin],
    buffers: [floats(d, sequences * sequence * stride), floats(d, sequences * heads * panelElements(headSize, rows))],
  };
};

const attendRows: Maker = (d) => {
  const [sequences, queries, heads, headSize] = [
    d.int(1, 2),
    d.int(1, 9),
    d.int(1, 3),
    8 * d.int(1, d.chance(0.2) ? 32 : 5),
  ];
  const keys = d.int(1, d.chance(0.5) ? 12 : 200);
  const place = (count: number): [number, number, number, number] => {
    const [first, begin] = [d.int(0, 2), d.int(0, 5)];
    return [first + count + d.int(0, 2), first, begin + heads * headSize + d.int(0, 5), begin];
  };
  const [q, v, o] = [place(queries), place(keys), place(queries)];
  const state = floats(d, sequences * queries * heads * 2, 0.5, 3);
  return {
    name: 'attendRows',
    kernel: dit.attendRows.body,
    scalars: [
      ...[sequences, queries, keys, heads, headSize],
      ...[...q, ...v, ...o],
      ...[d.int(0, 1), d.int(0, 1), Math.fround(1 / Math.sqrt(headSize))],
    ],
    buffers: [
      floats(d, sequences * q[0] * q[2], -4, 4),
      floats(d, sequences * heads * panelElements(headSize, keys)),
      floats(d, sequences * v[0] * v[2]),
      state,
      floats(d, sequences * o[0] * o[2]),
    ],
    tolerance: 2e-4,
  };
};

const patches =
  (name: 'patchRows' | 'unpatchRows'): Maker =>
  (d) => {
    const [images, side, channels, across, down] = [d.int(1, 3), d.int(1, 3), d.int(1, 5), d.int(1, 5), d.int(1, 5)];
    const first = d.int(0, across * down - 1);
    const rows = d.int(1, across * down - first);
    const pictures = floats(d, images * side * side * across * down * channels);
    const cut = floats(d, images * rows * side * side * channels);
    return {
      name,
      kernel: dit[name].body,
      scalars: [images, rows, first, down * side, across * side, channels, side],
      buffers: name === 'patchRows' ? [pictures, cut] : [cut, pictures],
    };
  };

const flowStep =
  (name: 'eulerStep' | 'heunPredict' | 'heunCorrect'): Maker =>
  (d) => {
    const [images, size, guided, steps, origin] = [d.int(1, 3), d.int(1, 90), d.int(0, 1), d.int(1, 4), d.int(0, 3)];
    const all = images * size;
    const more = { eulerStep: 1, heunPredict: 3, heunCorrect: 2 }[name];
    return {
      name,
      kernel: dit[name].body,
      scalars: [images, size, guided, steps, origin],
      buffers: [
        floats(d, (guided ? 2 : 1) * all),
        floats(d, steps * images * dit.SCHEDULE_ENTRY, 0, 1),
        ...Array.from({ length: more }, () => floats(d, all)),
      ],
      steps: d.int(1, 3),
      firstStep: d.int(0, 6),
      tolerance: 1e-5,
    };
  };

const timeRows: Maker = (d) => {
  const [sequences, images, half, steps] = [d.int(1, 6), d.int(1, 3), d.int(1, 100), d.int(1, 4)];
  return {
    name: 'timeRows',
    kernel: dit.timeRows.body,
    scalars: [sequences, images, half, d.int(0, 1), steps, d.int(0, 3), d.chance(0.5) ? 1000 : d.float(-9, 9)],
    buffers: [
      floats(d, steps * images * dit.SCHEDULE_ENTRY, 0, 1),
      floats(d, half, 0, 1),
      floats(d, sequences * 2 * half),
    ],
    firstStep: d.int(0, 6),
    // An angle of 1000 is rounded to 6e-5, or not where a body contracts.
    tolerance: 2e-4,
  };
};

const siluSum: Maker = (d) => {
  const count = d.int(1, 300);
  const most = d.chance(0.2) ? 100 : 4;
  return {
    name: 'siluSum',
    kernel: dit.siluSum.body,
    scalars: [count],
    buffers: [floats(d, count, -most, most), floats(d, count, -most, most), floats(d, count)],
    tolerance: 1e-5,
  };
};

const convolvePoints: Maker = (d) => {
  const [images, upsample, inChannels, outChannels] = [d.int(1, 2), d.int(1, 2), d.int(1, 9), d.int(1, 18)];
  const [height, width] = [upsample * d.int(1, 5), upsample * d.int(1, 8)];
  return {
    name: 'convolvePoints',
    kernel: dit.convolvePoints.body,
    scalars: [images, height, width, inChannels, outChannels, upsample, d.int(0, 2)],
    buffers: [
      floats(d, (images * height * width * inChannels) / (upsample * upsample)),
      floats(d, panelElements(9 * inChannels, outChannels)),
      floats(d, outChannels),
      floats(d, images * height * width * outChannels),
    ],
    tolerance: 5e-5,
  };
};

export const ditCases: Readonly<Record<string, Maker>> = {
  ...{ linearRows, gatedLinearRows, modulateRows, panelRows, attendRows, timeRows, siluSum, convolvePoints },
  patchRows: patches('patchRows'),
  unpatchRows: patches('unpatchRows'),
  eulerStep: flowStep('eulerStep'),
  heunPredict: flowStep('heunPredict'),
  heunCorrect: flowStep('heunCorrect'),
};
