/**
 * What a spiking network is: populations of neurons and projections of synapses between them. Plain data, in two numeric
 * forms: `float32` (physical units, exact integration) and `fixed` (integers, what hardware runs, the same to the bit
 * on every backend). A `NetworkDescription` is what a person writes; `defineNetwork` (validate.ts) checks it and returns
 * a `SpikingNetwork`, the same thing with every default filled in.
 */

/** [channels, height, width]; neuron ids are channel-major: `(c * height + y) * width + x`. */
export type Shape = readonly [channels: number, height: number, width: number];

/** One number for all neurons of a population, or one per neuron. */
export type PerNeuron = number | readonly number[] | Float32Array | Int32Array;

/** What a neuron does when it fires: its potential becomes `value` (default 0), or is lowered by the threshold. */
export type Reset = { readonly kind: 'value'; readonly value?: PerNeuron } | { readonly kind: 'subtract' };

interface PopulationFields {
  /** Unique in the network. */
  readonly name: string;
  /** Number of neurons. Required unless `shape` is given. */
  readonly size?: number;
  /** For convolutions; `size` is then channels * height * width. */
  readonly shape?: Shape;
}

/** Where spikes come in: each run gives it a `SpikeTrain`. */
export interface InputDescription extends PopulationFields {
  readonly model: 'input';
  /** How often one neuron may spike within a step (default 1; event streams with wide bins need more). */
  readonly maxSpikesPerStep?: number;
}

/** A receptor with exponential synapses: a spike adds weight * weightScale to a current that decays with `tau`. */
export interface Receptor {
  readonly name: string;
  /** Seconds. */
  readonly tau: PerNeuron;
  /** Default 1. */
  readonly weightScale?: PerNeuron;
}

interface BurstField {
  /**
   * How often one neuron may fire within a step, 1 (default) .. 65,535. More than 1 needs a reset by subtraction and no
   * refractory time: as many spikes as the potential holds thresholds.
   */
  readonly maxSpikesPerStep?: number;
}

interface FiringFields extends BurstField {
  /** A float neuron fires when its potential is strictly above, a fixed-point neuron when it is at or above. */
  readonly threshold: PerNeuron;
  /** Default: to value 0. */
  readonly reset?: Reset;
}

/**
 * As `Reset`, or 'crossing': the reset happens at the moment within the step at which the potential crossed the threshold, and
 * the rest of the step integrates on from `value` (exact for a current that is constant in the step). For 'lif' and 'if'
 * with synapse 'current' and no refractory time; at most one spike a step.
 */
export type FloatReset = Reset | { readonly kind: 'crossing'; readonly value?: PerNeuron };

interface FloatFiringFields extends BurstField {
  /** A neuron fires when its potential is strictly above. */
  readonly threshold: PerNeuron;
  /** Default: to value 0. */
  readonly reset?: FloatReset;
}

interface FloatFields extends PopulationFields {
  /** Factor from current to potential (NIR's r). Default 1. */
  readonly resistance?: PerNeuron;
  /** Potential at the start of a run. Default: the leak potential (0 for 'if' and 'integrator'). */
  readonly initial?: PerNeuron;
  /** What flows in every step beside what synapses bring, in the same units; past the receptors where there are some. Default 0. */
  readonly bias?: PerNeuron;
}

interface RefractoryField {
  /** Seconds after a spike in which the potential is held; rounded to whole steps. Default 0. */
  readonly refractory?: PerNeuron;
}

/**
 * 'current' (default): what arrives in a step is a current that flows during that step (NIR's semantics).
 * 'delta': what arrives is added to the potential, unscaled.
 */
export type Synapse = 'current' | 'delta';

/** tau dv/dt = (leak - v) + resistance * I; fires when v > threshold. */
export interface LifDescription extends FloatFields, FloatFiringFields, RefractoryField {
  readonly model: 'lif';
  /** Membrane time constant in seconds. */
  readonly tau: PerNeuron;
  /** Leak potential, default 0. */
  readonly leak?: PerNeuron;
  readonly synapse?: Synapse;
}

/** Leaky integrate-and-fire with exponential synapses: tau dv/dt = (leak - v) + resistance * sum of receptor currents. */
export interface CubaLifDescription extends FloatFields, FiringFields, RefractoryField {
  readonly model: 'cubaLif';
  readonly tau: PerNeuron;
  readonly leak?: PerNeuron;
  /** At least one. */
  readonly receptors: readonly Receptor[];
}

/** Leaky integrator: like 'lif', but never fires. A read-out. */
export interface LiDescription extends FloatFields {
  readonly model: 'li';
  readonly tau: PerNeuron;
  readonly leak?: PerNeuron;
  readonly synapse?: Synapse;
}

/** dv/dt = resistance * I; fires when v > threshold. No leak. */
export interface IfDescription extends FloatFields, FloatFiringFields, RefractoryField {
  readonly model: 'if';
  readonly synapse?: Synapse;
}

/** Like 'cubaLif', but never fires. */
export interface CubaLiDescription extends FloatFields {
  readonly model: 'cubaLi';
  readonly tau: PerNeuron;
  readonly leak?: PerNeuron;
  /** At least one. */
  readonly receptors: readonly Receptor[];
}

