/** What several devices that share a picture compute equals what one does: with all keys gathered and by heads to the bit, in a ring nearly. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device, DeviceBuffer } from '../device/device.js';
import { createWasmDevice } from '../device/wasm.js';
import { attendRows, panelElements, panelRows } from '../kernels/dit/index.js';
import { pictureShape } from './config.js';
import { uploadDit, type DitWeights } from './device-weights.js';
import { createEvaluation, type Evaluation } from './evaluation.js';
import { tinyConfig } from './fixtures/tiny.js';
import { randomDitModel } from './model.js';

const picture = pictureShape(tinyConfig, 12);
const { tokens } = picture;
const { width, heads, depth } = tinyConfig;
const wave = (count: number, pace: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(pace * i));

let device: Device;
let weights: DitWeights;
let latents: DeviceBuffer;
let want: Float32Array;
beforeAll(async () => {
  device = await createWasmDevice();
  weights = uploadDit(device, randomDitModel(tinyConfig, 3));
  latents = device.allocate(4 * tokens * 4, 'latents');
  device.write(latents, wave(tokens * 4, 0.7));
  const one = open('both', 0, tokens);
  await device.run(one.whole(latents, 0));
  want = await floats(one.buffers.velocity);
  one.release();
});
afterAll(() => device.close());

const floats = async (buffer: DeviceBuffer): Promise<Float32Array> => new Float32Array(await device.read(buffer));

function open(halves: 'with' | 'without' | 'both', first: number, rows: number): Evaluation {
  const evaluation = createEvaluation(device, tinyConfig, weights, {
    ...{ picture, images: 1, halves, guided: true, first, rows, mostSteps: 1 },
  });
  const conditions = [wave(width, 0.3), wave(width, 0.9)];
  const own = halves === 'both' ? conditions : [conditions[halves === 'with' ? 0 : 1]!];
  own.forEach((condition, i) => device.write(evaluation.buffers.condition, condition, 4 * i * width));
  device.write(evaluation.buffers.schedule, Float32Array.of(0.8, 0.6, 2, 0));
  return evaluation;
}

/** Copies rows of both sequences of [sequences][tokens][columns], some columns of them. */
async function copy(
  from: DeviceBuffer,
  to: DeviceBuffer,
  columns: number,
  rows: readonly [number, number],
  part: readonly [number, number] = [0, columns],
): Promise<void> {
  const source = await floats(from);
  for (let s = 0; s < 2; s++)
    for (let t = rows[0]; t < rows[1]; t++) {
      const at = (s * tokens + t) * columns;
      device.write(to, source.slice(at + part[0], at + part[1]), 4 * (at + part[0]));
    }
}

describe('two shards of a picture, of unequal size', () => {
  const cuts = [
    [0, 13],
    [13, tokens],
  ] as const;

  it.each(['gathered keys', 'heads'])('with %s equal the whole to the bit', async (how) => {
    const parts = cuts.map(([first, end]) => open('both', first, end - first));
    for (const part of parts) await device.run(part.begin(latents, 0));
    for (let block = 0; block < depth; block++) {
      for (const part of parts) await device.run(part.before(block));
      for (const k of [0, 1]) await copy(parts[k]!.buffers.qkv, parts[1 - k]!.buffers.qkv, 3 * width, cuts[k]!);
      if (how === 'heads') {
        const shares = [
          { firstQuery: 0, queries: tokens, firstHead: 0, heads: 1 },
          { firstQuery: 0, queries: tokens, firstHead: 1, heads: heads - 1 },
        ];
        const size = width / heads;
        for (const k of [0, 1]) await device.run(parts[k]!.attend(shares[k]));
        for (const k of [0, 1]) {
          const { firstHead, heads: count } = shares[k]!;
          const columns = [firstHead * size, (firstHead + count) * size] as const;
          await copy(parts[k]!.buffers.attended, parts[1 - k]!.buffers.attended, width, cuts[1 - k]!, columns);
        }
      } else for (const part of parts) await device.run(part.attend());
      for (const part of parts) await device.run(part.after(block));
    }
    for (const part of parts) await device.run(part.end());
    await copy(parts[1]!.buffers.velocity, parts[0]!.buffers.velocity, tinyConfig.channels, cuts[1]);
    expect(await floats(parts[0]!.buffers.velocity)).toEqual(want);
    parts.forEach((part) => part.release());
  });

  it('with and without a condition apart equal both together', async () => {
    for (const halves of ['with', 'without'] as const) {
      const part = open(halves, 0, tokens);
      await device.run(part.whole(latents, 0));
      const from = halves === 'with' ? 0 : want.length / 2;
      const got = await floats(part.buffers.velocity);
      expect(got.slice(from, from + want.length / 2)).toEqual(want.slice(from, from + want.length / 2));
      part.release();
    }
  });

  it('keys and values that come in parts, as around a ring, give nearly the same', async () => {
    const [headSize, queries] = [width / heads, 5];
    const qkv = wave(tokens * 3 * width, 1.3);
    const held: DeviceBuffer[] = [];
    const room = (count: number): DeviceBuffer => {
      held.push(device.allocate(4 * count, 'ring'));
      return held.at(-1)!;
    };
    const [rows, panels] = [room(qkv.length), room(heads * panelElements(headSize, tokens))];
    const [state, out] = [room(2 * queries * heads), room(queries * width)];
    device.write(rows, qkv);
    const attend = async (cut: readonly (readonly [number, number])[]): Promise<Float32Array> => {
      for (const [k, [first, end]] of cut.entries()) {
        await device.run([
          panelRows({
            ...{ x: rows, panels, sequences: 1, rows: end - first, heads, headSize },
            ...{ sequence: tokens, first, stride: 3 * width, begin: width },
          }),
          attendRows({
            ...{ q: rows, panels, values: rows, state, out, sequences: 1, queries, keys: end - first, heads, headSize },
            ...{ qSequence: tokens, qFirst: 2, qStride: 3 * width, qBegin: 0 },
            ...{ vSequence: tokens, vFirst: first, vStride: 3 * width, vBegin: 2 * width },
            ...{ oSequence: queries, oFirst: 0, oStride: width, oBegin: 0 },
            ...{ begins: Number(k === 0), ends: Number(k === cut.length - 1), scale: 0.25 },
          }),
        ]);
      }
      return floats(out);
    };
    const whole = await attend([[0, tokens]]);
    const ring = await attend([cuts[1], cuts[0]]);
    ring.forEach((value, i) => expect(Math.abs(value - whole[i]!)).toBeLessThan(1e-6));
    expect(await attend([cuts[1], cuts[0]])).toEqual(ring);
    held.forEach((buffer) => buffer.release());
  });
});
