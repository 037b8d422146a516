/** The same pictures on every device; damaged and impossible input. */
import { inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../device/device.js';
import { createOracleDevice } from '../device/oracle.js';
import { createWasmDevice } from '../device/wasm.js';
import { createWebGpuDevice } from '../device/webgpu.js';
import { tensorOf, writeSafetensors } from '../files/safetensors.js';
import { crossConfig, denoise, patchedConfig, tinyConfig } from './fixtures/tiny.js';
import { createDit, encodePng, generateImages, randomDitModel, readDitModel, type Dit } from './index.js';

let oracle: Device;
let devices: Device[];
beforeAll(async () => {
  oracle = createOracleDevice();
  devices = [await createWasmDevice(), await createWasmDevice({ threads: 2 }), await createWebGpuDevice()];
});
afterAll(async () => {
  await Promise.all([oracle, ...devices].map((device) => device.close()));
});

describe.each([
  ['latents of points', tinyConfig],
  ['latents of patches', patchedConfig],
  ['latents of points, with cross-attention', crossConfig],
])('a small transformer over %s', (_, config) => {
  it.each([
    ['euler', 2],
    ['euler', 1],
    ['heun', 3],
  ] as const)('%s with guidance %s: Wasm equals the oracle to the bit, WebGPU nearly', async (sampler, guidance) => {
    const want = await denoise(oracle, config, { sampler, guidance });
    expect(want.every(Number.isFinite)).toBe(true);
    for (const device of devices) {
      const got = await denoise(device, config, { sampler, guidance });
      if (device.kind === 'wasm') expect(got).toEqual(want);
      else got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThan(2e-3));
      expect(device.memory.inUse).toBe(0);
    }
  });
});

it('makes the same pictures of the whole pipeline everywhere, whatever is made beside them', async () => {
  const pictures = async (device: Device, classes: readonly number[], seed: number): Promise<number[][]> => {
    const dit = createDit(device, randomDitModel(tinyConfig, 9));
    const made = await generateImages(dit, { classes, size: 12, steps: 3, seed, guidance: 2 });
    dit.release();
    expect(device.memory.inUse).toBe(0);
    return made.map(({ pixels }) => [...pixels]);
  };
  const want = await pictures(oracle, [0, 1, 2], 5);
  expect(new Set(want.map(String)).size).toBe(3);
  for (const device of devices) {
    const got = await pictures(device, [0, 1, 2], 5);
    if (device.kind === 'wasm') expect(got).toEqual(want);
    else got.flat().forEach((value, i) => expect(Math.abs(value - want.flat()[i]!)).toBeLessThanOrEqual(1));
  }
  expect(await pictures(devices[0]!, [1], 6)).toEqual([want[1]]);
});

it('takes steps one at a time, with a pause between', async () => {
  const dit = createDit(devices[0]!, randomDitModel(tinyConfig, 7));
  const run = dit.open({ size: 12, images: 1, guided: true });
  const conditions = await dit.encode([2, 5], 12);
  const noise = Float32Array.from({ length: 144 }, (_, i) => Math.sin(i));
  run.setConditions(conditions.slice(0, 48), conditions.slice(48));
  run.setLatents(noise);
  run.setSchedule([Float32Array.of(1, 0.5, 0)], [2]);
  await run.steps(0, 2, 'euler');
  const want = await run.latents();
  run.setLatents(noise);
  await run.step(1, 0.5, 2, 'euler');
  const between = await run.latents();
  run.setLatents(between);
  await run.step(0.5, 0, 2, 'euler');
  expect(await run.latents()).toEqual(want);
  run.release();
  dit.release();
});

