/** Random networks and stimuli for property tests: all models, all kinds of projection, delays, loops. */
import * as fc from 'fast-check';
import type {
  FixedNetworkDescription,
  FixedPopulationDescription,
  FixedProjectionDescription,
  FloatNetworkDescription,
  FloatPopulationDescription,
  FloatProjectionDescription,
} from '../../host/snn/index.js';
import { seededRandom, spikeTrain, type SeededRandom, type SpikeTrain } from '../../host/snn/index.js';

export interface Stimulus {
  readonly steps: number;
  readonly batch: number;
  /** [step][sample]: ids of each input population. */
  readonly trains: Readonly<Record<string, number[][][]>>;
}

/** Everything is drawn from one seed: a failure then names a number that shows it again. */
export const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });

const pick = <T>(random: SeededRandom, choices: readonly T[]): T => choices[random.below(choices.length)]!;
const between = (random: SeededRandom, least: number, most: number): number => least + random.below(most - least + 1);

/** A number, or one per neuron. */
function perNeuron(random: SeededRandom, size: number, draw: () => number): number | number[] {
  return random.below(3) === 0 ? Array.from({ length: size }, draw) : draw();
}

interface Sketch {
  readonly name: string;
  readonly size: number;
  readonly shape?: readonly [number, number, number];
  readonly input: boolean;
  readonly reads: boolean;
}

function sketch(random: SeededRandom): Sketch[] {
  const image = [between(random, 1, 2), between(random, 3, 6), between(random, 3, 6)] as const;
  const sketches: Sketch[] = [
    { name: 'pixels', size: image[0] * image[1] * image[2], shape: image, input: true, reads: false },
  ];
  if (random.below(3) === 0) sketches.push({ name: 'extra', size: between(random, 1, 40), input: true, reads: false });
  const layers = between(random, 1, 3);
  for (let i = 0; i < layers; i++)
    sketches.push({ name: `layer${i}`, size: between(random, 1, 70), input: false, reads: false });
  if (random.below(2) === 0)
    sketches.push({ name: 'read-out', size: between(random, 1, 12), input: false, reads: true });
  return sketches;
}

interface Wiring {
  readonly from: Sketch;
  readonly to: Sketch;
}

function wirings(random: SeededRandom, sketches: Sketch[]): Wiring[] {
  const wired: Wiring[] = [];
  sketches.forEach((to, i) => {
    if (to.input) return;
    for (const from of sketches.slice(0, i)) {
      if (!from.reads && random.below(3) > 0) wired.push({ from, to });
    }
    if (!to.reads && random.below(3) === 0) wired.push({ from: to, to });
  });
  // A connection backwards closes a loop; it needs a delay.
  const layers = sketches.filter((s) => !s.input && !s.reads);
  if (layers.length > 1 && random.below(2) === 0) wired.push({ from: layers.at(-1)!, to: layers[0]! });
  return wired;
}

function connect(random: SeededRandom, { from, to }: Wiring, sketches: Sketch[], weight: () => number) {
  const backwards = sketches.indexOf(from) >= sketches.indexOf(to);
  const least = backwards ? 1 : 0;
  const delay =
    random.below(3) === 0
      ? Array.from({ length: from.size }, () => between(random, least, 4))
      : between(random, least, backwards ? 3 : random.below(2) * 3);
  const base = { from: from.name, to: to.name, delay };
  const density = pick(random, [0.1, 0.5, 1]);
  const maybe = (): number => (random.uniform() < density ? weight() : 0);
  const kind = pick(random, ['dense', 'sparse'] as const);
  if (kind === 'dense') return { ...base, kind, weights: Array.from({ length: from.size * to.size }, maybe) };
  const rowStart = [0];
  const columns: number[] = [];
  for (let pre = 0; pre < from.size; pre++) {
    for (let post = 0; post < to.size; post++) if (random.uniform() < density) columns.push(post);
    rowStart.push(columns.length);
  }
  return { ...base, kind, rowStart, columns, weights: columns.map(weight) };
}

