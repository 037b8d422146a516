/**
 * From a network to kernel calls. Two halves: `layProjection` turns a projection's synapses into the arrays that its
 * strategy's kernel wants, and `lowerStep` lists the calls of one time step in order. Everything here is about which
 * kernel runs on which buffer; when and how often is the engine's business.
 */
import { TuttiError } from '../errors.js';
import type { DeviceBuffer, KernelCall, TypedView } from '../device/device.js';
import {
  convolveSpikesF32,
  convolveSpikesI8,
  cubaLifPotential,
  cubaLifScatter,
  cubaLifStep,
  denseRowsF32,
  denseRowsI8,
  gatherColumnsF32,
  gatherColumnsI8,
  injectCurrentF32,
  injectCurrentI32,
  neuronBurstF32,
  neuronBurstI32,
  neuronStepF32,
  neuronStepI32,
  recordState,
  scatterRowsF32,
  scatterRowsI8,
  spikeCompact,
  spikeExpand,
  spikeFlags,
} from '../kernels/snn/index.js';
import type { DecayFree } from './decay-free.js';
import { cutRows, filterRows, toColumns, toMatrix, toRows, type Rows } from './connectivity.js';
import type { FixedProjection, Population, Projection, SpikingNetwork } from './network.js';

/**
 * How spikes reach their targets. 'scatter' walks the row of every spike; 'dense' adds a whole row of a matrix per spike;
 * 'gather' walks the column of every target (for steps in which most neurons fire); 'convolution' adds the kernel around every
 * spike. Fixed-point networks give identical results with all of them.
 */
export type Strategy = 'scatter' | 'gather' | 'dense' | 'convolution';

/** Rows of a matrix are padded to a multiple of this. */
const ROW_ALIGNMENT = 16;
/** A dense row costs a SIMD add per 4 to 16 weights, a sparse one a load and a store per synapse. */
const DENSE_FROM = { float32: 0.25, fixed: 0.1 } as const;
/** No matrix above this is made unless it is asked for, however dense. */
const MOST_MATRIX_BYTES = 2 ** 28;

export function populationOf(network: SpikingNetwork, name: string): Population {
  return (network.populations as readonly Population[]).find((population) => population.name === name)!;
}

/** The strategies that this projection could run with. */
export function strategiesFor(projection: Projection): readonly Strategy[] {
  const convolves = projection.kind === 'convolution' && typeof projection.delay === 'number';
  return convolves ? ['convolution', 'scatter', 'gather', 'dense'] : ['scatter', 'gather', 'dense'];
}

/** What suits the stored density. Convolutions stay convolutions; delays per neuron would repeat a matrix, so they scatter. */
export function automaticStrategy(network: SpikingNetwork, projection: Projection, synapses: number): Strategy {
  if (typeof projection.delay !== 'number') return 'scatter';
  if (projection.kind === 'convolution') return 'convolution';
  const pres = populationOf(network, projection.from).size;
  const cells = pres * rowStride(populationOf(network, projection.to).size);
  const bytes = cells * (network.numeric === 'fixed' ? 1 : 4);
  return synapses >= cells * DENSE_FROM[network.numeric] && bytes <= MOST_MATRIX_BYTES ? 'dense' : 'scatter';
}

function rowStride(posts: number): number {
  return Math.ceil(posts / ROW_ALIGNMENT) * ROW_ALIGNMENT;
}

/** The synapses of one delay, as one kernel wants them. */
export interface LaidPart<B> {
  readonly delay: number;
  readonly arrays: Readonly<Record<string, B>>;
}

export interface LaidProjection<B = TypedView> {
  readonly projection: Projection;
  readonly strategy: Strategy;
  /** Into how many post-synaptic ranges scattered rows are cut. */
  readonly cuts: number;
  readonly parts: readonly LaidPart<B>[];
}

/** Host arrays of a projection, its rows cut for `threads` that share one sample: one part per distinct axonal delay. Zero weights are left out where the form allows it. */
export function layProjection(
  network: SpikingNetwork,
  projection: Projection,
  strategy: Strategy,
  threads = 1,
): LaidProjection {
  const pres = populationOf(network, projection.from).size;
  const posts = populationOf(network, projection.to).size;
  const { delay } = projection;
  const laid = (parts: LaidPart<TypedView>[]): LaidProjection => ({ projection, strategy, cuts: threads, parts });
  if (strategy === 'convolution') {
    if (projection.kind !== 'convolution' || typeof delay !== 'number') {
      throw new TuttiError(
        'OPTION_INVALID',
        `projection "${projection.name}" cannot run as a convolution (it is ${projection.kind}${typeof delay === 'number' ? '' : ' with delays per neuron'}); use ${strategiesFor(projection).join(', ')}`,
        { where: `strategy.${projection.name}` },
      );
    }
    return laid([{ delay, arrays: { weights: projection.weights } }]);
  }
  const rows = toRows(projection, pres, posts);
  const arraysOf = (part: Rows): Readonly<Record<string, TypedView>> => {
    if (strategy === 'scatter') return { ...part, rowStart: cutRows(part, posts, threads) };
    if (strategy === 'dense') return { weights: toMatrix(part, rowStride(posts)) };
    return { ...toColumns(part, posts) };
  };
  if (typeof delay === 'number') return laid([{ delay, arrays: arraysOf(rows) }]);
  const distinct = [...new Set(delay)].sort((a, b) => a - b);
  return laid(distinct.map((d) => ({ delay: d, arrays: arraysOf(filterRows(rows, (pre) => delay[pre] === d)) })));
}