/** dv/dt = resistance * I: like 'if', but never fires. */
export interface IntegratorDescription extends FloatFields {
  readonly model: 'integrator';
  readonly synapse?: Synapse;
}

export type FloatPopulationDescription =
  | InputDescription
  | LifDescription
  | CubaLifDescription
  | LiDescription
  | IfDescription
  | CubaLiDescription
  | IntegratorDescription;

interface FixedFields extends PopulationFields {
  /** Added in every step. Default 0. */
  readonly bias?: PerNeuron;
  /** Default 0. */
  readonly initial?: PerNeuron;
}

interface FixedFiringFields extends FiringFields {
  /** Steps after a spike in which the potential is held. Default 0. */
  readonly refractorySteps?: PerNeuron;
}

/** v <- v - (v >> leakShift) + input + bias in int32; fires when v >= threshold. */
export interface FixedLifDescription extends FixedFields, FixedFiringFields {
  readonly model: 'lif';
  /** 1 .. 30; 3 is a decay of 7/8 per step. */
  readonly leakShift: PerNeuron;
}

/** As 'lif' without a leak. */
export interface FixedIfDescription extends FixedFields, FixedFiringFields {
  readonly model: 'if';
}

/** A read-out that never fires. */
export interface FixedLiDescription extends FixedFields {
  readonly model: 'li';
  /** 0 .. 30; 0 (default) is a plain accumulator. */
  readonly leakShift?: PerNeuron;
}

export type FixedPopulationDescription =
  InputDescription | FixedLifDescription | FixedIfDescription | FixedLiDescription;

interface ProjectionFields {
  /** Default: "from->to". Unique in the network. */
  readonly name?: string;
  /** Name of the pre-synaptic population. */
  readonly from: string;
  /** Name of the post-synaptic population. */
  readonly to: string;
  /** For 'cubaLif' and 'cubaLi' populations: the receptor's name. Default: the only one. */
  readonly receptor?: string;
  /**
   * Axonal delay in steps, one number or one per pre-synaptic neuron. 0 means that a spike arrives in the step in which
   * it was fired. Default 0, and 1 from a population to itself.
   */
  readonly delay?: number | readonly number[] | Uint32Array | Int32Array;
}

interface DenseFields<W> {
  readonly kind: 'dense';
  /** [pre][post]. */
  readonly weights: W;
}

interface SparseFields<W> {
  readonly kind: 'sparse';
  /** Compressed rows: synapses `rowStart[pre] .. rowStart[pre + 1]` leave neuron `pre`. pre + 1 entries. */
  readonly rowStart: readonly number[] | Uint32Array;
  /** Post-synaptic neuron of each synapse, strictly ascending within a row. */
  readonly columns: readonly number[] | Uint32Array;
  readonly weights: W;
}

/** Order of a convolution's weights; 'outInHeightWidth' is PyTorch's. */
export type KernelLayout = 'inHeightWidthOut' | 'outInHeightWidth';

interface ConvolutionFields<W> {
  readonly kind: 'convolution';
  readonly weights: W;
  readonly layout: KernelLayout;
  /** [height, width]. */
  readonly kernel: readonly [height: number, width: number];
  /** [y, x], default [1, 1]. */
  readonly stride?: readonly [y: number, x: number];
  /** Zeros on each side, [y, x], default [0, 0]. */
  readonly padding?: readonly [y: number, x: number];
  /** Default: the shape of `from`. */
  readonly inputShape?: Shape;
  /** Default: worked out from the rest; checked when given. */
  readonly outputShape?: Shape;
}

type AnyConnectivity<W> = DenseFields<W> | SparseFields<W> | ConvolutionFields<W>;

/** Weights are copied when they are plain arrays; typed arrays are kept as they are, so do not change them afterwards. */
export type FloatProjectionDescription = ProjectionFields & AnyConnectivity<readonly number[] | Float32Array>;

export type FixedProjectionDescription = ProjectionFields &
  AnyConnectivity<readonly number[] | Int8Array> & {
    /** Weight width: 8 (default, -128 .. 127) or 4 (-8 .. 7). */
    readonly bits?: 8 | 4;
    /** What one unit of weight means, for people and for converting back; the dynamics do not use it. Default 1. */
    readonly scale?: number;
    /** Weights are shifted left by this before they are added, 0 .. 23. Default 0. */
    readonly shift?: number;
  };

export interface FloatNetworkDescription {
  readonly name?: string;
  readonly numeric: 'float32';
  /** Length of a step in seconds. */
  readonly dt: number;
  readonly populations: readonly FloatPopulationDescription[];
  readonly projections?: readonly FloatProjectionDescription[];
}

export interface FixedNetworkDescription {
  readonly name?: string;
  readonly numeric: 'fixed';
  readonly populations: readonly FixedPopulationDescription[];
  readonly projections?: readonly FixedProjectionDescription[];
}

export type NetworkDescription = FloatNetworkDescription | FixedNetworkDescription;

// What defineNetwork returns: the same fields, complete, arrays as typed arrays.