/** Replaces the first layer by the image of a convolution of the pixels. */
function convolve(random: SeededRandom, sketches: Sketch[], weight: () => number) {
  const [pixels] = sketches;
  const [channels, height, width] = pixels!.shape!;
  const kernel = [between(random, 1, Math.min(3, height)), between(random, 1, Math.min(3, width))] as const;
  const stride = [between(random, 1, 2), between(random, 1, 2)] as const;
  const padding = [between(random, 0, 1), between(random, 0, 1)] as const;
  const out = [
    between(random, 1, 3),
    Math.floor((height + 2 * padding[0] - kernel[0]) / stride[0]) + 1,
    Math.floor((width + 2 * padding[1] - kernel[1]) / stride[1]) + 1,
  ] as const;
  const at = sketches.findIndex((s) => s.name === 'layer0');
  sketches[at] = { name: 'layer0', size: out[0] * out[1] * out[2], shape: out, input: false, reads: false };
  return {
    from: 'pixels',
    to: 'layer0',
    name: 'filters',
    kind: 'convolution' as const,
    layout: pick(random, ['inHeightWidthOut', 'outInHeightWidth'] as const),
    kernel,
    stride,
    padding,
    weights: Array.from({ length: out[0] * channels * kernel[0] * kernel[1] }, weight),
    delay: pick(random, [0, 2, Array.from({ length: pixels!.size }, () => between(random, 0, 3))]),
  };
}

function head({ name, size, shape }: Sketch) {
  return { name, size, ...(shape === undefined ? {} : { shape }) };
}

export function fixedNetwork(seed: number): FixedNetworkDescription {
  const random = seededRandom(seed);
  const sketches = sketch(random);
  const bits = pick(random, [8, 4] as const);
  const limit = bits === 4 ? 7 : 127;
  const weight = (): number => between(random, -limit - 1, limit);
  const convolution = random.below(2) === 0 ? [convolve(random, sketches, weight)] : [];
  const typical = bits === 4 ? 10 : 150;
  const populations = sketches.map((s): FixedPopulationDescription => {
    if (s.input) return { ...head(s), model: 'input', maxSpikesPerStep: 3 };
    const shared = {
      ...head(s),
      bias: perNeuron(random, s.size, () => between(random, -typical, typical)),
      initial: between(random, -5, 5),
    };
    if (s.reads) return { ...shared, model: 'li', leakShift: between(random, 0, 4) };
    const firing = {
      threshold: perNeuron(random, s.size, () => between(random, 1, 2 * typical)),
      ...(random.below(3) === 0
        ? { reset: { kind: 'subtract' } as const, maxSpikesPerStep: between(random, 2, 5) }
        : {
            reset: pick(random, [
              { kind: 'subtract' } as const,
              { kind: 'value', value: between(random, -10, 10) } as const,
            ]),
            refractorySteps: perNeuron(random, s.size, () => between(random, 0, 2)),
          }),
    };
    return random.below(2) === 0
      ? { ...shared, ...firing, model: 'if' }
      : { ...shared, ...firing, model: 'lif', leakShift: perNeuron(random, s.size, () => between(random, 1, 5)) };
  });
  const projections = wirings(random, sketches).map((wiring) => connect(random, wiring, sketches, weight));
  const all = [...convolution, ...projections].map((projection): FixedProjectionDescription => ({
    ...projection,
    bits,
    shift: between(random, 0, 2),
    scale: 0.01,
  }));
  return { name: `fixed ${seed}`, numeric: 'fixed', populations, projections: all };
}

