/**
 * Trains a spiking classifier (latency-coded input -> hidden LIF layer -> integrating read-out) by surrogate-gradient
 * back-propagation through time on the kernels of host/kernels/training, and returns it as a fixed-point network. Three
 * phases share one cosine learning-rate schedule: float; gradual magnitude pruning (cubic, Zhu and Gupta 2017); and
 * quantisation-aware, in which the forward pass is the integer dynamics itself (weights rounded straight-through), so that
 * the network returned computes exactly what was trained. Cost follows the spikes: both passes of the first layer walk
 * spike lists. The same seed on the same kind of device gives the same network, bit for bit.
 */
import { throwIfAborted, TuttiError } from '../../errors.js';
import type { Device, DeviceBuffer, LongCallOptions } from '../../device/device.js';
import { denseRowsF32 } from '../../kernels/snn/index.js';
import {
  adamStep,
  lifBackward,
  lifForward,
  quantiseWeights,
  readoutGradient,
  readoutLoss,
  spikeOuterRows,
} from '../../kernels/training/index.js';
import { encodeLatency } from '../encoders.js';
import type { FixedNetworkDescription } from '../network.js';
import { seededRandom } from '../../random.js';
import { augmentImage, type AugmentOptions } from './augment.js';

export interface LabelledImages {
  /** [samples][side][side], 0..255. */
  readonly images: Uint8Array;
  /** [samples], 0..classes-1. */
  readonly labels: Uint8Array;
  readonly side: number;
}

export interface TrainingOptions extends LongCallOptions {
  readonly device: Device;
  readonly train: LabelledImages;
  /** Measured after every `evaluateEvery` epochs and at the end; never trained on. */
  readonly test: LabelledImages;
  readonly classes: number;
  readonly seed: number;
  /** A multiple of 16. */
  readonly hidden: number;
  readonly steps: number;
  /** Darkest pixel value that still spikes. */
  readonly pixelThreshold: number;
  readonly leakShift: number;
  readonly batch: number;
  readonly epochs: number;
  /** Epoch in which the forward pass becomes the integer dynamics. */
  readonly quantiseFrom: number;
  /** Synapses left at the end; undefined: no pruning. */
  readonly prune?: { readonly synapses: number; readonly from: number; readonly until: number };
  readonly rate: number;
  readonly decay: number;
  readonly smoothing: number;
  readonly slope: number;
  readonly augment?: AugmentOptions;
  readonly evaluateEvery: number;
}

export interface EpochReport {
  readonly epoch: number;
  readonly loss: number;
  /** Fraction of the test set classified right; undefined in epochs that were not evaluated. */
  readonly accuracy: number | undefined;
  readonly synapses: number;
  readonly quantised: boolean;
}

export interface TrainedClassifier {
  readonly network: FixedNetworkDescription;
  readonly epochs: readonly EpochReport[];
  readonly synapses: number;
  readonly accuracy: number;
}

const WEIGHT_LIMIT = 127;