describe('input that cannot be', () => {
  let dit: Dit;
  beforeAll(() => {
    dit = createDit(devices[0]!, randomDitModel(tinyConfig, 9));
  });
  afterAll(() => dit.release());
  const asked = { classes: [1], size: 12, steps: 2 };

  it.each([
    [{ size: 13 }, 'size must be a multiple of 2 pixels'],
    [{ size: 0 }, 'size must be a multiple'],
    [{ size: 2 ** 20 }, 'at most 65536 tokens'],
    [{ steps: 0 }, 'steps must be a whole number of 1 to 1000, got 0'],
    [{ steps: 1.5 }, 'steps must be'],
    [{ guidance: NaN }, 'guidance must be a number (1 is without, 2 to 4 are usual), got NaN'],
    [{ classes: [6] }, 'a class must be a whole number of 0 to 4'],
    [{ classes: [-1] }, 'classes[0]'],
    [{ seed: -1 }, 'seed must be'],
    [{ sampler: 'ddim' as 'euler' }, 'sampler must be "euler" or "heun"'],
  ])('%o', async (change, message) => {
    const error = await generateImages(dit, { ...asked, ...change }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'TuttiError' });
    const { message: said, where } = error as { message: string; where: string };
    expect(`${said} ${where}`).toContain(message);
    expect(devices[0]!.memory.holders().every(({ holder }) => !holder.includes('latents'))).toBe(true);
  });

  it('too many pictures at once, and steps that the run does not have', async () => {
    expect(() => dit.open({ size: 64, images: 64, guided: true })).toThrow(/at most 65535 go together/);
    const run = dit.open({ size: 12, images: 1, guided: false, mostSteps: 2 });
    await expect(run.steps(1, 2, 'euler')).rejects.toThrow(/not within the 2 of this run/);
    expect(() => run.setLatents(new Float32Array(3))).toThrow(/144 numbers are expected, got 3/);
    expect(() => run.setSchedule([Float32Array.of(1, NaN)], [1])).toThrow(/times are numbers of 0 to 1/);
    run.release();
  });

  it('can be called off', async () => {
    const reason = new Error('enough');
    const cancelled = generateImages(dit, { ...asked, signal: AbortSignal.abort(reason) });
    await expect(cancelled).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
  });

  it('a model without a decoder', async () => {
    const other = createDit(devices[0]!, randomDitModel(patchedConfig, 1));
    await expect(other.decode(new Float32Array(3 * 144), 12)).rejects.toThrow(/patched has no decoder/);
    other.release();
  });
});

describe('model files', () => {
  const config = JSON.stringify(tinyConfig);
  const file = (metadata: [string, string][], elements = 4): Uint8Array =>
    writeSafetensors(new Map([['x_embedder.weight', tensorOf('F32', new Float32Array(elements))]]), new Map(metadata));

  it('say what is wrong with a configuration', () => {
    expect(() => readDitModel(file([]))).toThrow(/has no configuration in its metadata/);
    expect(() => readDitModel(file([['config', '{']]))).toThrow(/is not JSON/);
    expect(() => readDitModel(file([['config', '{}']]))).toThrow(/"width" must be a whole number/);
    const odd = JSON.stringify({ ...tinyConfig, heads: 5 });
    expect(() => readDitModel(file([['config', odd]]))).toThrow(/5 heads of a width of 48/);
  });

  it('say which weights do not match it, and leave nothing behind', () => {
    expect(() => createDit(devices[0]!, readDitModel(file([['config', config]])))).toThrow(
      /"x_embedder.weight" as 4, its configuration needs 48 x 4|has no tensor/,
    );
    expect(devices[0]!.memory.inUse).toBe(0);
  });
});

it('writes PNG files', async () => {
  const pixels = Uint8Array.from({ length: 15 }, (_, i) => 17 * i);
  const file = Buffer.from(await encodePng({ width: 5, height: 3, pixels }));
  expect(file.subarray(1, 4).toString()).toBe('PNG');
  expect([file.readUInt32BE(16), file.readUInt32BE(20)]).toEqual([5, 3]);
  const at = file.indexOf('IDAT');
  const lines = inflateSync(file.subarray(at + 4, at + 4 + file.readUInt32BE(at - 4)));
  expect([...lines]).toEqual([0, ...pixels.subarray(0, 5), 0, ...pixels.subarray(5, 10), 0, ...pixels.subarray(10)]);
});