export function floatNetwork(seed: number): FloatNetworkDescription {
  const random = seededRandom(seed);
  const dt = pick(random, [1e-3, 1e-4]);
  const sketches = sketch(random);
  const weight = (): number => random.normal() * 0.7;
  const convolution = random.below(2) === 0 ? [convolve(random, sketches, weight)] : [];
  const receptorsOf = new Map<string, string[]>();
  const tau = (): number => dt * (1 + 20 * random.uniform());
  const populations = sketches.map((s): FloatPopulationDescription => {
    if (s.input) return { ...head(s), model: 'input', maxSpikesPerStep: 3 };
    const scale = 1 + random.uniform();
    const bias = pick(random, [0, perNeuron(random, s.size, () => random.normal() * 0.1)]);
    if (s.reads) {
      const shared = { ...head(s), leak: random.normal() * 0.1, resistance: scale, bias };
      const slow = perNeuron(random, s.size, tau);
      const readOuts = [
        { ...shared, model: 'li', tau: slow },
        {
          ...head(s),
          model: 'integrator',
          resistance: scale / dt,
          bias,
          synapse: pick(random, ['current', 'delta'] as const),
        },
        { ...shared, model: 'cubaLi', tau: slow, receptors: [{ name: 'only', tau: tau(), weightScale: 2 }] },
      ] as const;
      if (random.below(3) > 0) return readOuts[0];
      return pick(random, readOuts);
    }
    const firing = {
      threshold: perNeuron(random, s.size, () => 0.3 + random.uniform()),
      ...(random.below(3) === 0
        ? { reset: { kind: 'subtract' } as const, maxSpikesPerStep: between(random, 2, 5) }
        : {
            reset: pick(random, [
              { kind: 'subtract' } as const,
              { kind: 'value', value: random.normal() * 0.2 } as const,
            ]),
            refractory: pick(random, [0, 2 * dt]),
          }),
      bias,
    };
    const membrane = {
      ...head(s),
      tau: perNeuron(random, s.size, tau),
      leak: perNeuron(random, s.size, () => random.normal() * 0.1),
    };
    const synapse = pick(random, ['current', 'delta'] as const);
    switch (random.below(3)) {
      case 0:
        return { ...head(s), ...firing, model: 'if', resistance: 1 / dt, synapse };
      case 1:
        return { ...membrane, ...firing, model: 'lif', resistance: 2 * scale, synapse };
      default: {
        const shared = tau();
        const receptors = [
          { name: 'fast', tau: shared, weightScale: 3 },
          { name: 'slow', tau: perNeuron(random, s.size, tau), weightScale: perNeuron(random, s.size, () => 2) },
        ];
        receptorsOf.set(s.name, ['fast', 'slow']);
        return {
          ...membrane,
          ...firing,
          model: 'cubaLif',
          tau: random.below(2) === 0 ? shared : membrane.tau,
          receptors,
        };
      }
    }
  });
  const projections = wirings(random, sketches).map((wiring) => connect(random, wiring, sketches, weight));
  const all = [...convolution, ...projections].map((projection): FloatProjectionDescription => {
    const names = receptorsOf.get(projection.to);
    return names === undefined ? projection : { ...projection, receptor: pick(random, names) };
  });
  return { name: `float ${seed}`, numeric: 'float32', dt, populations, projections: all };
}

/** Spikes for every input population of a description. */
export function stimulus(
  seed: number,
  description: FixedNetworkDescription | FloatNetworkDescription,
  size: { steps: number; batch: number },
): Stimulus {
  const random = seededRandom((seed ^ 0x55555555) >>> 0);
  const inputs = description.populations.filter((p) => p.model === 'input');
  const rate = pick(random, [0.05, 0.3, 0.9]);
  const trains = inputs.map(({ name, size: neurons }) => [
    name,
    Array.from({ length: size.steps }, () =>
      Array.from({ length: size.batch }, () => {
        const ids: number[] = [];
        for (let n = 0; n < neurons!; n++) {
          if (random.uniform() < rate) ids.push(...new Array<number>(random.below(8) === 0 ? 2 : 1).fill(n));
        }
        return ids;
      }),
    ),
  ]);
  return { ...size, trains: Object.fromEntries(trains) as Record<string, number[][][]> };
}

/** Samples `from .. to - 1` of a stimulus as trains. */
export function trainsOf(
  given: Stimulus,
  sizes: ReadonlyMap<string, number>,
  samples: readonly [number, number] = [0, given.batch],
  steps: readonly [number, number] = [0, given.steps],
): Record<string, SpikeTrain> {
  return Object.fromEntries(
    Object.entries(given.trains).map(([name, lists]) => [
      name,
      spikeTrain(
        lists.slice(...steps).map((perSample) => perSample.slice(...samples)),
        sizes.get(name)!,
      ),
    ]),
  );
}

/** One sample of a stimulus as the reference simulator wants it. */
export function referenceSpikes(
  given: Stimulus,
  sizes: ReadonlyMap<string, number>,
  sample: number,
): Record<string, number[]>[] {
  return Array.from({ length: given.steps }, (_, step) =>
    Object.fromEntries(
      Object.entries(given.trains).map(([name, lists]) => {
        const counts = new Array<number>(sizes.get(name)!).fill(0);
        for (const id of lists[step]![sample]!) counts[id]!++;
        return [name, counts];
      }),
    ),
  );
}
