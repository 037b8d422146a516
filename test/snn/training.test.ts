/** Training on the bundled digits: small, but the whole path (float, pruning, quantisation, engine). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createEngine, decodeMembrane, defineNetwork, encodeLatency, parseIdx } from '../../host/snn/index.js';
import { trainClassifier, type TrainingOptions } from '../../host/snn/training/train-classifier.js';

const read = (name: string): Uint8Array => parseIdx(new Uint8Array(readFileSync(`models/mnist/${name}`))).data;
const images = read('t200-images.idx3-ubyte');
const labels = read('t200-labels.idx1-ubyte');
const digits = { images, labels, side: 28 };

const recipe: Omit<TrainingOptions, 'device'> = {
  train: digits,
  test: digits,
  classes: 10,
  seed: 3,
  hidden: 32,
  steps: 4,
  pixelThreshold: 64,
  leakShift: 4,
  batch: 40,
  epochs: 24,
  quantiseFrom: 16,
  prune: { synapses: 4000, from: 4, until: 12 },
  rate: 5e-3,
  decay: 1e-3,
  smoothing: 0.05,
  slope: 4,
  augment: { rotate: 5, scale: 0.05, shear: 0.05, shift: 0.5 },
  evaluateEvery: 8,
};

describe('training', () => {
  it('learns, prunes and quantises; the engine agrees to the digit; the seed decides and the threads do not', async () => {
    const train = async (threads: number, changes: Partial<TrainingOptions> = {}) => {
      const device = await createWasmDevice({ threads });
      const result = await trainClassifier({ ...recipe, ...changes, device });
      expect(device.memory.inUse).toBe(0);
      await device.close();
      return result;
    };
    const progress: number[] = [];
    const result = await train(1, { onProgress: ({ done, total }) => void progress.push(done / total) });
    expect(progress.at(-1)).toBe(1);
    // The training set itself, and few epochs: this shows that gradients work, not that the net generalises.
    expect(result.accuracy).toBeGreaterThan(0.9);
    expect(result.synapses).toBeLessThanOrEqual(4000);
    expect(result.epochs.at(-1)).toMatchObject({ quantised: true, synapses: 4000 });
    expect(result.epochs[0]!.quantised).toBe(false);
    expect(result.epochs.at(-1)!.loss).toBeLessThan(result.epochs[0]!.loss);

    const device = await createWasmDevice();
    const engine = await createEngine(defineNetwork(result.network), { device }, { batch: labels.length });
    const input = encodeLatency(images, { neurons: 784, steps: recipe.steps, threshold: recipe.pixelThreshold });
    const run = await engine.run({ inputs: { input }, record: { final: ['output'] } });
    const answers = decodeMembrane(run.final['output']!, { neurons: 10 }).labels;
    const right = answers.reduce((n, answer, i) => n + Number(answer === labels[i]), 0);
    expect(right / labels.length).toBe(result.accuracy);
    await device.close();

    expect((await train(2)).network).toEqual(result.network);
    expect((await train(1, { seed: 4, epochs: 18 })).network).not.toEqual(result.network);
  });

  it('refuses what cannot be trained, stops when told, and keeps no memory', async () => {
    const device = await createWasmDevice();
    const attempt = (changes: Partial<TrainingOptions>) => trainClassifier({ ...recipe, ...changes, device });
    await expect(attempt({ hidden: 20 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(attempt({ quantiseFrom: 24 })).rejects.toThrow(/quantiseFrom/);
    await expect(attempt({ prune: { synapses: 10, from: 5, until: 2 } })).rejects.toThrow(/from < until/);
    await expect(attempt({ classes: 5 })).rejects.toThrow(/train\.labels\[0\] is 7/);
    await expect(attempt({ train: { ...digits, images: images.subarray(1) } })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    });
    await expect(attempt({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(device.memory.inUse).toBe(0);
    await device.close();
  });
});