/** @throws TuttiError OPTION_INVALID, INPUT_INVALID, ABORTED, and what the device throws. Device memory is released in any case. */
export async function trainClassifier(options: TrainingOptions): Promise<TrainedClassifier> {
  const { device, train, test, classes, hidden, steps, batch, leakShift } = options;
  checkOptions(options);
  const inputs = train.side * train.side;
  const random = seededRandom(options.seed);
  const held: DeviceBuffer[] = [];
  const buffer = (label: string, elements: number): DeviceBuffer => {
    const made = device.allocate(4 * elements, `training/${label}`);
    held.push(made);
    return made;
  };

  try {
    const layer = (label: string, values: Float32Array) => {
      const weights = buffer(`${label} weights`, values.length);
      const mask = buffer(`${label} mask`, values.length);
      device.write(weights, values);
      device.write(mask, new Float32Array(values.length).fill(1));
      return {
        count: values.length,
        weights,
        mask,
        maskValues: new Float32Array(values.length).fill(1),
        quantised: buffer(`${label} quantised`, values.length),
        gradient: buffer(`${label} gradient`, values.length),
        first: buffer(`${label} first moment`, values.length),
        second: buffer(`${label} second moment`, values.length),
        /** Value of one unit of quantised weight; 0 while training in float. */
        scale: 0,
      };
    };
    const normal = (length: number, deviation: number): Float32Array =>
      Float32Array.from({ length }, () => random.normal() * deviation);
    const first = layer('input->hidden', normal(inputs * hidden, 1 / Math.sqrt(100)));
    const second = layer('hidden->output', normal(hidden * classes, 1 / Math.sqrt(hidden)));

    const lists = steps * batch;
    const spikeIndex = buffer('spike index', 2 * lists);
    const spikeIds = buffer('spike ids', batch * inputs);
    const labels = buffer('labels', batch);
    const current = buffer('current', lists * hidden);
    const v = buffer('potential', lists * hidden);
    const delta = buffer('hidden delta', lists * hidden);
    const count = buffer('spike count', batch * hidden);
    const gradient = buffer('spike gradient', batch * hidden);
    const outputDelta = buffer('output delta', batch * classes);
    const loss = buffer('loss', batch);
    const silence = new Float32Array(lists * hidden);

    let threshold = 1;
    let quantised = false;

    const load = (images: Uint8Array, wanted: Uint8Array): void => {
      const spikes = encodeLatency(images, { neurons: inputs, steps, threshold: options.pixelThreshold });
      device.write(spikeIndex, spikes.index);
      device.write(spikeIds, spikes.ids);
      device.write(labels, Uint32Array.from(wanted));
      device.write(current, silence);
    };
    const forward = () => {
      const quantise = [first, second].map((l) =>
        quantiseWeights({
          weights: l.weights,
          quantised: l.quantised,
          count: l.count,
          inverseScale: quantised ? 1 / l.scale : 0,
          limit: WEIGHT_LIMIT,
        }),
      );
      return [
        ...(quantised ? quantise : []),
        denseRowsF32({
          spikeIndex,
          spikeIds,
          weights: quantised ? first.quantised : first.weights,
          input: current,
          batch: lists,
          posts: hidden,
          rowStride: hidden,
          slots: 1,
          delay: 0,
          inputStride: hidden,
          inputOffset: 0,
          origin: 0,
          shift: 0,
        }),
        lifForward({
          current,
          v,
          count,
          steps,
          batch,
          neurons: hidden,
          threshold,
          leak: leakShift > 0 ? 2 ** -leakShift : 0,
          floorLeak: quantised ? 1 : 0,
        }),
        readoutLoss({
          count,
          weights: quantised ? second.quantised : second.weights,
          labels,
          delta: outputDelta,
          gradient,
          loss,
          batch,
          neurons: hidden,
          classes,
          scale: quantised ? second.scale : 1,
          smoothing: options.smoothing,
        }),
      ];
    };
    const backward = (rate: number, step: number) => [
      readoutGradient({ count, delta: outputDelta, weightGradient: second.gradient, batch, neurons: hidden, classes }),
      lifBackward({
        v,
        gradient,
        delta,
        steps,
        batch,
        neurons: hidden,
        threshold,
        leak: leakShift > 0 ? 2 ** -leakShift : 0,
        slope: options.slope,
      }),
      spikeOuterRows({ spikeIndex, spikeIds, delta, gradient: first.gradient, lists, pres: inputs, neurons: hidden }),
      ...[first, second].map((l) =>
        adamStep({
          weights: l.weights,
          gradient: l.gradient,
          first: l.first,
          second: l.second,
          mask: l.mask,
          count: l.count,
          rate,
          beta1: 0.9,
          beta2: 0.999,
          correction1: 1 / (1 - 0.9 ** step),
          correction2: 1 / (1 - 0.999 ** step),
          decay: options.decay,
        }),
      ),
    ];
    const floatsOf = async (source: DeviceBuffer): Promise<Float32Array> => new Float32Array(await device.read(source));

    /** Fraction of `set` whose highest class potential is the right one. */
    const evaluate = async (set: LabelledImages): Promise<number> => {
      let right = 0;
      for (let from = 0; from < set.labels.length; from += batch) {
        const until = Math.min(from + batch, set.labels.length);
        const images = new Uint8Array(batch * inputs);
        images.set(set.images.subarray(from * inputs, until * inputs));
        load(images, new Uint8Array(batch));
        await device.run(forward());
        const spikes = await floatsOf(count);
        const weights = await floatsOf(quantised ? second.quantised : second.weights);
        for (let b = 0; b < until - from; b++) {
          let best = 0;
          let highest = -Infinity;
          for (let c = 0; c < classes; c++) {
            let potential = 0;
            for (let n = 0; n < hidden; n++) potential += spikes[b * hidden + n]! * weights[n * classes + c]!;
            if (potential > highest) {
              highest = potential;
              best = c;
            }
          }
          if (best === set.labels[from + b]) right++;
        }
      }
      return right / set.labels.length;
    };

    /** Masks all but the `keep` largest weights of each layer, the read-out in proportion but never below a fifth. */
    const pruneTo = async (keep: number): Promise<void> => {
      const secondKeep = Math.min(
        second.count,
        Math.max(Math.round((keep * second.count) / (first.count + second.count)), Math.round(keep / 20)),
      );
      for (const [l, left] of [
        [first, Math.min(first.count, keep - secondKeep)],
        [second, secondKeep],
      ] as const) {
        const weights = await floatsOf(l.weights);
        const magnitudes = Float32Array.from(weights, (w, i) => (l.maskValues[i] ? Math.abs(w) : -1)).sort();
        const limit = magnitudes[l.count - left]!;
        let kept = 0;
        for (let i = 0; i < l.count; i++) {
          const stays = kept < left && l.maskValues[i] === 1 && Math.abs(weights[i]!) >= limit;
          if (stays) kept++;
          else weights[i] = 0;
          l.maskValues[i] = stays ? 1 : 0;
        }
        device.write(l.mask, l.maskValues);
        device.write(l.weights, weights);
      }
    };

    const perEpoch = Math.floor(train.labels.length / batch);
    const total = perEpoch * options.epochs;
    const order = Uint32Array.from({ length: train.labels.length }, (_, i) => i);
    const images = new Uint8Array(batch * inputs);
    const wanted = new Uint8Array(batch);
    const epochs: EpochReport[] = [];
    const synapses = (): number => [first, second].reduce((sum, l) => sum + l.maskValues.reduce((a, b) => a + b, 0), 0);
    let step = 0;
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      for (let i = order.length - 1; i > 0; i--) {
        const j = random.below(i + 1);
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      const { prune } = options;
      let lost = 0;
      for (let k = 0; k < perEpoch; k++) {
        throwIfAborted(options.signal, 'training');
        if (prune && k % 50 === 0 && epoch >= prune.from) {
          const done = Math.min(1, (epoch + k / perEpoch - prune.from) / (prune.until - prune.from));
          const all = first.count + second.count;
          if (done < 1 || synapses() > prune.synapses)
            await pruneTo(Math.round(prune.synapses + (all - prune.synapses) * (1 - done) ** 3));
        }
        if (!quantised && epoch >= options.quantiseFrom) {
          for (const l of [first, second])
            l.scale = (await floatsOf(l.weights)).reduce((m, w) => Math.max(m, Math.abs(w)), 0) / WEIGHT_LIMIT;
          threshold = Math.round(1 / first.scale);
          quantised = true;
        }
        for (let b = 0; b < batch; b++) {
          const sample = order[k * batch + b]!;
          const image = train.images.subarray(sample * inputs, (sample + 1) * inputs);
          const out = images.subarray(b * inputs, (b + 1) * inputs);
          if (options.augment) augmentImage(image, out, train.side, options.augment, random);
          else out.set(image);
          wanted[b] = train.labels[sample]!;
        }
        load(images, wanted);
        step++;
        const rate = options.rate * 0.5 * (1 + Math.cos((Math.PI * step) / total)) + 1e-6;
        await device.run([...forward(), ...backward(rate, step)], options.signal ? { signal: options.signal } : {});
        if (k % 50 === 49 || k === perEpoch - 1) {
          lost = (await floatsOf(loss)).reduce((a, b) => a + b, 0) / batch;
          if (!Number.isFinite(lost))
            throw new TuttiError('DEVICE_FAILED', `training diverged in epoch ${epoch + 1}; lower the learning rate`);
          options.onProgress?.({ done: step, total, what: `epoch ${epoch + 1}, loss ${lost.toFixed(3)}` });
        }
      }
      const last = epoch === options.epochs - 1;
      epochs.push({
        epoch: epoch + 1,
        loss: lost,
        accuracy: last || (epoch + 1) % options.evaluateEvery === 0 ? await evaluate(test) : undefined,
        synapses: synapses(),
        quantised,
      });
    }

    const integers = async (l: typeof first): Promise<Int8Array> => Int8Array.from(await floatsOf(l.quantised));
    // `evaluate` just quantised the final weights.
    const [rows, readout] = [await integers(first), await integers(second)];
    const network: FixedNetworkDescription = {
      numeric: 'fixed',
      populations: [
        { name: 'input', model: 'input', shape: [1, train.side, train.side] },
        { name: 'hidden', model: 'lif', size: hidden, leakShift, threshold, reset: { kind: 'subtract' } },
        { name: 'output', model: 'li', size: classes },
      ],
      projections: [
        { from: 'input', to: 'hidden', scale: first.scale, ...connectivity(rows, inputs, hidden) },
        { from: 'hidden', to: 'output', scale: second.scale, ...connectivity(readout, hidden, classes) },
      ],
    };
    return {
      network,
      epochs,
      synapses: [rows, readout].reduce((sum, w) => sum + w.reduce((n, x) => n + (x === 0 ? 0 : 1), 0), 0),
      accuracy: epochs[epochs.length - 1]!.accuracy!,
    };
  } finally {
    held.forEach((made) => made.release());
  }
}

