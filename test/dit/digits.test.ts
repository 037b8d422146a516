/** The digits of models/dit: what PyTorch computes with the same weights, the same on every device, and recognised by the project's own spiking network. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../host/device/device.js';
import { createOracleDevice } from '../../host/device/oracle.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import { createDit, flowTimes, generateImages, readDitModel, type Dit } from '../../host/dit/index.js';
import { readSafetensors, tensorElements } from '../../host/files/safetensors.js';
import { classifyDigits } from '../../models/dit/classify.js';

const read = (name: string): Uint8Array => new Uint8Array(readFileSync(`models/dit/${name}`));
const model = readDitModel(read('digits.safetensors'));
const { tensors } = readSafetensors(read('expected.safetensors'));
const expected = (name: string): Float32Array => tensorElements(tensors.get(name)!, 'F32', name);
const classes = [...tensorElements(tensors.get('classes')!, 'I32', 'classes')];
const width = model.config.width;

/** Largest difference. */
const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
};

interface Asked {
  readonly size: number;
  readonly steps: number;
  readonly sampler: 'euler' | 'heun';
  readonly guidance: number;
}

async function denoise(dit: Dit, { size, steps, sampler, guidance }: Asked): Promise<Float32Array> {
  const guided = guidance !== 1;
  const run = dit.open({ size, images: classes.length, guided, mostSteps: steps });
  const conditions = await dit.encode([...classes, model.config.classes], size);
  const split = classes.length * width;
  run.setConditions(conditions.slice(0, split), guided ? conditions.slice(split) : undefined);
  run.setLatents(expected(`noise${size}`));
  const times = flowTimes(model.config, run.shape, steps);
  run.setSchedule(
    classes.map(() => times),
    classes.map(() => guidance),
  );
  await run.steps(0, steps, sampler);
  const latents = await run.latents();
  run.release();
  return latents;
}

describe('on Wasm', () => {
  let device: Device;
  let dit: Dit;
  beforeAll(async () => {
    device = await createWasmDevice();
    dit = createDit(device, model);
  });
  afterAll(() => device.close());

  it('conditions are those of PyTorch', async () => {
    expect(difference(await dit.encode(classes, 16), expected('condition16'))).toBeLessThan(1e-5);
    expect(difference(await dit.encode(classes, 32), expected('condition32'))).toBeLessThan(1e-5);
  });

  it.each([
    ['euler16', { size: 16, steps: 4, sampler: 'euler', guidance: 2 }],
    ['plain16', { size: 16, steps: 4, sampler: 'euler', guidance: 1 }],
    ['heun16', { size: 16, steps: 3, sampler: 'heun', guidance: 2 }],
    ['euler32', { size: 32, steps: 4, sampler: 'euler', guidance: 2 }],
  ] as const)('latents are those of PyTorch: %s', async (key, asked) => {
    expect(difference(await denoise(dit, asked), expected(key))).toBeLessThan(2e-3);
  });

  it('pictures are those of PyTorch', async () => {
    for (const size of [16, 32]) {
      const pictures = await dit.decode(expected(`euler${size}`), size);
      const want = expected(`pictures${size}`).map((value) => Math.min(1, Math.max(0, value)));
      const got = pictures.flatMap(({ pixels }) => [...pixels].map((value) => value / 255));
      expect(difference(got, want)).toBeLessThan(0.6 / 255);
    }
  });
});

// Fewer evaluations: the GPU of tests is software.
it('on WebGPU, latents and pictures are those of PyTorch', async () => {
  const device = await createWebGpuDevice();
  const dit = createDit(device, model);
  const latents = await denoise(dit, { size: 16, steps: 4, sampler: 'euler', guidance: 1 });
  expect(difference(latents, expected('plain16'))).toBeLessThan(5e-3);
  const [picture] = await dit.decode(expected('euler16'), 16);
  const want = expected('pictures16')
    .slice(0, 256)
    .map((value) => Math.min(1, Math.max(0, value)));
  expect(
    difference(
      picture!.pixels,
      want.map((value) => 255 * value),
    ),
  ).toBeLessThan(0.6);
  await device.close();
});

it('a step equals the oracle to the bit on Wasm, with one thread and two', async () => {
  const asked = { size: 16, steps: 1, sampler: 'euler', guidance: 2 } as const;
  const latents: Float32Array[] = [];
  for (const device of [createOracleDevice(), await createWasmDevice(), await createWasmDevice({ threads: 2 })]) {
    const dit = createDit(device, model);
    latents.push(await denoise(dit, asked));
    await device.close();
  }
  expect(latents[1]).toEqual(latents[0]);
  expect(latents[2]).toEqual(latents[0]);
});

it('the spiking network sees the digits that were asked for', async () => {
  const device = await createWasmDevice();
  const dit = createDit(device, model);
  const asked = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const pictures = await generateImages(dit, { classes: asked, size: 32, steps: 8, seed: 11, guidance: 2 });
  const labels = await classifyDigits(device, pictures);
  expect(labels.filter((label, i) => label === asked[i]).length).toBeGreaterThanOrEqual(8);
  await device.close();
});
