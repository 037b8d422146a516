/** Variants of one WGSL body: that each is chosen where its features are, and that all of them give the same bits. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Capabilities, Device, DeviceBuffer, KernelBody, WgslVariant } from '../../host/device/device.js';
import { chooseVariant } from '../../host/device/webgpu-pipelines.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import type { KernelCase } from '../../host/kernels/conformance/case.js';
import { dice, type Dice } from '../../host/kernels/conformance/generate.js';
import { kvCases } from '../../host/kernels/conformance/kv-cases.js';
import { tensorCases } from '../../host/kernels/conformance/tensor-cases.js';
import { matmulF16 } from '../../host/kernels/tensor/index.js';

const cases = { ...tensorCases, ...kvCases };
const withSubgroups = Object.entries(cases).filter(([, make]) =>
  make(dice(1)).kernel.wgsl.variants.some((variant) => variant.requires.includes('subgroups')),
);

/** Words of every buffer after one run. */
async function wordsAfter(device: Device, { kernel, buffers, scalars }: KernelCase): Promise<number[][]> {
  const held: DeviceBuffer[] = buffers.map((view, i) => {
    const buffer = device.allocate(Math.ceil(view.byteLength / 4) * 4, `${kernel.name}.${i}`);
    device.write(buffer, view);
    return buffer;
  });
  await device.run([{ kernel, buffers: held, scalars }]);
  const bytes = await Promise.all(held.map((buffer) => device.read(buffer)));
  held.forEach((buffer) => buffer.release());
  return bytes.map((each) => [...new Uint32Array(each)]);
}

/** `kernel` with those of its variants that `keep` chooses. */
const withVariants = (kernel: KernelBody, keep: (variant: WgslVariant) => boolean): KernelBody => ({
  ...kernel,
  wgsl: { ...kernel.wgsl, variants: kernel.wgsl.variants.filter(keep) },
});

/** Whether two kernels that are one in different variants leave the same words, over random cases. */
async function expectSameBits(
  device: Device,
  make: (d: Dice) => KernelCase,
  plain: KernelBody,
  other: KernelBody,
): Promise<void> {
  for (let seed = 0; seed < 12; seed++) {
    const test = make(dice(seed));
    const want = await wordsAfter(device, { ...test, kernel: plain });
    expect(await wordsAfter(device, { ...test, kernel: other })).toEqual(want);
  }
}

/**
 * A variant that needs shader-f16 as it would be without: a vector of halves is two words. Nothing but the loads differ, so where no device has the feature,
 * what the variant addresses and adds up is still held to the plain one.
 */
function halvesAsWords({ requires, source }: WgslVariant): WgslVariant {
  const loads = /(?:vec4f|f32)\(((?:weights|pool)\[[^\]]*\])(\[[^\]]*\])?\)/g;
  const changed = source
    .replace('enable f16;', '')
    .replace('array<vec4<f16>>', 'array<vec2u>')
    .replace(loads, (_, vector: string, component = '') => `halves(${vector})${component}`);
  return {
    requires: requires.filter((feature) => feature !== 'shader-f16'),
    source: `${changed}\nfn halves(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }`,
  };
}

describe('variants with and without subgroups', () => {
  let device: Device;
  beforeAll(async () => {
    device = await createWebGpuDevice();
    expect(device.capabilities.features).toContain('subgroups');
  });
  afterAll(() => device?.close());

  it('are there for all products, norms, maxima and attention', () => {
    expect(withSubgroups.map(([name]) => name).sort()).toEqual(
      [
        ...['argmaxRows', 'attendF16', 'attendF32', 'attendInt4', 'attendInt8', 'matmulBf16', 'matmulF16'],
        ...['matmulF32', 'matmulQ4', 'matmulQ4K', 'matmulQ6K', 'matmulQ8', 'rmsNormF32'],
      ].sort(),
    );
  });

  it.each(withSubgroups)('%s: the same bits', async (_, make) => {
    const { kernel } = make(dice(0));
    const plain = withVariants(kernel, (variant) => variant.requires.length === 0);
    await expectSameBits(
      device,
      make,
      plain,
      withVariants(kernel, (variant) => variant.requires.join() === 'subgroups'),
    );
  });

  it.each([
    ['matmulF16', 'with'],
    ['matmulF16', 'without'],
    ['attendF16', 'with'],
    ['attendF16', 'without'],
  ])('%s of halves, %s subgroups: the same bits', async (name, subgroups) => {
    const make = cases[name]!;
    const { kernel } = make(dice(0));
    const halves = kernel.wgsl.variants.find(
      ({ requires }) => requires.includes('shader-f16') && requires.includes('subgroups') === (subgroups === 'with'),
    )!;
    const changed = halvesAsWords(halves);
    expect(changed.source).not.toContain('f16>');
    const plain = withVariants(kernel, (variant) => variant.requires.length === 0);
    await expectSameBits(device, make, plain, { ...kernel, wgsl: { ...kernel.wgsl, variants: [changed] } });
  });
});

describe('which variant a device gets', () => {
  const chosen = (...features: string[]): readonly string[] =>
    chooseVariant(matmulF16.body, { features: new Set(features) } as unknown as Capabilities).requires;

  it('is the one that uses most of what it has', () => {
    expect(chosen('subgroups', 'shader-f16')).toEqual(['subgroups', 'shader-f16']);
    expect(chosen('shader-f16')).toEqual(['shader-f16']);
    expect(chosen('subgroups')).toEqual(['subgroups']);
    expect(chosen()).toEqual([]);
  });
});