/** Dense where at least half of the weights are there, else compressed rows. */
function connectivity(weights: Int8Array, pres: number, posts: number) {
  const present = weights.reduce((n, w) => n + (w === 0 ? 0 : 1), 0);
  if (present * 2 >= weights.length) return { kind: 'dense', weights } as const;
  const rowStart = new Uint32Array(pres + 1);
  const columns = new Uint32Array(present);
  const values = new Int8Array(present);
  let k = 0;
  for (let pre = 0; pre < pres; pre++) {
    for (let post = 0; post < posts; post++) {
      const weight = weights[pre * posts + post]!;
      if (weight === 0) continue;
      columns[k] = post;
      values[k++] = weight;
    }
    rowStart[pre + 1] = k;
  }
  return { kind: 'sparse', rowStart, columns, weights: values } as const;
}

function checkOptions(options: TrainingOptions): void {
  const refuse = (what: string): never => {
    throw new TuttiError('OPTION_INVALID', `trainClassifier: ${what}`);
  };
  if (options.hidden % 16 || options.hidden <= 0)
    refuse(`hidden must be a positive multiple of 16, got ${options.hidden}`);
  if (!(options.quantiseFrom < options.epochs))
    refuse('quantiseFrom must lie before the last epoch: the result is a quantised network');
  if (options.prune && !(options.prune.from < options.prune.until && options.prune.until <= options.epochs)) {
    refuse('prune needs from < until <= epochs');
  }
  for (const [name, set] of [
    ['train', options.train],
    ['test', options.test],
  ] as const) {
    if (set.images.length !== set.labels.length * set.side * set.side || set.side !== options.train.side) {
      throw new TuttiError(
        'INPUT_INVALID',
        `trainClassifier: ${name} holds ${set.images.length} pixels for ${set.labels.length} labels of ${set.side} x ${set.side}`,
        {
          where: name,
        },
      );
    }
    if (set.labels.length < options.batch)
      refuse(`${name} has ${set.labels.length} samples, fewer than one batch of ${options.batch}`);
    const wrong = set.labels.findIndex((label) => label >= options.classes);
    if (wrong >= 0)
      throw new TuttiError(
        'INPUT_INVALID',
        `trainClassifier: ${name}.labels[${wrong}] is ${set.labels[wrong]}, but there are ${options.classes} classes`,
        { where: name },
      );
  }
}