/** A checked parameter: one number for all, or a typed array with one per neuron. */
export type Parameter = number | Float32Array | Int32Array;

export type CheckedReset =
  { readonly kind: 'value' | 'crossing'; readonly value: Parameter } | { readonly kind: 'subtract' };

export interface InputPopulation {
  readonly model: 'input';
  readonly name: string;
  readonly size: number;
  readonly shape: Shape | undefined;
  readonly maxSpikesPerStep: number;
}

export interface CheckedReceptor {
  readonly name: string;
  readonly tau: Parameter;
  readonly weightScale: Parameter;
}

/** Models of float populations. */
export type FloatModel = 'lif' | 'cubaLif' | 'li' | 'if' | 'cubaLi' | 'integrator';

/** A float population. Fields that its model lacks are undefined. */
export interface FloatPopulation {
  readonly model: FloatModel;
  readonly name: string;
  readonly size: number;
  readonly shape: Shape | undefined;
  /** Seconds. Not for 'if' and 'integrator'. */
  readonly tau: Parameter | undefined;
  readonly resistance: Parameter;
  /** Not for 'if' and 'integrator'. */
  readonly leak: Parameter | undefined;
  readonly bias: Parameter;
  readonly initial: Parameter;
  /** Only for models that fire, as the next three. */
  readonly threshold: Parameter | undefined;
  readonly reset: CheckedReset | undefined;
  /** Seconds. */
  readonly refractory: Parameter | undefined;
  readonly maxSpikesPerStep: number | undefined;
  /** Not for 'cubaLif' and 'cubaLi'. */
  readonly synapse: Synapse | undefined;
  /** Only for 'cubaLif' and 'cubaLi'. */
  readonly receptors: readonly CheckedReceptor[] | undefined;
}

export interface FixedPopulation {
  readonly model: 'lif' | 'li' | 'if';
  readonly name: string;
  readonly size: number;
  readonly shape: Shape | undefined;
  /** Not for 'if'. */
  readonly leakShift: Parameter | undefined;
  readonly bias: Parameter;
  readonly initial: Parameter;
  /** Not for 'li', as the next three. */
  readonly threshold: Parameter | undefined;
  readonly reset: CheckedReset | undefined;
  readonly refractorySteps: Parameter | undefined;
  readonly maxSpikesPerStep: number | undefined;
}

export type Weights = Float32Array | Int8Array;

export interface DenseConnectivity {
  readonly kind: 'dense';
  readonly weights: Weights;
}

export interface SparseConnectivity {
  readonly kind: 'sparse';
  readonly rowStart: Uint32Array;
  readonly columns: Uint32Array;
  readonly weights: Weights;
}

export interface ConvolutionConnectivity {
  readonly kind: 'convolution';
  /** [inChannels][kernelHeight][kernelWidth][outChannels]. */
  readonly weights: Weights;
  readonly layout: 'inHeightWidthOut';
  readonly kernel: readonly [height: number, width: number];
  readonly stride: readonly [y: number, x: number];
  readonly padding: readonly [y: number, x: number];
  readonly inputShape: Shape;
  readonly outputShape: Shape;
}

export type Connectivity = DenseConnectivity | SparseConnectivity | ConvolutionConnectivity;

export interface ProjectionBase {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** Undefined unless the post-synaptic population has receptors. */
  readonly receptor: string | undefined;
  /** Steps; per pre-synaptic neuron when it is an array. */
  readonly delay: number | Uint32Array;
  /** The largest delay of any neuron. */
  readonly maxDelay: number;
}

export type FloatProjection = ProjectionBase & Connectivity;

export type FixedProjection = ProjectionBase &
  Connectivity & { readonly bits: 8 | 4; readonly scale: number; readonly shift: number };

export type Projection = FloatProjection | FixedProjection;

interface NetworkFields {
  readonly name: string;
  /** Names, so that every population comes after those whose spikes reach it without delay. */
  readonly order: readonly string[];
  /** Synapses with a weight other than 0. */
  readonly synapses: number;
}

export interface FloatNetwork extends NetworkFields {
  readonly numeric: 'float32';
  readonly dt: number;
  readonly populations: readonly (InputPopulation | FloatPopulation)[];
  readonly projections: readonly FloatProjection[];
}

export interface FixedNetwork extends NetworkFields {
  readonly numeric: 'fixed';
  readonly populations: readonly (InputPopulation | FixedPopulation)[];
  readonly projections: readonly FixedProjection[];
  /**
   * How many steps a run (with all its continuations) may take before a potential could leave int32, whatever the
   * input; Infinity when it never can.
   */
  readonly maxSteps: number;
}

/** A network that has passed `defineNetwork`. Immutable. */
export type SpikingNetwork = FloatNetwork | FixedNetwork;
export type Population = InputPopulation | FloatPopulation | FixedPopulation;

/** Whether a population can fire ('li', 'cubaLi' and 'integrator' cannot). */
export function fires(population: Population): boolean {
  return population.model === 'input' || population.threshold !== undefined;
}

/** The parameter of one neuron. */
export function valueAt(parameter: Parameter, neuron: number): number {
  return typeof parameter === 'number' ? parameter : parameter[neuron]!;
}