/** Device buffers of a population's state. */
export interface NeuronBuffers {
  readonly v: DeviceBuffer;
  readonly input: DeviceBuffer;
  readonly constants: DeviceBuffer;
  readonly refractory: DeviceBuffer;
  /** One bit per neuron, or where a neuron may fire several times in a step (`most` above 1) a count per neuron. */
  readonly fired: DeviceBuffer;
  readonly most: number;
  readonly totals: DeviceBuffer;
  readonly receptors: number;
  readonly uniform: boolean;
  readonly resetMode: 0 | 1 | 2;
  readonly spiking: boolean;
  /** When the population runs in decay-free form: `input` holds its whole state, `receptors` counts the rows of that. */
  readonly decayFree?: {
    readonly form: DecayFree;
    readonly decays: DeviceBuffer;
    /** By receptor. */
    readonly gains: readonly DeviceBuffer[];
  };
}

/** A spike stream on the device: a ring of `slots` steps, step s in slot s % slots. */
export interface StreamBuffers {
  readonly index: DeviceBuffer;
  readonly ids: DeviceBuffer;
}

/** What one step works on; everything that is baked into its kernel calls. */
export interface StepShape {
  readonly batch: number;
  readonly neurons: ReadonlyMap<string, NeuronBuffers>;
  readonly streams: ReadonlyMap<string, StreamBuffers & { readonly slots: number }>;
  readonly projections: readonly LaidProjection<DeviceBuffer>[];
  /** Spike counts per neuron for 'gather', by `flagsKey`. */
  readonly flags: ReadonlyMap<string, DeviceBuffer>;
  readonly currents: ReadonlyMap<
    string,
    { buffer: DeviceBuffer; frames: number; origin: number; receptor: string | undefined }
  >;
  readonly membranes: ReadonlyMap<
    string,
    { ids: DeviceBuffer; record: DeviceBuffer; chosen: number; frames: number; origin: number }
  >;
}

export function flagsKey(from: string, delay: number): string {
  return `${delay} ${from}`;
}

/** The calls of one step: for each population in order, what flows in, the neurons themselves, who fired, what is recorded. */
export function lowerStep(network: SpikingNetwork, shape: StepShape): readonly KernelCall[] {
  const calls: KernelCall[] = [];
  const flagged = new Set<string>();
  const fixed = network.numeric === 'fixed';
  const { batch } = shape;
  for (const name of network.order) {
    const population = populationOf(network, name);
    const state = shape.neurons.get(name);
    if (state === undefined) continue;
    const neurons = population.size;
    const inputStride = state.receptors * neurons;
    const { v, input, constants, refractory, fired, most } = state;

    const current = shape.currents.get(name);
    if (current !== undefined) {
      const inputOffset = receptorIndex(population, current.receptor) * neurons;
      const inject = fixed ? injectCurrentI32 : injectCurrentF32;
      const { buffer, frames, origin } = current;
      calls.push(inject({ current: buffer, input, batch, neurons, inputStride, inputOffset, frames, origin }));
    }
    for (const laid of shape.projections) {
      if (laid.projection.to === name) calls.push(...lowerProjection(network, shape, laid, flagged));
    }
    const stream = shape.streams.get(name);
    const { decayFree } = state;
    if (decayFree !== undefined) {
      const { form, decays } = decayFree;
      const { receptors, period, refractory: hold, reset } = form;
      const { index: spikeIndex, ids: spikeIds, slots } = stream!;
      const common = { state: input, decays, batch, neurons, receptors, period, origin: 0 };
      calls.push(cubaLifStep({ ...common, spikeIndex, spikeIds, spikeBits: fired, slots, refractory: hold, reset }));
      if (shape.membranes.has(name)) calls.push(cubaLifPotential({ ...common, v, leak: form.leak, reset }));
    } else if (most > 1) {
      const step = { v, input, constants, spikeCounts: fired, batch, neurons, uniform: Number(state.uniform), most };
      calls.push(fixed ? neuronBurstI32(step) : neuronBurstF32({ ...step, receptors: state.receptors }));
    } else {
      const step = { v, input, constants, refractory, spikeBits: fired, batch, neurons };
      const flags = { uniform: Number(state.uniform), spiking: Number(state.spiking) };
      const { receptors, resetMode } = state;
      calls.push(
        fixed
          ? neuronStepI32({ ...step, ...flags, subtract: resetMode })
          : neuronStepF32({ ...step, ...flags, receptors, resetMode }),
      );
    }
    if (stream !== undefined) {
      const { index: spikeIndex, ids: spikeIds, slots } = stream;
      const list = { spikeIndex, spikeIds, totals: state.totals, batch, neurons, slots, origin: 0 };
      calls.push(
        most > 1 ? spikeExpand({ ...list, spikeCounts: fired, most }) : spikeCompact({ ...list, spikeBits: fired }),
      );
    }
    const membrane = shape.membranes.get(name);
    if (membrane !== undefined) calls.push(recordState({ state: v, batch, neurons, ...membrane }));
  }
  return calls;
}

