/**
 * One evaluation of a diffusion transformer as lists of kernel calls, for a whole picture or for a shard of its tokens. Lists come in parts, between which devices that share a
 * picture exchange what they have: `begin`; of every block `before` (norm; queries, keys, values of own tokens into their rows of `qkv`), `attend` (own
 * queries, or own heads, to all keys, into `attended`), `after` (own tokens of `attended` through projection and hidden layer); `end` (own rows of `velocity`). One device runs
 * them all, one behind the other. A token's numbers are the same whoever computes them.
 */
import type { Device, DeviceBuffer, KernelCall } from '../device/device.js';
import { TuttiError } from '../errors.js';
import {
  ACTIVATIONS,
  attendRows,
  gatedLinearRows,
  linearRows,
  modulateRows,
  panelElements,
  panelRows,
  patchRows,
  siluSum,
  timeRows,
  unpatchRows,
} from '../kernels/dit/index.js';
import { addRows } from '../kernels/tensor/index.js';
import { frequencyTable, positionRows, type DitConfig, type PictureShape } from './config.js';
import type { CrossAttention, DitWeights, Linear } from './device-weights.js';

export interface EvaluationShape {
  readonly picture: PictureShape;
  readonly images: number;
  /** Which sequences are computed: with condition, without, or both, those with condition first. */
  readonly halves: 'with' | 'without' | 'both';
  /** Whether there are velocities of both, for guidance. */
  readonly guided: boolean;
  /** Own tokens: `rows` from `first` on. */
  readonly first: number;
  readonly rows: number;
  /** Rows of the schedule. */
  readonly mostSteps: number;
}

/** Which part of attention a device computes: its own queries of all heads, or some heads of all queries. */
export interface AttentionShare {
  readonly firstQuery: number;
  readonly queries: number;
  readonly firstHead: number;
  readonly heads: number;
}

export interface EvaluationBuffers {
  /** [mostSteps][images][4]: time, time after the step, guidance. */
  readonly schedule: DeviceBuffer;
  /** [sequences][width]: what `encode` made of classes. */
  readonly condition: DeviceBuffer;
  /** [sequences][tokens][3][width] */
  readonly qkv: DeviceBuffer;
  /** [sequences][tokens][width] */
  readonly attended: DeviceBuffer;
  /** [guided ? 2 : 1][images][side][side][channels] */
  readonly velocity: DeviceBuffer;
  /** [sequences][context tokens][context width], of models that have one. */
  readonly context: DeviceBuffer | undefined;
}

export interface Evaluation {
  readonly buffers: EvaluationBuffers;
  readonly sequences: number;
  /** From latents [images][side][side][channels] at the step's time, or at the time after it. */
  begin(latents: DeviceBuffer, after: 0 | 1): KernelCall[];
  before(block: number): KernelCall[];
  attend(share?: AttentionShare): KernelCall[];
  after(block: number): KernelCall[];
  end(): KernelCall[];
  /** All of it. */
  whole(latents: DeviceBuffer, after: 0 | 1): KernelCall[];
  release(): void;
}

/** @throws TuttiError OPTION_INVALID, MemoryRefusedError */
export function createEvaluation(
  device: Device,
  config: DitConfig,
  weights: DitWeights,
  shape: EvaluationShape,
): Evaluation {
  const { width, heads, depth, ratio, patch, channels, timeWidth, timeSpan, epsilon } = config;
  const { picture, images, halves, guided, first, rows: own, mostSteps } = shape;
  const { tokens, side } = picture;
  if (patch > 1 && halves === 'without') {
    throw new TuttiError(
      'OPTION_INVALID',
      `${config.name} has patches of ${patch} points; those without a condition are computed together with the others`,
      {
        where: 'halves',
      },
    );
  }
  const headSize = width / heads;
  const sequences = images * (halves === 'both' ? 2 : 1);
  const rows = sequences * own;
  const whole = own === tokens;
  const ofPatch = patch * patch * channels;
  const stride = (6 * depth + 2) * width;
  const held: DeviceBuffer[] = [];
  const floats = (count: number, label: string): DeviceBuffer => {
    const buffer = device.allocate(4 * count, `${config.name} ${label}`);
    held.push(buffer);
    return buffer;
  };
  try {
    const schedule = floats(mostSteps * images * 4, 'schedule');
    const condition = floats(sequences * width, 'condition');
    const frequencies = floats(timeWidth / 2, 'frequencies');
    const sinusoids = floats(sequences * timeWidth, 'sinusoids');
    const time = floats(sequences * width, 'time');
    const timeHidden = floats(sequences * width, 'hidden time');
    const conditioned = floats(sequences * width, 'time and condition');
    const modulation = floats(sequences * stride, 'modulation');
    const positions = floats(own * width, 'positions');
    const patches = floats(images * own * ofPatch, 'patches');
    const x = floats(rows * width, 'x');
    const normed = floats(rows * width, 'normed');
    const hidden = floats(rows * ratio * width, 'hidden');
    const qkv = floats(sequences * tokens * 3 * width, 'queries, keys, values');
    const attended = floats(sequences * tokens * width, 'attended');
    const panels = floats(sequences * heads * panelElements(headSize, tokens), 'keys in panels');
    const state = floats(sequences * tokens * heads * 2, 'softmax');
    const points = side * side * channels;
    const velocity = floats((guided ? 2 : 1) * images * points, 'velocity');
    // Rows of patches are the picture itself where a patch is a point.
    const velocityRows = patch === 1 ? velocity : floats(rows * ofPatch, 'velocity rows');
    const contextTokens = config.context?.tokens ?? 0;
    const contextRows = sequences * contextTokens;
    const cross = config.context && {
      ...{
        context: floats(contextRows * config.context.width, 'context'),
        hidden: floats(contextRows * width, 'hidden context'),
      },
      ...{ embedded: floats(contextRows * width, 'embedded context'), q: floats(rows * width, 'queries of context') },
      ...{
        kv: floats(contextRows * 2 * width, 'keys and values of context'),
        out: floats(rows * width, 'attended context'),
      },
      panels: floats(sequences * heads * panelElements(headSize, contextTokens), 'keys of context in panels'),
      ones: floats(width, 'ones'),
    };
    if (cross) device.write(cross.ones, new Float32Array(width).fill(1));
    device.write(frequencies, frequencyTable(timeWidth / 2));
    device.write(positions, positionRows(config, picture).subarray(first * width, (first + own) * width));

    const linear = (
      layer: Linear,
      from: DeviceBuffer,
      y: DeviceBuffer,
      count: number,
      activation: keyof typeof ACTIVATIONS = 'none',
      place: { tokens?: number; ySequence?: number; yFirst?: number } = {},
    ): KernelCall => {
      const of = place.tokens ?? count;
      return linearRows({
        ...{ x: from, weights: layer.weights, bias: layer.bias, y, rows: count, inner: layer.inner },
        ...{ outer: layer.outer, tokens: of, xSequence: of, xFirst: 0, activation: ACTIVATIONS[activation] },
        ...{ ySequence: place.ySequence ?? of, yFirst: place.yFirst ?? 0 },
      });
    };
    const modulate = (shiftFirst: number, scaleFirst: number): KernelCall =>
      modulateRows({
        ...{ x, modulation, y: normed, rows, width, tokens: own, stride, epsilon },
        ...{ shiftFirst: shiftFirst * width, scaleFirst: scaleFirst * width },
      });
    const gated = (layer: Linear, from: DeviceBuffer, gate: number, xSequence: number, xFirst: number): KernelCall =>
      gatedLinearRows({
        ...{ x: from, weights: layer.weights, bias: layer.bias, gates: modulation, y: x },
        ...{ rows, inner: layer.inner, outer: layer.outer, tokens: own, xSequence, xFirst },
        ...{ gateStride: stride, gateFirst: gate * width },
      });

    /** Of own tokens to all of the context; a plain residual. */
    const crossCalls = ({ query, keyValue, projection }: CrossAttention): KernelCall[] =>
      cross
        ? [
            linear(query, x, cross.q, rows),
            linear(keyValue, cross.embedded, cross.kv, contextRows),
            panelRows({
              ...{ x: cross.kv, panels: cross.panels, sequences, rows: contextTokens, heads, headSize },
              ...{ sequence: contextTokens, first: 0, stride: 2 * width, begin: 0 },
            }),
            attendRows({
              ...{ q: cross.q, panels: cross.panels, values: cross.kv, state, out: cross.out },
              ...{ sequences, queries: own, keys: contextTokens, heads, headSize },
              ...{ qSequence: own, qFirst: 0, qStride: width, qBegin: 0 },
              ...{ vSequence: contextTokens, vFirst: 0, vStride: 2 * width, vBegin: width },
              ...{ oSequence: own, oFirst: 0, oStride: width, oBegin: 0 },
              ...{ begins: 1, ends: 1, scale: Math.fround(1 / Math.sqrt(headSize)) },
            }),
            gatedLinearRows({
              ...{ x: cross.out, weights: projection.weights, bias: projection.bias, gates: cross.ones, y: x },
              ...{
                rows,
                inner: width,
                outer: width,
                tokens: own,
                xSequence: own,
                xFirst: 0,
                gateStride: 0,
                gateFirst: 0,
              },
            }),
          ]
        : [];

    const evaluation: Evaluation = {
      buffers: { schedule, condition, qkv, attended, velocity, context: cross?.context },
      sequences,
      begin(latents, after) {
        const cut =
          patch === 1 && whole
            ? []
            : [
                patchRows({
                  ...{ pictures: latents, patches, images, rows: own, first },
                  ...{ height: side, width: side, channels, side: patch },
                }),
              ];
        const from = cut.length === 0 ? latents : patches;
        return [
          timeRows({
            ...{ schedule, frequencies, out: sinusoids, sequences, images, half: timeWidth / 2 },
            ...{ after, steps: mostSteps, origin: 0, span: timeSpan },
          }),
          linear(weights.time[0], sinusoids, timeHidden, sequences, 'silu'),
          linear(weights.time[1], timeHidden, time, sequences),
          siluSum({ x: time, y: condition, out: conditioned, count: sequences * width }),
          linear(weights.modulation, conditioned, modulation, sequences),
          ...(cross && weights.context
            ? [
                linear(weights.context[0], cross.context, cross.hidden, contextRows, 'gelu'),
                linear(weights.context[1], cross.hidden, cross.embedded, contextRows),
              ]
            : []),
          ...cut,
          linear(weights.embed, from, x, images * own),
          // The same latents with and without a condition.
          ...(halves === 'both'
            ? [linear(weights.embed, from, x, images * own, 'none', { yFirst: images * own })]
            : []),
          addRows({ x: positions, y: x, count: rows * width, period: own * width }),
        ];
      },
      before: (block) => [
        modulate(6 * block, 6 * block + 1),
        linear(weights.blocks[block]!.qkv, normed, qkv, rows, 'none', {
          tokens: own,
          ySequence: tokens,
          yFirst: first,
        }),
      ],
      attend(share = { firstQuery: first, queries: own, firstHead: 0, heads }) {
        const begin = share.firstHead * headSize;
        return [
          panelRows({
            ...{ x: qkv, panels, sequences, rows: tokens, heads: share.heads, headSize },
            ...{ sequence: tokens, first: 0, stride: 3 * width, begin: width + begin },
          }),
          attendRows({
            ...{ q: qkv, panels, values: qkv, state, out: attended },
            ...{ sequences, queries: share.queries, keys: tokens, heads: share.heads, headSize },
            ...{ qSequence: tokens, qFirst: share.firstQuery, qStride: 3 * width, qBegin: begin },
            ...{ vSequence: tokens, vFirst: 0, vStride: 3 * width, vBegin: 2 * width + begin },
            ...{ oSequence: tokens, oFirst: share.firstQuery, oStride: width, oBegin: begin },
            ...{ begins: 1, ends: 1, scale: Math.fround(1 / Math.sqrt(headSize)) },
          }),
        ];
      },
      after(block) {
        const { projection, up, down, cross: attention } = weights.blocks[block]!;
        return [
          gated(projection, attended, 6 * block + 2, tokens, first),
          ...(attention ? crossCalls(attention) : []),
          modulate(6 * block + 3, 6 * block + 4),
          linear(up, normed, hidden, rows, 'gelu'),
          gated(down, hidden, 6 * block + 5, own, 0),
        ];
      },
      end() {
        const normalise = modulate(6 * depth, 6 * depth + 1);
        if (patch > 1) {
          return [
            normalise,
            linear(weights.last, normed, velocityRows, rows),
            unpatchRows({
              ...{ patches: velocityRows, pictures: velocity, images: sequences, rows: own, first },
              ...{ height: side, width: side, channels, side: patch },
            }),
          ];
        }
        // Sequences without a condition stand behind all others, whoever computes them.
        const skipped = guided && halves === 'without' ? images * tokens : 0;
        const place = { tokens: own, ySequence: tokens, yFirst: skipped + first };
        return [normalise, linear(weights.last, normed, velocity, rows, 'none', place)];
      },
      whole(latents, after) {
        const calls = evaluation.begin(latents, after);
        for (let block = 0; block < depth; block++)
          calls.push(...evaluation.before(block), ...evaluation.attend(), ...evaluation.after(block));
        return [...calls, ...evaluation.end()];
      },
      release: () => held.splice(0).forEach((buffer) => buffer.release()),
    };
    return evaluation;
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}