function lowerProjection(
  network: SpikingNetwork,
  shape: StepShape,
  { projection, strategy, cuts, parts }: LaidProjection<DeviceBuffer>,
  flagged: Set<string>,
): readonly KernelCall[] {
  const fixed = network.numeric === 'fixed';
  const to = populationOf(network, projection.to);
  const pres = populationOf(network, projection.from).size;
  const posts = to.size;
  const { index: spikeIndex, ids: spikeIds, slots } = shape.streams.get(projection.from)!;
  const target = shape.neurons.get(projection.to)!;
  const common = {
    input: target.input,
    batch: shape.batch,
    posts,
    inputStride: target.receptors * posts,
    inputOffset: receptorIndex(to, projection.receptor) * posts,
    shift: fixed ? (projection as FixedProjection).shift : 0,
  };
  return parts.flatMap(({ delay, arrays }) => {
    const stream = { spikeIndex, spikeIds, slots, delay, origin: 0 };
    const weights = arrays.weights!;
    if (target.decayFree !== undefined) {
      const { form, gains } = target.decayFree;
      const receptor = receptorIndex(to, projection.receptor);
      const { receptors, period } = form;
      const synapses = { weights, rowStart: arrays.rowStart!, columns: arrays.columns!, gains: gains[receptor]! };
      return [
        cubaLifScatter({
          ...stream,
          ...synapses,
          state: target.input,
          batch: shape.batch,
          posts,
          receptors,
          receptor,
          period,
          parts: cuts,
        }),
      ];
    }
    switch (strategy) {
      case 'scatter': {
        const scatter = fixed ? scatterRowsI8 : scatterRowsF32;
        const { rowStart, columns } = arrays as { rowStart: DeviceBuffer; columns: DeviceBuffer };
        return [scatter({ ...common, ...stream, weights, rowStart, columns, parts: cuts })];
      }
      case 'dense': {
        const dense = fixed ? denseRowsI8 : denseRowsF32;
        return [dense({ ...common, ...stream, weights, rowStride: rowStride(posts) })];
      }
      case 'gather': {
        const key = flagsKey(projection.from, delay);
        const flags = shape.flags.get(key)!;
        const gather = fixed ? gatherColumnsI8 : gatherColumnsF32;
        const call = gather({ ...common, flags, pres, weights, columnStart: arrays.columnStart!, rows: arrays.rows! });
        if (flagged.has(key)) return [call];
        flagged.add(key);
        return [spikeFlags({ ...stream, flags, batch: shape.batch, pres }), call];
      }
      case 'convolution': {
        if (projection.kind !== 'convolution') return [];
        const convolve = fixed ? convolveSpikesI8 : convolveSpikesF32;
        const [inChannels, inHeight, inWidth] = projection.inputShape;
        const [outChannels, outHeight, outWidth] = projection.outputShape;
        return [
          convolve({
            ...common,
            ...stream,
            weights,
            ...{ inChannels, inHeight, inWidth, outChannels, outHeight, outWidth },
            kernelHeight: projection.kernel[0],
            kernelWidth: projection.kernel[1],
            strideY: projection.stride[0],
            strideX: projection.stride[1],
            padY: projection.padding[0],
            padX: projection.padding[1],
          }),
        ];
      }
    }
  });
}

/** Which slice of a population's input a receptor is; 0 where there is only one. */
export function receptorIndex(population: Population, receptor: string | undefined): number {
  if (receptor === undefined || !('receptors' in population)) return 0;
  return population.receptors!.findIndex(({ name }) => name === receptor);
}
